package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/oomwatch/oomwatch/config"
	"github.com/oomwatch/oomwatch/notify/receiver"
)

// daemonFlags are the flags of the daemon, and of what judges its surroundings.
type daemonFlags struct {
	file         string
	store        string
	listen       config.ListenAddr
	socket       string
	docker       dockerHosts
	cri          engineSockets
	podman       engineSockets
	webhook      string
	slackWebhook string
	logLevel     config.LogLevel
	logFormat    config.LogFormat

	cmd *cobra.Command
}

// add registers the flags that say where things are.
func (f *daemonFlags) add(cmd *cobra.Command) {
	f.cmd = cmd
	fs := cmd.Flags()
	fs.StringVar(&f.file, "config", "", "configuration `FILE` (YAML); flags win over it")
	fs.StringVar(&f.store, "store", "", "`PATH` of the file that incidents are kept in (default "+config.DefaultStorePath()+")")
	addText(fs, &f.listen, "listen", "", "ADDR", "web page, /metrics, /healthz and /readyz on this address, or off (default "+config.DefaultListen+")")
	fs.StringVar(&f.socket, "socket", "", "`PATH` of the unix socket that the other commands ask (default "+config.DefaultSocketPath()+")")
	addText(fs, &f.docker, "docker", "", "HOST", "Docker engine, as unix:///PATH or tcp://HOST:PORT; or off; repeat it for further ones (default DOCKER_HOST, else the default socket)")
	addText(fs, &f.cri, "cri", "", "SOCKET", "containerd or CRI-O of a Kubernetes node, as unix:///PATH, or off; repeat it for further ones (default the known sockets, where they are)")
	addText(fs, &f.podman, "podman", "", "SOCKET", "Podman, as unix:///PATH, or off; repeat it for further ones (default the machine's socket and those of its users, where they are)")
}

// addReceivers registers the flags that say where alerts go.
func (f *daemonFlags) addReceivers(cmd *cobra.Command) {
	// Plain text, judged later: a refused flag value is printed, and a
	// webhook's URL is a secret.
	cmd.Flags().StringVar(&f.webhook, "webhook", "", "post each incident as JSON to this `URL`")
	cmd.Flags().StringVar(&f.slackWebhook, "slack-webhook", "", "post each alert to this Slack incoming webhook `URL`")
}

// addLog registers the flags that say how the daemon logs.
func (f *daemonFlags) addLog(cmd *cobra.Command) {
	addText(cmd.Flags(), &f.logLevel, "log-level", "", "LEVEL", "how much to log to stderr: "+config.List(config.LogLevels)+" (default info)")
	addText(cmd.Flags(), &f.logFormat, "log-format", "", "FORMAT", "console or json (default console on a terminal, else json)")
	complete(cmd, "log-level", config.LogLevels...)
	complete(cmd, "log-format", config.LogFormats...)
}

// config reads the configuration file, if one is named, and puts the flags over it.
func (f *daemonFlags) config() (*config.Config, []string, error) {
	cfg, warnings, err := config.Load(f.file)
	if err != nil {
		return nil, nil, err
	}
	if f.store != "" {
		cfg.Store.Path = f.store
	}
	if f.cmd.Flags().Changed("listen") {
		cfg.Listen = f.listen
	}
	if f.socket != "" {
		cfg.Socket = f.socket
	}
	if len(f.docker) > 0 {
		cfg.Docker.Host, cfg.Docker.More = f.docker[0], f.docker[1:]
	}
	if len(f.cri) > 0 {
		cfg.CRI.Sockets = f.cri
	}
	if len(f.podman) > 0 {
		cfg.Podman.Sockets = f.podman
	}
	if f.logLevel != "" {
		cfg.Log.Level = f.logLevel
	}
	if f.logFormat != "" {
		cfg.Log.Format = f.logFormat
	}
	if len(cfg.Receivers) == 0 {
		cfg.Receivers = []config.Receiver{{Name: "stdout", Type: "stdout"}}
	}
	for _, w := range []struct{ flag, kind, url string }{{"webhook", "webhook", f.webhook}, {"slack-webhook", "slack", f.slackWebhook}} {
		if w.url == "" {
			continue
		}
		if err := receiver.CheckURL(w.url, false); err != nil {
			return nil, nil, usageError{fmt.Errorf("--%s: %w", w.flag, err)}
		}
		for _, r := range cfg.Receivers {
			if string(r.Name) == w.kind {
				return nil, nil, usageError{fmt.Errorf("--%s: the configuration has a receiver named %q already; give that one another name", w.flag, w.kind)}
			}
		}
		if w := config.InsideWarning("--"+w.flag, w.url); w != "" {
			warnings = append(warnings, w)
		}
		cfg.Receivers = append(cfg.Receivers, config.Receiver{Name: config.ReceiverName(w.kind), Type: config.ReceiverType(w.kind), URL: config.Secret(w.url)})
	}
	return cfg, warnings, nil
}

// dockerHosts are the engines that --docker names, once or repeatedly.
type dockerHosts []config.DockerHost

// UnmarshalText adds one.
func (h *dockerHosts) UnmarshalText(b []byte) error {
	var one config.DockerHost
	if err := one.UnmarshalText(b); err != nil {
		return err
	}
	if slices.Contains(*h, one) {
		return fmt.Errorf("the engine %q is given already: give each engine once", string(one))
	}
	*h = append(*h, one)
	return nil
}

func (h dockerHosts) String() string {
	all := make([]string, len(h))
	for i := range h {
		all[i] = string(h[i])
	}
	return strings.Join(all, " ")
}

// engineSockets are those that --cri or --podman name, once or repeatedly.
type engineSockets []config.EngineSocket

// UnmarshalText adds one.
func (e *engineSockets) UnmarshalText(b []byte) error {
	var one config.EngineSocket
	if err := one.UnmarshalText(b); err != nil {
		return err
	}
	*e = append(*e, one)
	return nil
}

func (e engineSockets) String() string { return strings.Join(config.Named(e), " ") }
