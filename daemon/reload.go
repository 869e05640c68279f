package daemon

import (
	"io"
	"strings"

	"github.com/oomwatch/oomwatch/config"
	"github.com/oomwatch/oomwatch/notify"
	"go.uber.org/zap"
)

// reload reads the configuration again and puts what can change while running
// into force: who is told of what, and how much is logged. It returns what holds
// from now on, which is the old configuration when the new one is bad.
func reload(load func() (*config.Config, []string, error), old *config.Config, keep *keeper, out *notify.Outbox, level zap.AtomicLevel, stdout io.Writer, log *zap.Logger) *config.Config {
	cfg, warnings, err := load()
	var told *recipients
	if err == nil {
		told, err = newRecipients(cfg, stdout, log)
	}
	if err != nil {
		log.Error("the configuration is bad and was not put into force; the old one goes on", zap.Error(err))
		return old
	}
	for _, w := range warnings {
		log.Warn(w)
	}
	before := keep.told.Swap(told)
	out.Receivers(told.send)
	config.CloseSenders(before.send)
	level.SetLevel(zapLevel(cfg.Log.Level))
	if keys := needRestart(old, cfg); len(keys) > 0 {
		log.Warn("changed, and put into force at the next start only", zap.Strings("keys", keys))
	}
	log.Info("configuration put into force", zap.Strings("receivers", told.names()))
	return cfg
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
		{"allowed_hosts", strings.Join(a.AllowedHosts, "\n") != strings.Join(b.AllowedHosts, "\n")},
		{"socket", a.Socket != b.Socket},
		{"docker", a.Docker != b.Docker},
		{"alerts.group_window", a.Alerts.GroupWindow != b.Alerts.GroupWindow},
		{"alerts.pause", a.Alerts.Pause != b.Alerts.Pause},
		{"alerts.longest_pause", a.Alerts.LongestPause != b.Alerts.LongestPause},
		{"alerts.storm_per_minute", a.Alerts.StormPerMinute != b.Alerts.StormPerMinute},
		{"alerts.budget", a.Alerts.Budget != b.Alerts.Budget},
		{"alerts.heartbeat_url", a.Alerts.HeartbeatURL != b.Alerts.HeartbeatURL},
		{"alerts.heartbeat_every", a.Alerts.HeartbeatEvery != b.Alerts.HeartbeatEvery},
		{"log.format", a.Log.Format != b.Log.Format},
	} {
		if k.changed {
			keys = append(keys, k.name)
		}
	}
	return keys
}
