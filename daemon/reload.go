package daemon

import (
	"reflect"
	"slices"

	"github.com/oomwatch/oomwatch/config"
	"go.uber.org/zap"
)

// reload reads the configuration again and puts into force what can change while running:
// who is sent what, when to warn, and how much is logged. A bad one changes nothing.
func (d *Daemon) reload() {
	cfg, warnings, err := d.opt.Load()
	var to *recipients
	if err == nil {
		to, err = newRecipients(cfg, d.opt.Stdout, d.log)
	}
	if err != nil {
		d.log.Error("the configuration is wrong and is not used; the old one stays in force", zap.Error(err))
		return
	}
	for _, w := range warnings {
		d.log.Warn(w)
	}
	d.keeper.recipients.Store(to)
	d.outbox.Receivers(to.send)
	d.level.SetLevel(zapLevel(cfg.Log.Level))
	d.watcher.SetRules(cfg.Warnings.Rules())
	d.auditing.leaveOut(cfg.Audit.Exclusions())
	if err := d.onWarning.set(&cfg.Warnings.OnWarning); err != nil {
		d.log.Error("the command for warnings could not be changed: the old one stays", zap.Error(err))
	}
	if keys := needRestart(d.cfg, cfg); len(keys) > 0 {
		d.log.Warn("changed keys take effect at the next start", zap.Strings("keys", keys))
	}
	d.cfg = cfg
	d.log.Info("the new configuration is in force", zap.Strings("receivers", to.names()))
}

// needRestart names the changed keys that a running daemon cannot take up.
func needRestart(a, b *config.Config) (keys []string) {
	for _, k := range []struct {
		name    string
		changed bool
	}{
		{"store", a.Store != b.Store},
		{"history", a.History != b.History},
		{"listen", a.Listen != b.Listen},
		{"allowed_hosts", !slices.Equal(a.AllowedHosts, b.AllowedHosts)},
		{"web", a.Web != b.Web},
		{"external_url", a.ExternalURL != b.ExternalURL},
		{"socket", a.Socket != b.Socket},
		{"docker", !reflect.DeepEqual(a.Docker, b.Docker)},
		{"cri", !reflect.DeepEqual(a.CRI, b.CRI)},
		{"podman", !reflect.DeepEqual(a.Podman, b.Podman)},
		{"alerts.group_window", a.Alerts.GroupWindow != b.Alerts.GroupWindow},
		{"alerts.pause", a.Alerts.Pause != b.Alerts.Pause},
		{"alerts.longest_pause", a.Alerts.LongestPause != b.Alerts.LongestPause},
		{"alerts.storm_per_minute", a.Alerts.StormPerMinute != b.Alerts.StormPerMinute},
		{"alerts.budget", a.Alerts.Budget != b.Alerts.Budget},
		{"alerts.heartbeat_url", a.Alerts.HeartbeatURL != b.Alerts.HeartbeatURL},
		{"alerts.heartbeat_ca_file", a.Alerts.HeartbeatCAFile != b.Alerts.HeartbeatCAFile},
		{"alerts.heartbeat_every", a.Alerts.HeartbeatEvery != b.Alerts.HeartbeatEvery},
		{"metrics", a.Metrics != b.Metrics},
		{"audit.every", a.Audit.Every != b.Audit.Every},
		{"log.format", a.Log.Format != b.Log.Format},
	} {
		if k.changed {
			keys = append(keys, k.name)
		}
	}
	return keys
}
