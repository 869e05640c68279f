// Package kept turns what the recorder keeps of a service into the runs that triage judges.
package kept

import (
	"context"
	"slices"
	"time"

	"github.com/oomwatch/oomwatch/recorder"
	"github.com/oomwatch/oomwatch/triage"
)

// Span is how far back readings are judged, wherever a class is said: so that triage, the
// page and warnings say the same.
const Span = recorder.KeepLong

// Past is what is kept of readings.
type Past interface {
	Services(context.Context) ([]recorder.Service, error)
	// Service is one of them by its name; false where nothing is kept of it.
	Service(ctx context.Context, name string) (recorder.Service, bool, error)
	Series(ctx context.Context, service string, step time.Duration, from, to time.Time) (recorder.Series, error)
}

// History reads what is kept of a service since a time, as triage judges it.
func History(ctx context.Context, past Past, s recorder.Service, from time.Time) (*triage.History, error) {
	h := &triage.History{Service: s.Name}
	if s.Name == recorder.Host {
		h.Service, h.Host = triage.HostName, true
	}
	series, err := past.Series(ctx, s.Name, StepFor(s.Last.Sub(from)), from, s.Last)
	if err == nil {
		h.Runs = Runs(&series)
	}
	return h, err
}

// Runs cuts a service's series into the runs that triage judges: one for each
// start of a container.
func Runs(s *recorder.Series) []triage.Run {
	var runs []triage.Run
	for _, g := range s.Generations() {
		run := triage.Run{Readings: make([]triage.Reading, 0, len(g))}
		for i := range g {
			r := &g[i]
			if r.Used < 0 {
				continue
			}
			q := triage.Reading{At: float64(r.At.UnixNano()) / 1e9, Used: float64(r.Used), Held: float64(r.Used)}
			// Page cache of files on disk is given back when memory is needed;
			// what is in swap would not fit otherwise. What the host uses is
			// without its page cache.
			if r.File >= 0 && s.Service != recorder.Host {
				q.Held = float64(max(r.Used-r.File+max(r.Shmem, 0)-max(r.Reclaimable, 0), 0))
			}
			if r.Swap > 0 {
				q.Held += float64(r.Swap)
			}
			q.Anon, q.Shmem = float64(max(r.Anon, 0)), float64(max(r.Shmem, 0))
			q.Kernel, q.Swap = float64(max(r.Kernel-max(r.Reclaimable, 0), 0)), float64(max(r.Swap, 0))
			if s.Service != recorder.Host {
				q.Unsplit = float64(r.Unsplit())
			}
			run.Readings = append(run.Readings, q)
			run.Limit = float64(max(r.Limit, 0))
		}
		n := len(g)
		kills := g[0].OOMKill
		for i := range g {
			switch now := g[i].OOMKill; {
			case kills < 0, now <= kills:
			case i >= n-2:
				run.OOM = true
			default:
				run.Kills = append(run.Kills, float64(g[i].At.UnixNano())/1e9)
			}
			kills = max(kills, g[i].OOMKill)
		}
		if len(run.Readings) > 0 {
			runs = append(runs, run)
		}
	}
	return runs
}

// StepFor is the finest step at which a span is kept whole.
func StepFor(span time.Duration) time.Duration {
	switch {
	case span <= recorder.KeepRead/2:
		return recorder.StepRead
	case span <= recorder.KeepShort:
		return recorder.StepShort
	}
	return recorder.StepLong
}

// Killed marks the runs during which something of the service was killed, which
// the last reading was too early to count.
func Killed(runs []triage.Run, at time.Time) {
	t := float64(at.UnixNano()) / 1e9
	for i := range runs {
		r := runs[i].Readings
		end := r[len(r)-1].At + 10
		if i+1 < len(runs) {
			end = min(end, runs[i+1].Readings[0].At)
		}
		switch {
		case t < r[0].At || t > end:
		case len(r) > 2 && t < r[len(r)-2].At:
			runs[i].Kills = append(runs[i].Kills, t) // it lived on
			slices.Sort(runs[i].Kills)
		default:
			runs[i].OOM = true
		}
	}
}
