package config

import (
	"crypto/tls"
	"fmt"

	"github.com/oomwatch/oomwatch/internal/build"
	"github.com/oomwatch/oomwatch/notify/receiver"
)

// Heartbeat makes the sender of heartbeats; heartbeat_url is given.
func (a *Alerts) Heartbeat() (*receiver.Heartbeat, error) {
	opt := receiver.HTTPOptions{URL: string(a.HeartbeatURL), Version: build.Version()}
	if a.HeartbeatCAFile != "" {
		pool, err := rootsWith(a.HeartbeatCAFile)
		if err != nil {
			return nil, fmt.Errorf("alerts.heartbeat_ca_file: %w", err)
		}
		opt.TLS = &tls.Config{RootCAs: pool}
	}
	return receiver.NewHeartbeat(opt)
}

// checkHeartbeat reads and judges the heartbeat's URL.
func (d *document) checkHeartbeat(a *Alerts) (warnings []string) {
	s := source{"heartbeat_url", &a.HeartbeatURL, a.HeartbeatURLFile, a.HeartbeatURLEnv}
	n := 0
	for _, v := range []string{string(a.HeartbeatURL), s.file, s.env} {
		if v != "" {
			n++
		}
	}
	switch {
	case n == 0:
		if a.HeartbeatCAFile != "" {
			d.problem("alerts.heartbeat_ca_file", "it works only with a heartbeat_url")
		}
		return nil
	case n > 1:
		d.problem("alerts", "give at most one of heartbeat_url, heartbeat_url_file and heartbeat_url_env")
		return nil
	}
	v, warning, err := readSecret(a.HeartbeatURL, s.file, s.env)
	if err == nil {
		a.HeartbeatURL = v
		err = receiver.CheckURL(string(v), false)
	}
	if err != nil {
		d.problem("alerts."+s.by(), err.Error())
	}
	if a.HeartbeatCAFile != "" {
		if _, err := rootsWith(a.HeartbeatCAFile); err != nil {
			d.problem("alerts.heartbeat_ca_file", err.Error())
		}
	}
	for _, w := range []string{warning, InsideWarning("alerts.heartbeat_url", string(v))} {
		if w != "" {
			warnings = append(warnings, w)
		}
	}
	return warnings
}
