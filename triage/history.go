package triage

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/redact"
	"github.com/oomwatch/oomwatch/trend"
	"github.com/oomwatch/oomwatch/units"
	rules "github.com/oomwatch/oomwatch/verdict"
)

// Reading is a service's memory at one moment. Sizes are bytes.
type Reading struct {
	At   float64 // seconds on any clock
	Used float64 // all that counts against the limit
	// Held is the part the kernel cannot take back: all but the page cache of
	// files on disk, with what is in swap. It is Used where that is not known.
	Held float64
	// Of Held: what programs have for themselves, shared memory and tmpfs, kernel
	// memory that cannot be taken back, and what is in swap; all 0 where that is
	// not known.
	Anon, Shmem, Kernel, Swap float64
	// Unsplit is the part of Kernel that may be reclaimable all the same: the kernel
	// did not tell how much is (v1).
	Unsplit float64
}

// Run is the readings of one run of a service: from a start to the end.
type Run struct {
	Readings []Reading
	// Limit is the memory limit, 0 where there was none.
	Limit float64
	// OOM is true when the kernel killed something of it.
	OOM bool
	// Kills are when the kernel killed something of it while it lived on.
	Kills []float64
	// Image is what it ran, where that is known.
	Image string
}

// History is the readings of one service, oldest run first.
type History struct {
	Service    string
	Containers []string // newest first
	Runs       []Run
	// Windows asks for what each of the last hour, six hours, day and week shows.
	Windows bool
	// Process says which process holds the most now, Runtime what that one is (Go, JVM,
	// Node.js, Python, ...); "" where that is not known.
	Process, Runtime string
	// Host is true for the host itself: its limit is all its memory.
	Host bool
}

const (
	day = 86400
	// minRun is how many readings a run needs to say anything.
	minRun = 8
	// tooth is how deep a saw-tooth is at least, as a share of its floor.
	tooth = 0.12
	// settled is how long a service must have been seen for "steady".
	settled = 3600
)

// JudgeHistory judges the readings of a service.
func JudgeHistory(h *History) Service {
	s := Service{Schema: Schema, Service: redact.Sanitize(h.Service), Containers: h.Containers, Confidence: incident.Likely}
	j := record{Service: &s, host: h.Host, room: rooms.Get().(*room)}
	defer rooms.Put(j.room)
	j.prepare(h)
	if j.n < minRun {
		s.Class, s.Confidence = NotEnoughData, ""
		s.Reasons = append(s.Reasons, fmt.Sprintf("%d readings: too few to judge", j.n))
		return s
	}
	if j.limit > 0 && !j.host {
		s.Limit = new(int64(j.limit))
	}
	if h.Windows {
		j.look()
	}
	j.judge()
	j.who(h)
	return s
}

// who names the process that holds the most, its runtime and its image, where memory is
// what somebody is to look for.
func (j *record) who(h *History) {
	j.Process, j.Runtime, j.Image = h.Process, h.Runtime, redact.Sanitize(j.images[len(j.images)-1])
	if j.Class != Leak && j.Class != LimitTooSmall || h.Process == "" {
		return
	}
	said := redact.Sanitize(h.Process)
	if h.Runtime != "" {
		said += "; its runtime is " + redact.Sanitize(h.Runtime)
	}
	j.Reasons = append(j.Reasons, said)
}

// record is the judgement of a history at work.
type record struct {
	*Service
	held, used [][]trend.Point // by run
	oom        []bool          // by run: it ended with an OOM kill
	limits     []float64       // by run
	runs       [][]Reading     // by run
	images     []string        // by run
	n          int
	from, to   float64
	limit      float64
	ooms       int
	host       bool
	room       *room
}

// room is the memory that judging a history takes, used again for the next.
type room struct {
	p []trend.Point
	v []float64
}

var rooms = sync.Pool{New: func() any { return new(room) }}

func (r *room) points(n int) []trend.Point {
	if cap(r.p) < n {
		r.p = make([]trend.Point, n)
	}
	return r.p[:n]
}

