package verdict

import (
	"slices"
	"time"

	"github.com/oomwatch/oomwatch/cgroup"
	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/trend"
)

const (
	// maxRecent is how many of the newest readings go along with an incident as
	// they are; maxPast how many stand for all before them, the highest each of
	// an equal stretch of time.
	maxRecent = 30
	maxPast   = 60
)

// Reading is what a container held at one moment, -1 where it was not read. As in
// memory.stat, File includes Shmem.
type Reading struct {
	At                        time.Time
	Used                      int64
	Anon, File, Shmem, Kernel int64
}

// held is what reclaiming would not have given back; -1 where it is not known.
func (r *Reading) held() int64 {
	if r.Anon < 0 {
		return -1
	}
	return r.Anon + max(r.Shmem, 0) + max(r.Kernel, 0)
}

// lived are the Samples without those from after the end of a container: its
// processes had gone, its cgroup had not, and was almost empty. Where the kernel's
// word on the kill is there, Samples end before it anyway.
func (f *Facts) lived() []cgroup.Sample {
	all := f.Samples
	if f.Kind != incident.KindDeath {
		return all
	}
	for len(all) > 1 {
		last, before := &all[len(all)-1], &all[len(all)-2]
		if last.Current < 0 || last.Current >= before.Current/10 || f.Time.Sub(last.At) > ChildWindow {
			break
		}
		all = all[:len(all)-1]
	}
	return all
}

// readings are all that is known of the run before the incident, oldest first:
// the recorder's, then the last minutes as they were read.
func (f *Facts) readings(samples []cgroup.Sample) []Reading {
	all := make([]Reading, 0, len(f.Past)+len(samples))
	for _, r := range f.Past {
		if len(samples) == 0 || r.At.Before(samples[0].At) {
			all = append(all, r)
		}
	}
	for i := range samples {
		s := &samples[i]
		r := Reading{At: s.At, Used: s.Current, Anon: -1, File: -1, Shmem: -1, Kernel: -1}
		if s.Stat != nil {
			r.Anon, r.File, r.Shmem, r.Kernel = s.Stat.Anon, s.Stat.File, s.Stat.Shmem, s.Stat.Kernel
		}
		all = append(all, r)
	}
	return all
}

// history turns readings into points relative to at and says what shape they have.
func history(all []Reading, limit int64, at time.Time) *incident.History {
	h := &incident.History{}
	if limit > 0 {
		h.Limit = &limit
	}
	for _, r := range fewer(all) {
		t := r.At.Sub(at).Round(time.Millisecond).Seconds()
		h.Points = append(h.Points, incident.Point{T: t, Bytes: r.Used})
		if r.Anon >= 0 {
			h.Breakdown = append(h.Breakdown, incident.Parts{T: t, Anon: known(r.Anon), File: known(r.File), Shmem: known(r.Shmem), Kernel: known(r.Kernel)})
		}
	}
	found := trend.Classify(series(all, at), trend.Options{Limit: float64(max(limit, 0))})
	h.Trend, h.Reason = string(found.Shape), found.Reason
	if found.Slope != nil {
		h.Slope = &found.Slope.PerSecond
	}
	return h
}

// judged puts what triage says of the service, by all that is kept of it, above what the
// last readings look like: a leak is called one everywhere, or nowhere. How memory jumped
// or fell shortly before the incident stays as it was read.
func judged(h *incident.History, j *incident.Judged) {
	shape := h.Trend
	if j == nil {
		h.Call(incident.TrendFor(shape, ""))
		return
	}
	h.Class, h.ClassConfidence, h.ClassReasons = j.Class, j.Confidence, j.Reasons
	h.Call(incident.TrendFor(shape, j.Class))
	if j.Class == incident.ClassLeak {
		h.Slope = j.Rate
	} else if h.Trend == shape || h.Growth && j.Class == incident.ClassUndecided {
		return
	}
	h.Reason = ""
	if len(j.Reasons) > 0 {
		h.Reason = j.Reasons[0]
	}
}

// killsBefore are the kernel's kills of other processes in it between a moment and the
// incident, oldest first, in seconds relative to the incident; the last maxKills of them.
// The kill of the main process is the incident itself.
func (f *Facts) killsBefore(from time.Time) []float64 {
	const maxKills = 30
	var out []float64
	for _, kills := range [][]KernelKill{f.ChildKills, f.Kills} {
		for i := range kills {
			at := killTime(&kills[i])
			if kills[i].Main {
				continue
			}
			if t := at.Sub(f.Time).Round(time.Millisecond).Seconds(); t < 0 && !at.Before(from) {
				out = append(out, t)
			}
		}
	}
	slices.Sort(out)
	return out[max(0, len(out)-maxKills):]
}

// series is what is judged: without page cache where the breakdown is known for
// most of the time, since a cache that fills its limit is no leak.
func series(all []Reading, at time.Time) []trend.Point {
	var used, held []trend.Point
	for i := range all {
		t := all[i].At.Sub(at).Seconds()
		used = append(used, trend.Point{T: t, V: float64(all[i].Used)})
		if n := all[i].held(); n >= 0 {
			held = append(held, trend.Point{T: t, V: float64(n)})
		}
	}
	const enough = 5 // what a shape needs at least
	if len(held) >= enough && trend.Span(held) >= 0.8*trend.Span(used) {
		return held
	}
	return used
}

// fewer picks the readings to show: the newest, and the highest of equal stretches
// of time before them.
func fewer(all []Reading) []Reading {
	if len(all) <= maxPast+maxRecent {
		return all
	}
	past, recent := all[:len(all)-maxRecent], all[len(all)-maxRecent:]
	var out []Reading
	width := past[len(past)-1].At.Sub(past[0].At)/maxPast + 1
	bin := time.Duration(-1)
	for _, r := range past {
		if b := r.At.Sub(past[0].At) / width; b != bin {
			bin, out = b, append(out, r)
		} else if last := &out[len(out)-1]; r.Used > last.Used {
			*last = r
		}
	}
	return append(out, recent...)
}
