// Package config reads and judges the daemon's configuration: strictly, and naming every
// mistake with its place.
package config

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/oomwatch/oomwatch/recorder"
)

// Config is what a configuration file can say. The yaml names are the keys; what
// is not in the file keeps the value of Default.
type Config struct {
	Store        Store      `yaml:"store"`
	History      History    `yaml:"history"`
	Listen       ListenAddr `yaml:"listen"`
	AllowedHosts []string   `yaml:"allowed_hosts,omitempty"`
	// ExternalURL is where people reach the page; alerts link to it.
	ExternalURL ExternalURL `yaml:"external_url,omitempty"`
	Socket      string      `yaml:"socket"`
	Docker      Docker      `yaml:"docker"`
	CRI         CRI         `yaml:"cri"`
	Podman      Podman      `yaml:"podman"`
	Receivers   []Receiver  `yaml:"receivers,omitempty"`
	Alerts      Alerts      `yaml:"alerts"`
	Warnings    Warnings    `yaml:"warnings"`
	Audit       Audit       `yaml:"audit"`
	Web         Web         `yaml:"web,omitempty"`
	Metrics     Metrics     `yaml:"metrics"`
	Log         Log         `yaml:"log"`
}

// Store says where incidents are kept and how long.
type Store struct {
	Path      string   `yaml:"path"`
	Retention Duration `yaml:"retention"`
	MaxSize   byteSize `yaml:"max_size"`
}

// History says how long what was recorded is kept, and how much of it.
type History struct {
	Retention Duration `yaml:"retention"`
	MaxSize   byteSize `yaml:"max_size"`
}

// Docker says which engine is followed.
type Docker struct {
	// Host is "" for DOCKER_HOST, else the default socket.
	Host DockerHost `yaml:"host,omitempty"`
	// More are further engines on this host.
	More     []DockerHost `yaml:"more,omitempty"`
	LogLines lineCount    `yaml:"log_lines"`
}

// Hosts are the engines to ask, as they were written; "" is the usual one.
func (d *Docker) Hosts() (out []string) {
	for _, h := range append([]DockerHost{d.Host}, d.More...) {
		if h != EngineOff {
			out = append(out, string(h))
		}
	}
	return out
}

// CRI says which runtimes of Kubernetes are followed.
type CRI struct {
	// Sockets are those of containerd or CRI-O; none for the known ones where they are,
	// "off" alone for none at all.
	Sockets  []EngineSocket `yaml:"sockets,omitempty"`
	LogLines lineCount      `yaml:"log_lines"`
}

// Podman says which of Podman's sockets are followed.
type Podman struct {
	// Sockets are as CRI's.
	Sockets  []EngineSocket `yaml:"sockets,omitempty"`
	LogLines lineCount      `yaml:"log_lines"`
}

// Named are the sockets as they were written; EngineOff is among them.
func Named(sockets []EngineSocket) (out []string) {
	for _, s := range sockets {
		out = append(out, string(s))
	}
	return out
}