func (r *room) floats(n int) []float64 {
	if cap(r.v) < n {
		r.v = make([]float64, n)
	}
	return r.v[:n]
}

func (j *record) prepare(h *History) {
	var runs []Run
	for i := range h.Runs {
		runs = append(runs, byKills(h.Runs[i])...)
	}
	n := 0
	for i := range runs {
		runs[i].Readings = alive(runs[i].Readings)
		n += len(runs[i].Readings)
	}
	points := j.room.points(2 * n)
	for _, r := range runs {
		k := len(r.Readings)
		held, used := points[:0:k], points[k:k:2*k]
		points = points[2*k:]
		for i := range r.Readings {
			q := &r.Readings[i]
			held = append(held, trend.Point{T: q.At, V: q.Held})
			used = append(used, trend.Point{T: q.At, V: q.Used})
		}
		if r.OOM {
			j.ooms++
		}
		if len(held) == 0 {
			continue
		}
		if j.n == 0 {
			j.from = held[0].T
		}
		j.n += len(held)
		j.to = held[len(held)-1].T
		j.limit = r.Limit
		j.held, j.used, j.oom, j.limits = append(j.held, held), append(j.used, used), append(j.oom, r.OOM), append(j.limits, r.Limit)
		j.runs, j.images = append(j.runs, r.Readings), append(j.images, r.Image)
	}
}

// byKills cuts a run where the kernel killed something of it and it fell: what died
// there began anew. A kill at the end ends the run.
func byKills(r Run) []Run {
	var out []Run
	for _, at := range r.Kills {
		q := r.Readings
		i := slices.IndexFunc(q, func(x Reading) bool { return x.At >= at })
		if i < 0 || i >= len(q)-2 {
			r.OOM = true
			continue
		}
		if i < 2 {
			continue
		}
		high := max(q[i-1].Held, q[i-2].Held)
		if min(q[i].Held, q[i+1].Held) > 0.85*high {
			continue // what died held little
		}
		// What was read at the moment of the kill may be of either.
		cut := i
		if q[i].Held > 0.85*high {
			cut = i + 1
		}
		first := r
		first.Readings, first.OOM, first.Kills = q[:cut], true, nil
		out = append(out, first)
		r.Readings = q[cut:]
	}
	r.Kills = nil
	return append(out, r)
}

// alive leaves out the readings at a run's end that saw the memory of what had
// just died being given back.
func alive(r []Reading) []Reading {
	for range 3 {
		if n := len(r); n >= 2 && r[n-1].Used < r[n-2].Used/2 {
			r = r[:n-1]
		}
	}
	return r
}

// since are the points of each run from a time on, of the runs that have enough.
func since(runs [][]trend.Point, from float64) [][]trend.Point {
	var out [][]trend.Point
	for _, p := range runs {
		i, _ := slices.BinarySearchFunc(p, from, func(q trend.Point, t float64) int {
			switch {
			case q.T < t:
				return -1
			case q.T > t:
				return 1
			}
			return 0
		})
		if p = p[i:]; len(p) >= minRun {
			out = append(out, p)
		}
	}
	return out
}

