package warn

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/recorder"
	"github.com/oomwatch/oomwatch/trend"
)

// Row is one container, or the host (no ID), as it stands. Sizes are bytes; what
// is not known is nil.
type Row struct {
	Time time.Time `json:"time"`
	ID   string    `json:"id,omitempty"`
	Name string    `json:"name"`
	// Host is the name of the host that it runs on.
	Host string `json:"host,omitempty"`

	Memory   int64  `json:"memory_bytes"`         // in use, page cache included; of the host what is not available
	Held     *int64 `json:"held_bytes,omitempty"` // of it what cannot be reclaimed
	Limit    *int64 `json:"limit_bytes,omitempty"`
	Headroom *int64 `json:"headroom_bytes,omitempty"` // the limit without what is held
	// LimitOf is the cgroup above it that Limit and Headroom are of, where that leaves
	// less room than its own.
	LimitOf string `json:"limit_of,omitempty"`

	// Recent are the highest of what was held in each of up to 12 stretches of the recent
	// past, the oldest first: by the minute, at its beginning by the second.
	Recent []int64 `json:"recent_bytes,omitempty"`

	// Stalled is for how much of the last 30 s, in percent, some and all tasks
	// stood still, waiting for memory; nil for containers on cgroup v1.
	StalledSome *float64 `json:"stalled_some_percent,omitempty"`
	StalledFull *float64 `json:"stalled_full_percent,omitempty"`

	Trend string `json:"trend"` // spike, leak, growth, flat, sawtooth, unknown
	// Class is what triage makes of its service, as it was last looked at; "" before that.
	Class            string   `json:"class,omitempty"`
	Slope            *float64 `json:"slope_bytes_per_second,omitempty"`
	TimeToLimit      *float64 `json:"time_to_limit_seconds,omitempty"`
	TimeToLimitError *float64 `json:"time_to_limit_error_seconds,omitempty"`

	LimitHits *int64 `json:"limit_hits,omitempty"` // since its cgroup was made
	PIDs      *int64 `json:"pids,omitempty"`
	PIDsLimit *int64 `json:"pids_limit,omitempty"`
	Restarts  *int64 `json:"restarts,omitempty"` // how often its engine has started it again
	// Zombies is how many processes have ended and were not waited for, LogPerHour by how
	// many bytes its log file grows in an hour; nil for few, and for little.
	Zombies    *int64 `json:"zombies,omitempty"`
	LogPerHour *int64 `json:"log_bytes_per_hour,omitempty"`

	// Warnings are the signs that are on. Danger orders rows: above 1 something
	// is warned of, below it is how much of the nearest limit is used.
	Warnings []string `json:"warnings,omitempty"`
	Danger   float64  `json:"danger"`
}

// Look is what a Row is made from: a copy, so that making it, which takes a
// while, holds nobody up.
type Look struct {
	id, name string
	at       time.Time
	last     recorder.Reading
	held     int64
	above    *recorder.Above
	restarts *int64
	series   series
	former   int64
	counters []counters
	on       []string
	zombies  *incident.Zombies
	log      *incident.LogFile
}

// Looks copies how all containers that are read stand; what has ended does not.
func (w *Warner) Looks() []Look {
	var out []Look
	for _, id := range w.ids() {
		st := w.states[id]
		if st.disk != nil || st.ended || st.seen.IsZero() || w.now.Sub(st.seen) > blind {
			continue
		}
		l := Look{id: id, name: st.name, at: st.seen, last: st.last, held: st.held, above: st.above, restarts: st.restarts, former: st.former, counters: slices.Clone(st.counters), zombies: st.zombies, log: st.log}
		l.series.seconds, l.series.minutes = slices.Clone(st.series.seconds), slices.Clone(st.series.minutes)
		for i := range signs {
			name := signs[i].name
			if s := st.signs[name]; s != nil && s.on {
				l.on = append(l.on, name)
			}
		}
		out = append(out, l)
	}
	return out
}

// Rows turns looks at the containers of a host into rows, the most in danger first.
func Rows(host string, looks []Look) []Row {
	out := make([]Row, len(looks))
	for i := range looks {
		out[i] = looks[i].row()
		out[i].Host = host
	}
	slices.SortFunc(out, func(a, b Row) int { return cmp.Or(cmp.Compare(b.Danger, a.Danger), cmp.Compare(a.Name, b.Name)) })
	return out
}

func (l *Look) row() Row {
	r := Row{Time: l.at, ID: l.id, Name: l.name, Memory: l.last.Used, Warnings: l.on,
		LimitHits: known(l.last.LimitHits), PIDs: known(l.last.PIDs), Restarts: l.restarts, Held: known(l.held)}
	if l.id == HostID {
		r.Name = recorder.Host
	}
	if l.last.PIDsLimit > 0 {
		r.PIDsLimit = &l.last.PIDsLimit
	}
	if l.zombies != nil && l.zombies.N > 0 {
		r.Zombies = new(int64(l.zombies.N))
	}
	if l.log != nil && l.log.PerHour > 0 {
		r.LogPerHour = &l.log.PerHour
	}
	r.StalledSome = part(l.counters, func(c *counters) int64 { return c.some })
	r.StalledFull = part(l.counters, func(c *counters) int64 { return c.full })
	limit := max(l.last.Limit, 0)
	if l.above != nil {
		limit = l.held + l.above.Room()
	}
	// By the minute where there are some, since a minute says little of a day.
	p := l.series.seconds
	if len(l.series.minutes) > minMinutes {
		p = l.series.highs()
	}
	r.Recent = stretches(p)
	found := trend.Classify(points(p), trend.Options{Limit: float64(limit)})
	r.Trend = incident.TrendFor(string(found.Shape), "")
	if found.Slope != nil {
		r.Slope = &found.Slope.PerSecond
	}
	if limit > 0 {
		r.Limit = &limit
		if l.held >= 0 {
			r.Headroom = new(max(limit-l.held, 0))
		}
		if f, ok := l.series.forecast(limit, l.former); ok {
			r.TimeToLimit, r.TimeToLimitError = &f.Seconds, new(max(f.Error, 1))
		}
	}
	r.Danger = r.danger()
	if a := l.above; a != nil {
		r.Limit, r.LimitOf = &a.Limit, a.Path
	}
	return r
}

// danger is how much of its nearest limit a container has used, from 0 to 1; a
// limit that will be reached within the hour counts as more than half used. What
// is warned of comes before all else.
func (r *Row) danger() float64 {
	d := 0.0
	share := func(part, whole *int64) {
		if part != nil && whole != nil && *whole > 0 {
			d = max(d, float64(*part)/float64(*whole))
		}
	}
	share(r.Held, r.Limit)
	share(r.PIDs, r.PIDsLimit)
	if r.TimeToLimit != nil {
		d = max(d, 1-*r.TimeToLimit/7200)
	}
	if r.StalledFull != nil {
		d = max(d, *r.StalledFull/100)
	}
	d = min(max(d, 0), 1)
	if len(r.Warnings) > 0 {
		d++
	}
	return math.Round(d*1000) / 1000
}

func known(n int64) *int64 {
	if n < 0 {
		return nil
	}
	return &n
}

func part(c []counters, of func(*counters) int64) *float64 {
	if p := share(c, of); p >= 0 {
		return new(math.Round(p*10) / 10)
	}
	return nil
}
