package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/oomwatch/oomwatch/incident"
)

// The types below are values of the configuration and of flags: each refuses
// what it does not accept, and says what it does.

// duration is a time.Duration that also reads days ("90d"), above 0.
type duration time.Duration

// window is a duration that may be 0, for none.
type window time.Duration

func (w *window) UnmarshalText(b []byte) error {
	if s := string(b); s == "0" || s == "0s" {
		*w = 0
		return nil
	}
	v, err := parseDuration(string(b))
	if err != nil {
		return fmt.Errorf("%w, or 0s for none", err)
	}
	*w = window(v)
	return nil
}

// MarshalText implements encoding.TextMarshaler.
func (w window) MarshalText() ([]byte, error) { return []byte(duration(w).String()), nil }

func (d *duration) UnmarshalText(b []byte) error {
	v, err := parseDuration(string(b))
	if err != nil {
		return err
	}
	*d = duration(v)
	return nil
}

// MarshalText implements encoding.TextMarshaler.
func (d duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

func (d duration) String() string {
	if v := time.Duration(d); v > 0 && v%(24*time.Hour) == 0 {
		return strconv.Itoa(int(v/(24*time.Hour))) + "d"
	}
	return time.Duration(d).String()
}

// parseDuration reads "90s", "10m", "36h", "7d" and sums like "1d12h"; it must
// be above 0.
func parseDuration(s string) (time.Duration, error) {
	bad := fmt.Errorf("%q is no duration: write 30s, 10m, 12h or 90d", s)
	var total time.Duration
	rest := s
	if days, after, ok := strings.Cut(s, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil {
			return 0, bad
		}
		total, rest = time.Duration(n)*24*time.Hour, after
	}
	if rest != "" {
		v, err := time.ParseDuration(rest)
		if err != nil || v < 0 {
			return 0, bad
		}
		total += v
	}
	if total <= 0 {
		return 0, bad
	}
	return total, nil
}

// lineCount is a number of log lines.
type lineCount int

const maxLogLines = 200

func (c *lineCount) UnmarshalText(b []byte) error {
	n, err := strconv.Atoi(string(b))
	if err != nil || n < 0 || n > maxLogLines {
		return fmt.Errorf("%q is not from 0 (no log lines) to %d", b, maxLogLines)
	}
	*c = lineCount(n)
	return nil
}

// count is a number above 0.
type count int

func (c *count) UnmarshalText(b []byte) error {
	n, err := strconv.Atoi(string(b))
	if err != nil || n < 1 || n > 1_000_000 {
		return fmt.Errorf("%q is not a number from 1 to 1000000", b)
	}
	*c = count(n)
	return nil
}

// byteSize is a size of at least a mebibyte, in binary units.
type byteSize int64

// sizeUnits are the units that a size may have, the largest first.
var sizeUnits = []struct {
	name  string
	bytes int64
}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}}

func (z *byteSize) UnmarshalText(b []byte) error {
	for _, u := range sizeUnits {
		if n, ok := strings.CutSuffix(string(b), u.name); ok {
			if v, err := strconv.ParseUint(strings.TrimSpace(n), 10, 16); err == nil && v > 0 {
				*z = byteSize(int64(v) * u.bytes)
				return nil
			}
		}
	}
	return fmt.Errorf("%q is no size: write 512MiB, 2GiB or 1TiB", b)
}

// MarshalText implements encoding.TextMarshaler.
func (z byteSize) MarshalText() ([]byte, error) {
	for _, u := range sizeUnits {
		if int64(z)%u.bytes == 0 {
			return fmt.Appendf(nil, "%d%s", int64(z)/u.bytes, u.name), nil
		}
	}
	return strconv.AppendInt(nil, int64(z), 10), nil
}

// listenAddr is a TCP address, or "" for none.
type listenAddr string

func (a *listenAddr) UnmarshalText(b []byte) error {
	s := string(b)
	if s == "off" {
		*a = ""
		return nil
	}
	_, port, err := net.SplitHostPort(s)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return fmt.Errorf("%q is no address: write HOST:PORT (127.0.0.1:9468), :PORT for every interface, or off", s)
	}
	*a = listenAddr(s)
	return nil
}

// dockerHost is where a Docker engine listens.
type dockerHost string