// judge goes by how each run went on, and by what is held of the last week.
func (j *record) judge() {
	list := j.courses()
	if len(list) == 0 {
		j.Class, j.Confidence = NotEnoughData, ""
		j.Reasons = append(j.Reasons, "its runs are too short for the readings to show how it grows")
		return
	}
	last := &list[len(list)-1]
	runs := since(j.held, j.to-7*day)
	used := flat(since(j.used, j.to-7*day))
	held := flat(runs)
	seen := j.to - max(j.from, j.to-7*day)
	drops := falls(runs)
	e, leaks := leaking(list)
	switch {
	case leaks:
		j.leak(list, e)
	case j.tight(held):
	case j.cache(used, held):
	case last.Course == trend.Fills:
		j.Class = Filling
		j.Reasons = append(j.Reasons, fmt.Sprintf("grew by %s in %s and slows down: the later half grew %.0f %% as much as the earlier", units.Bytes(int64(last.Gain)), units.Seconds(last.Age), 100*last.Late))
	case j.job(list):
	case last.Course == trend.Grows:
		j.Class, j.Confidence = NotEnoughData, ""
		j.Reasons = append(j.Reasons, fmt.Sprintf("grew %s for %s: %s", units.Rate(last.Rate), units.Seconds(last.Age), j.undecided(list)))
	case j.killed():
	case j.peaks(held):
	case float64(drops) >= 3*max(1, seen/day) && held.share(0.95) > (1+tooth)*held.share(0.05):
		j.Class = Sawtooth
		j.Reasons = append(j.Reasons, fmt.Sprintf("fell back %d times in %s: it gives back what it takes, as a garbage collector does", drops, units.Seconds(seen)))
	case len(held.v) == 0:
		j.Class, j.Confidence = NotEnoughData, ""
		j.Reasons = append(j.Reasons, "its last week has too few readings; the newest is of "+units.Clock(time.Unix(int64(j.to), 0)))
	case j.to-j.from < settled:
		j.Class, j.Confidence = NotEnoughData, ""
		j.Reasons = append(j.Reasons, "an hour is needed to say more")
	default:
		j.Class = Steady
		j.Reasons = append(j.Reasons, fmt.Sprintf("between %s and %s in %s, without a steady trend", units.Bytes(int64(held.share(0.01))), units.Bytes(int64(held.share(0.99))), units.Seconds(seen)))
	}
}

// job tells what grows while it runs, ends by itself, and starts anew.
func (j *record) job(list []course) bool {
	last := &list[len(list)-1]
	var rate, took []float64
	for i := range list {
		if c := &list[i]; c.Course == trend.Grows && !c.oom {
			rate, took = append(rate, c.Rate), append(took, c.Age)
		}
	}
	if len(rate) < 3 || 2*len(rate) < len(list)-1 || last.Course == trend.Stays {
		return false
	}
	j.Class, j.Confidence = Steady, incident.Possible
	j.Reasons = append(j.Reasons, fmt.Sprintf("grew %s in %d runs of about %s: it grows while it runs, and each run starts low again; no run ended with an OOM kill", units.Rate(median(rate)), len(rate), units.Seconds(median(took))))
	return true
}

// undecided says what is missing for growth to be a leak.
func (j *record) undecided(list []course) string {
	last := &list[len(list)-1]
	var high float64
	for _, c := range list[:len(list)-1] {
		if c.run == last.run {
			continue
		}
		high = max(high, c.top)
	}
	if high*clearly > last.Floor {
		return "no more than it held before, " + units.Bytes(int64(high)) + "; it may fill up again after a restart"
	}
	return "it may settle at a new level; a leak would not"
}

// killed tells what was killed again and again and does not grow steadily.
func (j *record) killed() bool {
	if j.ooms < 2 || j.host || j.limit <= 0 {
		return false
	}
	j.Class, j.Confidence = LimitTooSmall, incident.Possible
	j.Reasons = append(j.Reasons, fmt.Sprintf("OOM-killed %d times at its limit of %s, and does not grow steadily between the kills", j.ooms, units.Bytes(int64(j.limit))))
	j.tryLimit()
	return true
}

// tryLimit advises a limit, but where kernel memory that may be reclaimable takes much
// of this one: how much is needed is not known then.
func (j *record) tryLimit() {
	last := j.runs[len(j.runs)-1]
	if q := &last[len(last)-1]; 4*q.Unsplit > j.limit {
		j.Confidence = incident.Possible
		j.Reasons = append(j.Reasons, units.Bytes(int64(q.Unsplit))+" of it is kernel memory, and may be reclaimable: cgroup v1 does not show how much is")
		j.Advice = append(j.Advice, "Look at what the kernel holds for it: many files and directories that are only cached do no harm (slabtop); sockets, pipes and threads whose number keeps growing do.")
		return
	}
	next, _ := rules.SuggestLimit(int64(j.limit))
	j.Suggested = &next
	j.Advice = append(j.Advice, rules.LimitAdvice(int64(j.limit), ""))
}

