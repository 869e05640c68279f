package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/oomwatch/oomwatch/recorder"
)

// Config is what a configuration file can say. The yaml names are the keys; what
// is not in the file keeps the value of defaultConfig.
type Config struct {
	Store        StoreConfig      `yaml:"store"`
	History      HistoryConfig    `yaml:"history"`
	Listen       listenAddr       `yaml:"listen"`
	AllowedHosts []string         `yaml:"allowed_hosts,omitempty"`
	Socket       string           `yaml:"socket"`
	Docker       DockerConfig     `yaml:"docker"`
	Receivers    []ReceiverConfig `yaml:"receivers,omitempty"`
	Alerts       AlertsConfig     `yaml:"alerts"`
	Warnings     WarningsConfig   `yaml:"warnings"`
	Log          LogConfig        `yaml:"log"`
}

// StoreConfig says where incidents are kept and how long.
type StoreConfig struct {
	Path      string   `yaml:"path"`
	Retention duration `yaml:"retention"`
}

// HistoryConfig says how long what was recorded is kept, and how much of it.
type HistoryConfig struct {
	Retention duration `yaml:"retention"`
	MaxSize   byteSize `yaml:"max_size"`
}

// DockerConfig says which engine is followed.
type DockerConfig struct {
	// Host is "" for DOCKER_HOST, else the default socket.
	Host     dockerHost `yaml:"host,omitempty"`
	LogLines lineCount  `yaml:"log_lines"`
}

// ReceiverConfig is one place that alerts are sent to. Which keys a type takes
// stands in receiverKinds.
type ReceiverConfig struct {
	Name    receiverName `yaml:"name"`
	Type    receiverType `yaml:"type"`
	URL     secret       `yaml:"url,omitempty"`
	URLFile string       `yaml:"url_file,omitempty"`
	URLEnv  string       `yaml:"url_env,omitempty"`
	// AllowHTTP lets the url be plain http to another machine.
	AllowHTTP bool `yaml:"allow_http,omitempty"`
	// CAFile holds certificate authorities to trust beside the system's.
	CAFile string `yaml:"ca_file,omitempty"`
	// Secret signs what a webhook is sent; several stand with blanks between.
	Secret     secret `yaml:"secret,omitempty"`
	SecretFile string `yaml:"secret_file,omitempty"`
	SecretEnv  string `yaml:"secret_env,omitempty"`
	// Token is what a service knows us by: Slack's bot token, PagerDuty's
	// integration key, a bearer token.
	Token     secret `yaml:"token,omitempty"`
	TokenFile string `yaml:"token_file,omitempty"`
	TokenEnv  string `yaml:"token_env,omitempty"`
	// Channel is Slack's.
	Channel string `yaml:"channel,omitempty"`
	// CloudEvents wraps a webhook's JSON.
	CloudEvents bool `yaml:"cloudevents,omitempty"`
	// ResolveAfter is how long Alertmanager shows an event as firing.
	ResolveAfter duration `yaml:"resolve_after,omitempty"`
	// Command is a program and its arguments, Timeout what bounds its run.
	Command []string `yaml:"command,omitempty"`
	Timeout duration `yaml:"timeout,omitempty"`
	// Socket is where syslog or the journal listens.
	Socket string `yaml:"socket,omitempty"`
	// Template replaces the wording (Go's text/template over the incident).
	Template     string `yaml:"template,omitempty"`
	TemplateFile string `yaml:"template_file,omitempty"`

	// What it is told of: all that is given must fit.
	Causes      []cause        `yaml:"causes,omitempty"`
	Kinds       []incidentKind `yaml:"kinds,omitempty"`
	MinSeverity severity       `yaml:"min_severity,omitempty"`
	Containers  []pattern      `yaml:"containers,omitempty"`
	Labels      []labelPattern `yaml:"labels,omitempty"`
	Projects    []pattern      `yaml:"projects,omitempty"`
	Hosts       []pattern      `yaml:"hosts,omitempty"`
	// Default is true for one that is told what no other wants.
	Default bool `yaml:"default,omitempty"`
}

// AlertsConfig says what is told and how repeats are grouped.
type AlertsConfig struct {
	Info           bool     `yaml:"info"`
	GroupWindow    window   `yaml:"group_window"`
	Pause          window   `yaml:"pause"`
	LongestPause   duration `yaml:"longest_pause"`
	StormPerMinute count    `yaml:"storm_per_minute"`
	Budget         count    `yaml:"budget"`
	// HeartbeatURL is asked with GET while everything works.
	HeartbeatURL     secret `yaml:"heartbeat_url,omitempty"`
	HeartbeatURLFile string `yaml:"heartbeat_url_file,omitempty"`
	HeartbeatURLEnv  string `yaml:"heartbeat_url_env,omitempty"`
	// HeartbeatCAFile holds certificate authorities to trust for it beside the system's.
	HeartbeatCAFile string   `yaml:"heartbeat_ca_file,omitempty"`
	HeartbeatEvery  duration `yaml:"heartbeat_every"`
}