// Receiver is one place that alerts are sent to. Which keys a type takes
// stands in receiverKinds.
type Receiver struct {
	Name    ReceiverName `yaml:"name"`
	Type    ReceiverType `yaml:"type"`
	URL     Secret       `yaml:"url,omitempty"`
	URLFile string       `yaml:"url_file,omitempty"`
	URLEnv  string       `yaml:"url_env,omitempty"`
	// AllowHTTP lets the url be plain http to another machine.
	AllowHTTP bool `yaml:"allow_http,omitempty"`
	// CAFile holds certificate authorities to trust beside the system's.
	CAFile string `yaml:"ca_file,omitempty"`
	// Secret signs what a webhook is sent; several stand with blanks between.
	Secret     Secret `yaml:"secret,omitempty"`
	SecretFile string `yaml:"secret_file,omitempty"`
	SecretEnv  string `yaml:"secret_env,omitempty"`
	// Token is what a service knows us by: Slack's bot token, PagerDuty's
	// integration key, a bearer token.
	Token     Secret `yaml:"token,omitempty"`
	TokenFile string `yaml:"token_file,omitempty"`
	TokenEnv  string `yaml:"token_env,omitempty"`
	// Channel is Slack's, Telegram's chat, ntfy's topic, Matrix's room.
	Channel string `yaml:"channel,omitempty"`
	// From, To and Username are for mail, with Password.
	From         string   `yaml:"from,omitempty"`
	To           []string `yaml:"to,omitempty"`
	Username     string   `yaml:"username,omitempty"`
	Password     Secret   `yaml:"password,omitempty"`
	PasswordFile string   `yaml:"password_file,omitempty"`
	PasswordEnv  string   `yaml:"password_env,omitempty"`
	// Headers go along with a webhook's requests: "NAME: VALUE" each.
	Headers []Secret `yaml:"headers,omitempty"`
	// CloudEvents wraps a webhook's JSON.
	CloudEvents bool `yaml:"cloudevents,omitempty"`
	// ResolveAfter is how long Alertmanager shows an event as firing.
	ResolveAfter Duration `yaml:"resolve_after,omitempty"`
	// Command is a program and its arguments, Timeout what bounds its run.
	Command []string `yaml:"command,omitempty"`
	Timeout Duration `yaml:"timeout,omitempty"`
	// Socket is where syslog or the journal listens.
	Socket string `yaml:"socket,omitempty"`
	// Template replaces the wording (Go's text/template over the incident).
	Template     string `yaml:"template,omitempty"`
	TemplateFile string `yaml:"template_file,omitempty"`

	// What it is told of: all that is given must fit.
	Causes      []Cause        `yaml:"causes,omitempty"`
	Kinds       []IncidentKind `yaml:"kinds,omitempty"`
	MinSeverity Severity       `yaml:"min_severity,omitempty"`
	Containers  []Pattern      `yaml:"containers,omitempty"`
	Labels      []LabelPattern `yaml:"labels,omitempty"`
	Projects    []Pattern      `yaml:"projects,omitempty"`
	Hosts       []Pattern      `yaml:"hosts,omitempty"`
	// Default is true for one that is told what no other wants.
	Default bool `yaml:"default,omitempty"`
}

// Alerts says what is told and how repeats are grouped.
type Alerts struct {
	Info           bool     `yaml:"info"`
	GroupWindow    window   `yaml:"group_window"`
	Pause          window   `yaml:"pause"`
	LongestPause   Duration `yaml:"longest_pause"`
	StormPerMinute Count    `yaml:"storm_per_minute"`
	Budget         Count    `yaml:"budget"`
	// HeartbeatURL is asked with GET while everything works.
	HeartbeatURL     Secret `yaml:"heartbeat_url,omitempty"`
	HeartbeatURLFile string `yaml:"heartbeat_url_file,omitempty"`
	HeartbeatURLEnv  string `yaml:"heartbeat_url_env,omitempty"`
	// HeartbeatCAFile holds certificate authorities to trust for it beside the system's.
	HeartbeatCAFile string   `yaml:"heartbeat_ca_file,omitempty"`
	HeartbeatEvery  Duration `yaml:"heartbeat_every"`
}

// Web says who may use the page's buttons.
type Web struct {
	// TokenFile holds what a person signs in with; none for a page that only reads.
	TokenFile string `yaml:"token_file,omitempty"`
	// Token is what was read from it.
	Token Secret `yaml:"-"`
}

// shortestToken is how long a token of the page must be.
const shortestToken = 16

// checkWeb reads the page's token.
func (d *document) checkWeb(w *Web) (warnings []string) {
	if w.TokenFile == "" {
		return nil
	}
	v, warning, err := readSecret("", w.TokenFile, "")
	if err == nil && len(v) < shortestToken {
		err = fmt.Errorf("%s holds fewer than %d characters; make a token: openssl rand -hex 16", w.TokenFile, shortestToken)
	}
	if err != nil {
		d.problem("web.token_file", err.Error())
	}
	w.Token = v
	if warning != "" {
		warnings = append(warnings, warning)
	}
	return warnings
}

// Metrics says how many containers have series of their own.
type Metrics struct {
	MaxContainers Count `yaml:"max_containers"`
}

// defaultSeries is how many containers have series of their own.
const defaultSeries = 2000

// Log says how the daemon logs, to stderr.
type Log struct {
	Level  LogLevel  `yaml:"level"`
	Format LogFormat `yaml:"format,omitempty"`
}

