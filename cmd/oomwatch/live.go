package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/oomwatch/oomwatch/config"
	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/internal/host"
	"github.com/oomwatch/oomwatch/redact"
	"github.com/oomwatch/oomwatch/watcher"
	"github.com/oomwatch/oomwatch/watcher/docker"
	"github.com/oomwatch/oomwatch/watcher/kernlog"
)

const (
	// gatherWait bounds how long the sources may take to tell the past.
	gatherWait = 20 * time.Second
	// lookBack is how far back the engine is asked for its events. It holds
	// the newest few hundred, whenever they were.
	lookBack = 30 * 24 * time.Hour
)

// gatherLive asks the engine, the kernel's ring and the journal, once, what happened,
// and joins it as the daemon would.
func gatherLive(ctx context.Context, engineHost config.DockerHost, notes io.Writer) ([]*incident.Incident, error) {
	since := time.Now().Add(-lookBack)
	engine, err := docker.New(docker.Options{Host: string(engineHost), Since: since, LogLines: config.DefaultLogLines})
	if err != nil {
		return nil, err
	}
	obs := withoutRepeats(watcher.Gather(ctx, gatherWait, engine, &kernlog.Source{Once: true}, journal{since: since, files: syslogFiles}))
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	for _, o := range obs {
		if s := o.Source; s != nil && !s.Up {
			fmt.Fprintf(notes, "note: %s cannot be read: %s", s.Name, redact.Sanitize(s.Reason))
			if s.Fix != "" {
				fmt.Fprintf(notes, "; next step: %s", s.Fix)
			}
			fmt.Fprintln(notes)
		}
	}
	corr, err := watcher.NewCorrelator(watcher.Options{Host: host.Facts()}, nil)
	if err != nil {
		return nil, err
	}
	told := watcher.Replay(corr, obs)
	var blind error
	if len(told) == 0 {
		if blind = watcher.AllBlind(corr.Sources()); blind != nil {
			blind = fmt.Errorf("%w; what would mend each: oomwatch doctor", blind)
		}
	}
	return latest(told), blind
}

// latest is each incident once, as it was told last, in the order of the first time.
func latest(told []watcher.Told) []*incident.Incident {
	at := map[string]int{}
	var out []*incident.Incident
	for _, t := range told {
		if i, again := at[t.Incident.ID]; again {
			out[i] = t.Incident
			continue
		}
		at[t.Incident.ID] = len(out)
		out = append(out, t.Incident)
	}
	return out
}