// LogConfig says how the daemon logs, to stderr.
type LogConfig struct {
	Level  logLevel  `yaml:"level"`
	Format logFormat `yaml:"format,omitempty"`
}

// Defaults that are named in help texts too.
const (
	defaultListen      = "127.0.0.1:9468"
	defaultRetention   = 90 * 24 * time.Hour
	defaultHistorySize = 1 << 30
	defaultLogLines    = 20
	defaultGroupWindow = 10 * time.Minute
	defaultPause       = time.Minute
	longestPause       = time.Hour
	defaultStorm       = 30
	defaultBudget      = 20
	defaultHeartbeat   = time.Minute
)

// defaultConfig is what holds where neither a file nor a flag says otherwise.
func defaultConfig() *Config {
	return &Config{
		Store:   StoreConfig{Path: defaultStorePath(), Retention: duration(defaultRetention)},
		History: HistoryConfig{Retention: duration(recorder.KeepLong), MaxSize: defaultHistorySize},
		Listen:  defaultListen,
		Socket:  defaultSocketPath(),
		Docker:  DockerConfig{LogLines: defaultLogLines},
		Alerts: AlertsConfig{GroupWindow: window(defaultGroupWindow), Pause: window(defaultPause), LongestPause: duration(longestPause),
			StormPerMinute: defaultStorm, Budget: defaultBudget, HeartbeatEvery: duration(defaultHeartbeat)},
		Warnings: defaultWarnings(),
		Log:      LogConfig{Level: "info"},
	}
}

// defaultStorePath is in root's state folder, else in the user's own. A user
// without a home gets root's place, and with it a refusal that says what to do:
// a folder that anybody could have made is no place for it.
func defaultStorePath() string {
	if dir := userState(); dir != "" {
		return filepath.Join(dir, "oomwatch.db")
	}
	return "/var/lib/oomwatch/oomwatch.db"
}

// defaultSocketPath is in root's runtime folder, else in the user's own, else
// beside the user's store.
func defaultSocketPath() string {
	if os.Geteuid() != 0 {
		if dir := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
			return filepath.Join(dir, "oomwatch", "oomwatch.sock")
		}
		if dir := userState(); dir != "" {
			return filepath.Join(dir, "oomwatch.sock")
		}
	}
	return "/run/oomwatch/oomwatch.sock"
}

// userState is the user's own folder for state; "" for root, and for a user who
// has no home.
func userState() string {
	if os.Geteuid() == 0 {
		return ""
	}
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "oomwatch")
	}
	if home, err := os.UserHomeDir(); err == nil && filepath.IsAbs(home) {
		return filepath.Join(home, ".local/state/oomwatch")
	}
	return ""
}

// loadConfig reads a configuration file over the defaults. The warnings are
// about what works and should not stay so. path "" is no file.
func loadConfig(path string) (cfg *Config, warnings []string, err error) {
	cfg = defaultConfig()
	if path == "" {
		return cfg, nil, nil
	}
	src, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil, fmt.Errorf("read the configuration: %w: give the path of one, or none at all for the defaults (oomwatch config show prints them)", err)
	case errors.Is(err, fs.ErrPermission):
		return nil, nil, fmt.Errorf("read the configuration: %w: run as a user who may read it, or chgrp it to one's group; it can hold secrets, so not for all", err)
	case err != nil:
		return nil, nil, fmt.Errorf("read the configuration: %w", err)
	}
	doc, err := parseConfig(path, src, cfg)
	if err != nil {
		return nil, nil, err
	}
	warnings = doc.check(cfg)
	if err := doc.problems.err(); err != nil {
		return nil, nil, err
	}
	return cfg, warnings, nil
}

// check judges what single values cannot tell, and reads the secrets.
func (d *document) check(cfg *Config) (warnings []string) {
	d.checkWarnings(&cfg.Warnings)
	names := map[receiverName]string{}
	for i := range cfg.Receivers {
		r := &cfg.Receivers[i]
		at := fmt.Sprintf("receivers[%d]", i)
		if r.Name == "" {
			d.problem(at, "a receiver needs a name: the store keeps under it what is owed to it")
		} else if other, dup := names[r.Name]; dup {
			d.problem(at+".name", fmt.Sprintf("the name %q is taken by %s", string(r.Name), other))
		} else {
			names[r.Name] = at
		}
		if r.Type == "" {
			d.problem(at, "a receiver needs a type: "+list(receiverTypes()))
			continue
		}
		warnings = append(warnings, d.checkReceiver(at, r)...)
	}
	warnings = append(warnings, d.checkHeartbeat(&cfg.Alerts)...)
	if cfg.Alerts.LongestPause < duration(cfg.Alerts.Pause) {
		d.problem("alerts.longest_pause", fmt.Sprintf("it is shorter than alerts.pause, %s", duration(cfg.Alerts.Pause)))
	}
	return warnings
}
