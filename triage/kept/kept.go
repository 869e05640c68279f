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
	// Each calls f with each reading of it, which is f's for the time of the call.
	Each(ctx context.Context, service string, step time.Duration, from, to time.Time, f func(*recorder.Reading)) error
}

// History reads what is kept of a service since a time, as triage judges it. Its readings
// lie in into, whose memory is used again; nil for memory of their own.
func History(ctx context.Context, past Past, s recorder.Service, from time.Time, into []triage.Reading) (*triage.History, []triage.Reading, error) {
	h := &triage.History{Service: s.Name}
	if s.Name == recorder.Host {
		h.Service, h.Host = triage.HostName, true
	}
	c := cutter{host: h.Host, all: into[:0]}
	err := past.Each(ctx, s.Name, StepFor(s.Last.Sub(from)), from, s.Last, c.add)
	if err == nil {
		h.Runs = c.cut()
	}
	return h, c.all, err
}

// cutter cuts a service's readings into the runs that triage judges: one for each start of
// a container.
type cutter struct {
	host bool
	all  []triage.Reading
	runs []triage.Run
	ends []int // of each run's readings in all

	run   triage.Run
	n     int // readings of the run, those among them that tell nothing
	kills int64
	rises []rise
}

// rise is a reading that counts more kills than the one before.
type rise struct {
	n  int
	at float64
}

func (c *cutter) add(r *recorder.Reading) {
	if r.Start && c.n > 0 {
		c.end()
	}
	at := float64(r.At.UnixNano()) / 1e9
	if c.n == 0 {
		c.kills = r.OOMKill
	}
	if c.kills >= 0 && r.OOMKill > c.kills {
		c.rises = append(c.rises, rise{c.n, at})
	}
	c.kills = max(c.kills, r.OOMKill)
	c.n++
	if r.Used < 0 {
		return
	}
	q := triage.Reading{At: at, Used: float64(r.Used), Held: float64(r.Used)}
	// Page cache of files on disk is given back when memory is needed; what is in swap
	// would not fit otherwise. What the host uses is without its page cache.
	if r.File >= 0 && !c.host {
		q.Held = float64(max(r.Used-r.File+max(r.Shmem, 0)-max(r.Reclaimable, 0), 0))
	}
	if r.Swap > 0 {
		q.Held += float64(r.Swap)
	}
	q.Anon, q.Shmem = float64(max(r.Anon, 0)), float64(max(r.Shmem, 0))
	q.Kernel, q.Swap = float64(max(r.Kernel-max(r.Reclaimable, 0), 0)), float64(max(r.Swap, 0))
	if !c.host {
		q.Unsplit = float64(r.Unsplit())
	}
	c.all = append(c.all, q)
	c.run.Limit = float64(max(r.Limit, 0))
}

// end ends a run. A kill at its last two readings is how it ended.
func (c *cutter) end() {
	from := 0
	if len(c.ends) > 0 {
		from = c.ends[len(c.ends)-1]
	}
	for _, k := range c.rises {
		if k.n >= c.n-2 {
			c.run.OOM = true
		} else {
			c.run.Kills = append(c.run.Kills, k.at)
		}
	}
	if len(c.all) > from {
		c.runs, c.ends = append(c.runs, c.run), append(c.ends, len(c.all))
	}
	c.run, c.n, c.rises = triage.Run{}, 0, c.rises[:0]
}

// cut gives the runs.
func (c *cutter) cut() []triage.Run {
	c.end()
	from := 0
	for i, end := range c.ends {
		c.runs[i].Readings = c.all[from:end:end]
		from = end
	}
	return c.runs
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