// falls counts falls of at least half of the range, within runs.
func falls(runs [][]trend.Point) int {
	n := 0
	for _, p := range runs {
		n += trend.Falls(p)
	}
	return n
}

// tight tells a service that does not grow steadily and has hardly any room.
func (j *record) tight(held *values) bool {
	if j.limit <= 0 {
		return false
	}
	usual, peak := held.share(0.5), held.share(0.99)
	if peak < 0.9*j.limit || usual < 0.8*j.limit && j.ooms < 2 {
		return false
	}
	if j.host {
		j.Class = HostOvercommitted
		j.Reasons = append(j.Reasons, fmt.Sprintf("%s of its %s are in use most of the time, %s at times, without the page cache", units.Bytes(int64(usual)), units.Bytes(int64(j.limit)), units.Bytes(int64(peak))))
		j.Advice = append(j.Advice, adviceHost)
		return true
	}
	j.Class = LimitTooSmall
	why := fmt.Sprintf("it needs %s most of the time and %s at times, of its %s, and does not grow steadily", units.Bytes(int64(usual)), units.Bytes(int64(peak)), units.Bytes(int64(j.limit)))
	if j.ooms > 0 {
		why += fmt.Sprintf("; it was OOM-killed in %d of its runs", j.ooms)
	}
	j.Reasons = append(j.Reasons, why)
	j.tryLimit()
	return true
}

// cache tells memory that looks full of what the kernel takes back when it is needed.
func (j *record) cache(used, held *values) bool {
	if len(used.v) == 0 {
		return false
	}
	u, h := used.share(0.99), held.share(0.99)
	grew := used.v[len(used.v)-1] - used.v[0]
	heldGrew := held.v[len(held.v)-1] - held.v[0]
	full := j.limit > 0 && u >= 0.9*j.limit && h < 0.75*j.limit
	grows := grew > 0.2*u && heldGrew < 0.25*grew
	if u-h < 0.25*u || !full && !grows {
		return false
	}
	j.Class = Cache
	why := fmt.Sprintf("%s of the %s in use are page cache, which the kernel takes back when memory is needed; what it cannot take back stayed about %s", units.Bytes(int64(u-h)), units.Bytes(int64(u)), units.Bytes(int64(held.share(0.5))))
	j.Reasons = append(j.Reasons, why)
	return true
}

// peaks tells short peaks far above what is usual.
func (j *record) peaks(held *values) bool {
	usual, top := held.share(0.5), held.share(1)
	if top-usual < 0.5*usual || top-usual < 8<<20 {
		return false
	}
	above := 0
	for _, v := range held.v {
		if v > (usual+top)/2 {
			above++
		}
	}
	if part := float64(above) / float64(len(held.v)); part > 0.05 {
		return false
	}
	j.Class = Spike
	j.Reasons = append(j.Reasons, fmt.Sprintf("usually %s, at most %s, and that for %s %% of the time: short peaks", units.Bytes(int64(usual)), units.Bytes(int64(top)), percent(float64(above)/float64(len(held.v)))))
	if j.limit > 0 && top > 0.9*j.limit {
		j.Advice = append(j.Advice, "The peaks come near its limit: look at what it does then (requests, jobs, cron) and bound it.")
	}
	return true
}

func percent(p float64) string {
	if p < 0.001 {
		return "less than 0.1"
	}
	return fmt.Sprintf("%.1f", 100*p)
}

// values are those of runs, one after another.
type values struct {
	v     []float64 // in the order of time
	mixed []float64 // the same in any order; nil until it is needed
}

func flat(runs [][]trend.Point) *values {
	n := 0
	for _, p := range runs {
		n += len(p)
	}
	out := &values{v: make([]float64, 0, n)}
	for _, p := range runs {
		for _, q := range p {
			out.v = append(out.v, q.V)
		}
	}
	return out
}

// share is the value that a part p of them is not above.
func (x *values) share(p float64) float64 {
	if x.mixed == nil {
		x.mixed = slices.Clone(x.v)
	}
	return trend.Share(x.mixed, p)
}