// Defaults that are named in help texts too.
const (
	DefaultListen      = "127.0.0.1:9468"
	defaultRetention   = 90 * 24 * time.Hour
	defaultStoreSize   = 1 << 30
	defaultHistorySize = 1 << 30
	DefaultLogLines    = 20
	defaultGroupWindow = 10 * time.Minute
	defaultPause       = time.Minute
	longestPause       = time.Hour
	defaultStorm       = 30
	defaultBudget      = 20
	defaultHeartbeat   = time.Minute
)

// Default is what holds where neither a file nor a flag says otherwise.
func Default() *Config {
	return &Config{
		Store:   Store{Path: DefaultStorePath(), Retention: Duration(defaultRetention), MaxSize: defaultStoreSize},
		History: History{Retention: Duration(recorder.KeepLong), MaxSize: defaultHistorySize},
		Listen:  DefaultListen,
		Socket:  DefaultSocketPath(),
		Docker:  Docker{LogLines: DefaultLogLines},
		CRI:     CRI{LogLines: DefaultLogLines},
		Podman:  Podman{LogLines: DefaultLogLines},
		Alerts: Alerts{GroupWindow: window(defaultGroupWindow), Pause: window(defaultPause), LongestPause: Duration(longestPause),
			StormPerMinute: defaultStorm, Budget: defaultBudget, HeartbeatEvery: Duration(defaultHeartbeat)},
		Warnings: defaultWarnings(),
		Audit:    Audit{Every: window(defaultAudit)},
		Metrics:  Metrics{MaxContainers: defaultSeries},
		Log:      Log{Level: "info"},
	}
}

// Load reads a configuration file over the defaults. The warnings are
// about what works and should not stay so. path "" is no file.
func Load(path string) (cfg *Config, warnings []string, err error) {
	cfg = Default()
	if path == "" {
		return cfg, nil, nil
	}
	src, err := readFile(path, maxConfig)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil, fmt.Errorf("read the configuration: %w: give the path of a file, or none for the defaults (oomwatch config show prints them)", err)
	case errors.Is(err, fs.ErrPermission):
		return nil, nil, fmt.Errorf("read the configuration: %w: run as a user who can read it, or change its group; do not make it world-readable, it can hold secrets", err)
	case err != nil:
		return nil, nil, fmt.Errorf("read the configuration: %w", err)
	}
	doc, err := parseConfig(path, src, cfg)
	if err != nil {
		return nil, nil, err
	}
	warnings = append(exposed(path, cfg), doc.check(cfg)...) // check reads the secrets of other files
	if err := doc.problems.err(); err != nil {
		return nil, nil, err
	}
	return cfg, warnings, nil
}

// check judges what single values cannot tell, and reads the secrets.
func (d *document) check(cfg *Config) (warnings []string) {
	if !d.refused["warnings"] {
		d.checkWarnings(&cfg.Warnings)
	}
	if !d.refused["audit"] {
		d.checkAudit(&cfg.Audit)
	}
	if !d.refused["docker"] {
		d.checkEngines(&cfg.Docker)
	}
	names := map[ReceiverName]string{}
	for i := range cfg.Receivers {
		r := &cfg.Receivers[i]
		at := fmt.Sprintf("receivers[%d]", i)
		if r.Name == "" && d.refused[at] {
			continue
		}
		if r.Name == "" {
			d.problem(at, "a receiver needs a name: its alerts are stored under it")
		} else if other, dup := names[r.Name]; dup {
			d.problem(at+".name", fmt.Sprintf("the name %q is taken by %s", string(r.Name), other))
		} else {
			names[r.Name] = at
		}
		if d.refused[at] {
			continue
		}
		if r.Type == "" {
			d.problem(at, "a receiver needs a type: "+List(receiverTypes()))
			continue
		}
		warnings = append(warnings, d.checkReceiver(at, r)...)
	}
	warnings = append(warnings, d.checkWeb(&cfg.Web)...)
	if d.refused["alerts"] {
		return warnings
	}
	warnings = append(warnings, d.checkHeartbeat(&cfg.Alerts)...)
	if cfg.Alerts.LongestPause < Duration(cfg.Alerts.Pause) {
		d.problem("alerts.longest_pause", fmt.Sprintf("it is shorter than alerts.pause, %s", Duration(cfg.Alerts.Pause)))
	}
	return warnings
}