func (h *dockerHost) UnmarshalText(b []byte) error {
	u, err := url.Parse(string(b))
	if err != nil || u.User != nil || !slices.Contains([]string{"unix", "tcp", "http", "https"}, u.Scheme) || u.Host+u.Path == "" {
		return fmt.Errorf("%q is no engine: write unix:///run/docker.sock or tcp://HOST:PORT", b)
	}
	*h = dockerHost(b)
	return nil
}

// receiverName names a receiver in the store, in metrics and in logs.
type receiverName string

var goodName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$`)

func (n *receiverName) UnmarshalText(b []byte) error {
	if !goodName.Match(b) {
		return fmt.Errorf("%q is no name: up to 64 letters, digits, '.', '_' and '-', the first a letter or digit", b)
	}
	*n = receiverName(b)
	return nil
}

// choice refuses what is not one of words.
func choice(s string, words []string) error {
	if slices.Contains(words, s) {
		return nil
	}
	if near := nearest(s, words); near != "" {
		return fmt.Errorf("%q is not known, did you mean %q? Known: %s", s, near, list(words))
	}
	return fmt.Errorf("%q is not known. Known: %s", s, list(words))
}

type receiverType string

func (t *receiverType) UnmarshalText(b []byte) error {
	*t = receiverType(b)
	return choice(string(b), receiverTypes())
}

var severities = []string{string(incident.Info), string(incident.Warning), string(incident.Critical)}

type severity string

func (s *severity) UnmarshalText(b []byte) error {
	*s = severity(b)
	return choice(string(b), severities)
}

var kinds = []string{string(incident.KindDeath), string(incident.KindKill), string(incident.KindWarning), string(incident.KindHost)}

func causeCodes() []string {
	out := make([]string, len(incident.Causes))
	for i, c := range incident.Causes {
		out[i] = string(c.Code)
	}
	return out
}

type cause string

func (c *cause) UnmarshalText(b []byte) error {
	*c = cause(b)
	return choice(string(b), causeCodes())
}

// pattern is a text in which * and ? stand for others.
type pattern string

func (p *pattern) UnmarshalText(b []byte) error {
	*p = pattern(b)
	return (&incident.Match{Containers: []string{string(b)}}).Check()
}

// labelPattern is KEY=PATTERN, or KEY for any value.
type labelPattern string

func (p *labelPattern) UnmarshalText(b []byte) error {
	*p = labelPattern(b)
	return (&incident.Match{Labels: []string{string(b)}}).Check()
}

var logLevels = []string{"debug", "info", "warn", "error"}

type logLevel string

func (l *logLevel) UnmarshalText(b []byte) error {
	*l = logLevel(b)
	return choice(string(b), logLevels)
}

var logFormats = []string{"console", "json"}

// logFormat is "" for console on a terminal and json elsewhere.
type logFormat string

func (f *logFormat) UnmarshalText(b []byte) error {
	*f = logFormat(b)
	return choice(string(b), logFormats)
}

// secret is a text that never prints itself.
type secret string

func (s *secret) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		return errors.New("it is empty")
	}
	*s = secret(b)
	return nil
}

func (s secret) String() string {
	if s == "" {
		return ""
	}
	return "********"
}

// GoString and MarshalText hold the same against %#v and encoders.
func (s secret) GoString() string { return s.String() }

// MarshalText implements encoding.TextMarshaler.
func (s secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// maxSecret bounds a secret file: a larger one is the wrong file.
const maxSecret = 64 << 10

// readSecret returns the secret that was given directly, or reads it from a
// file or the environment. No error holds any of it.
func readSecret(direct secret, file, env string) (s secret, warning string, err error) {
	switch {
	case file != "":
		f, err := os.Open(file)
		if err != nil {
			return "", "", err
		}
		defer f.Close()
		st, err := f.Stat()
		if err != nil {
			return "", "", err
		}
		b, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
		if err != nil {
			return "", "", err
		}
		if len(b) > maxSecret {
			return "", "", fmt.Errorf("%s is longer than %d bytes: it is no secret", file, maxSecret)
		}
		s = secret(strings.TrimSpace(string(b)))
		if s == "" {
			return "", "", fmt.Errorf("%s is empty", file)
		}
		if st.Mode().Perm()&0o077 != 0 {
			warning = fmt.Sprintf("%s can be read by others (mode %04o): chmod 600 %s", file, st.Mode().Perm(), file)
		}
		return s, warning, nil
	case env != "":
		s = secret(strings.TrimSpace(os.Getenv(env)))
		if s == "" {
			return "", "", fmt.Errorf("the environment variable %s is not set", env)
		}
		return s, "", nil
	}
	return direct, "", nil
}
