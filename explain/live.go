package explain

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/oomwatch/oomwatch/correlate"
	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/observe"
	"github.com/oomwatch/oomwatch/redact"
	"github.com/oomwatch/oomwatch/watcher"
	"github.com/oomwatch/oomwatch/watcher/cri"
	"github.com/oomwatch/oomwatch/watcher/docker"
	"github.com/oomwatch/oomwatch/watcher/journal"
	"github.com/oomwatch/oomwatch/watcher/kernlog"
)

const (
	// gatherWait bounds how long the sources may take to tell the past.
	gatherWait = 20 * time.Second
	// lookBack is how far back the engine is asked for its events. It holds
	// the newest few hundred, whenever they were.
	lookBack = 30 * 24 * time.Hour
)

// NoEngine is the address of an engine that is not asked.
const NoEngine = "off"

// Host asks this host.
type Host struct {
	// Docker is the engine's address, "" for the usual one, NoEngine for none.
	Docker string
	// CRI and Podman are the sockets of those, as cri.Sockets and docker.FoundPodman take
	// them.
	CRI, Podman []string
	// Facts is what the host says of itself.
	Facts incident.Host
	// LogLines is how many of a container's last log lines go along.
	LogLines int
	// Notes is told which source cannot be read, and what would mend it.
	Notes io.Writer
}

// Incidents asks the engine, the kernel's ring and the journal, once, what happened,
// and joins it as the daemon would. They come oldest first.
func (h *Host) Incidents(ctx context.Context) ([]*incident.Incident, error) {
	since := time.Now().Add(-lookBack)
	sources, err := h.engines(ctx, since)
	if err != nil {
		return nil, err
	}
	sources = append(sources, &kernlog.Source{Once: true}, &journal.Kernel{Since: since})
	obs := withoutRepeats(watcher.Gather(ctx, gatherWait, sources...))
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	for _, o := range obs {
		if s := o.Source; s != nil && !s.Up {
			fmt.Fprintf(h.Notes, "note: %s cannot be read: %s", s.Name, redact.Sanitize(s.Reason))
			if s.Fix != "" {
				fmt.Fprintf(h.Notes, "; next step: %s", s.Fix)
			}
			fmt.Fprintln(h.Notes)
		}
	}
	corr, err := correlate.New(correlate.Options{Host: h.Facts, Horizons: horizons(ctx, since), Voices: journalVoices(ctx, since)}, nil)
	if err != nil {
		return nil, err
	}
	told := correlate.Replay(corr, obs)
	var blind error
	if len(told) == 0 {
		if blind = watcher.AllBlind(corr.Sources()); blind != nil {
			blind = fmt.Errorf("%w; the step that fixes each: oomwatch doctor", blind)
		}
	}
	return latest(told), blind
}

// engines are those that answer, and those that were named. Docker is one of them where
// no other is.
func (h *Host) engines(ctx context.Context, since time.Time) (out []observe.Source, err error) {
	sockets, optional := cri.Sockets(h.CRI)
	for _, s := range sockets {
		if p := cri.Probe(ctx, s); optional && p.Absent {
			continue
		}
		runtime, err := cri.New(cri.Options{Socket: s, Since: since, LogLines: h.LogLines})
		if err != nil {
			return nil, err
		}
		out = append(out, runtime)
	}
	for _, s := range docker.FoundPodman(h.Podman) {
		podman, err := docker.New(docker.Options{Name: docker.PodmanName(s), Host: s, Since: since, LogLines: h.LogLines})
		if err != nil {
			return nil, err
		}
		out = append(out, podman)
	}
	if h.Docker == NoEngine || len(out) > 0 && !docker.Expected(h.Docker) {
		return out, nil
	}
	engine, err := docker.New(docker.Options{Host: h.Docker, Since: since, LogLines: h.LogLines})
	return append(out, engine), err
}

// latest is each incident once, as it was told last, in the order of the first time.
func latest(told []correlate.Emission) []*incident.Incident {
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
