package config

import (
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/internal/lazyre"
	"github.com/oomwatch/oomwatch/render"
)

// The types below are values of the configuration and of flags: each refuses
// what it does not accept, and says what it does.

// duration is a time.Duration that also reads days ("90d"), above 0.
type Duration time.Duration

// window is a duration that may be 0, for none.
type window time.Duration

func (w *window) UnmarshalText(b []byte) error {
	if s := string(b); s == "0" || s == "0s" {
		*w = 0
		return nil
	}
	v, err := ParseDuration(string(b))
	if err != nil {
		return fmt.Errorf("%w, or 0s for none", err)
	}
	*w = window(v)
	return nil
}

// MarshalText implements encoding.TextMarshaler.
func (w window) MarshalText() ([]byte, error) { return []byte(Duration(w).String()), nil }

func (d *Duration) UnmarshalText(b []byte) error {
	v, err := ParseDuration(string(b))
	if err != nil {
		return err
	}
	*d = Duration(v)
	return nil
}

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

func (d Duration) String() string {
	if v := time.Duration(d); v > 0 && v%(24*time.Hour) == 0 {
		return strconv.Itoa(int(v/(24*time.Hour))) + "d"
	}
	return time.Duration(d).String()
}

// parseDuration reads "90s", "10m", "36h", "7d" and sums like "1d12h"; it must
// be above 0.
func ParseDuration(s string) (time.Duration, error) {
	bad := fmt.Errorf("%q is not a duration: write 30s, 10m, 12h or 90d", s)
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
type Count int

func (c *Count) UnmarshalText(b []byte) error {
	n, err := strconv.Atoi(string(b))
	if err != nil || n < 1 || n > 1_000_000 {
		return fmt.Errorf("%q is not a number from 1 to 1000000", b)
	}
	*c = Count(n)
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
	return fmt.Errorf("%q is not a size: write 512MiB, 2GiB or 1TiB", b)
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
type ListenAddr string

func (a *ListenAddr) UnmarshalText(b []byte) error {
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
		return fmt.Errorf("%q is not an address: write HOST:PORT (127.0.0.1:9468), :PORT for every interface, or off", s)
	}
	*a = ListenAddr(s)
	return nil
}

// ExternalURL is where people reach the page: https://HOST/PATH, or http.
type ExternalURL string

// UnmarshalText implements encoding.TextUnmarshaler.
func (e *ExternalURL) UnmarshalText(b []byte) error {
	u, err := url.Parse(string(b))
	if err != nil || render.Link(string(b)) == "" || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("%q is not a page's address: write https://oomwatch.example.org or http://HOST:PORT", b)
	}
	*e = ExternalURL(b)
	return nil
}

// dockerHost is where a Docker engine listens.
type DockerHost string

func (h *DockerHost) UnmarshalText(b []byte) error {
	u, err := url.Parse(string(b))
	if string(b) == EngineOff {
		*h = EngineOff
		return nil
	}
	if err != nil || u.User != nil || !slices.Contains([]string{"unix", "tcp", "http", "https"}, u.Scheme) || u.Host+u.Path == "" {
		return fmt.Errorf("%q is not an engine: write unix:///run/docker.sock or tcp://HOST:PORT", b)
	}
	*h = DockerHost(b)
	return nil
}

// EngineSocket is where a runtime of Kubernetes, or Podman, listens, or EngineOff.
type EngineSocket string

// EngineOff in the place of a socket means that none is followed.
const EngineOff = "off"

func (s *EngineSocket) UnmarshalText(b []byte) error {
	path, ok := strings.CutPrefix(string(b), "unix://")
	if string(b) != EngineOff && (!ok || !filepath.IsAbs(path)) {
		return fmt.Errorf("%q is not an engine's socket: write unix:///PATH (unix:///run/containerd/containerd.sock, unix:///run/podman/podman.sock), or off", b)
	}
	*s = EngineSocket(b)
	return nil
}

// receiverName names a receiver in the store, in metrics and in logs.
type ReceiverName string

var goodName = lazyre.New(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$`)

func (n *ReceiverName) UnmarshalText(b []byte) error {
	if !goodName.Match(b) {
		return fmt.Errorf("%q is not a name: up to 64 letters, digits, '.', '_' and '-', the first a letter or digit", b)
	}
	*n = ReceiverName(b)
	return nil
}

type ReceiverType string

func (t *ReceiverType) UnmarshalText(b []byte) error {
	*t = ReceiverType(b)
	return Choice(string(b), receiverTypes())
}

var Severities = []string{string(incident.Info), string(incident.Warning), string(incident.Critical)}

// Severity is how grave something is.
type Severity string

// UnmarshalText refuses what is none.
func (s *Severity) UnmarshalText(b []byte) error {
	*s = Severity(b)
	return Choice(string(b), Severities)
}

var Kinds = []string{string(incident.KindDeath), string(incident.KindKill), string(incident.KindWarning), string(incident.KindHost)}

func CauseCodes() []string {
	out := make([]string, len(incident.Causes))
	for i, c := range incident.Causes {
		out[i] = string(c.Code)
	}
	return out
}

type Cause string

func (c *Cause) UnmarshalText(b []byte) error {
	*c = Cause(b)
	return Choice(string(b), CauseCodes())
}

// pattern is a text in which * and ? stand for others.
type Pattern string

func (p *Pattern) UnmarshalText(b []byte) error {
	*p = Pattern(b)
	return (&incident.Match{Containers: []string{string(b)}}).Check()
}

// labelPattern is KEY=PATTERN, or KEY for any value.
type LabelPattern string

func (p *LabelPattern) UnmarshalText(b []byte) error {
	*p = LabelPattern(b)
	return (&incident.Match{Labels: []string{string(b)}}).Check()
}

var LogLevels = []string{"debug", "info", "warn", "error"}

type LogLevel string

func (l *LogLevel) UnmarshalText(b []byte) error {
	*l = LogLevel(b)
	return Choice(string(b), LogLevels)
}

var LogFormats = []string{"console", "json"}

// logFormat is "" for console on a terminal and json elsewhere.
type LogFormat string

func (f *LogFormat) UnmarshalText(b []byte) error {
	*f = LogFormat(b)
	return Choice(string(b), LogFormats)
}

// incidentKind is what --kind takes.
type IncidentKind string

func (k *IncidentKind) UnmarshalText(b []byte) error {
	*k = IncidentKind(b)
	return Choice(string(b), Kinds)
}
