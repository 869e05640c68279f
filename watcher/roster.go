package watcher

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/oomwatch/oomwatch/cgroup"
	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/kmsg"
	"github.com/oomwatch/oomwatch/observe"
	"github.com/oomwatch/oomwatch/verdict"
)

const (
	// maxGenerations is how many runs of one container are remembered: a
	// restart policy makes several within seconds.
	maxGenerations = 8
	// maxReadings is how many samples are kept per container.
	maxReadings = 120
	// sameStart is how far the engine's "start" event may lie behind the
	// State.StartedAt of the same run.
	sameStart = time.Second
)

// run is one generation of a container: from a start to the end that follows.
type run struct {
	Start time.Time `json:"start"`
	// Exact is true when Start is inspect's StartedAt, not an event's time.
	Exact bool `json:"exact,omitempty"`
	// Guessed is true when the start was not seen at all.
	Guessed bool `json:"guessed,omitempty"`
	PID     int  `json:"pid,omitempty"`

	Exit     *incident.Exit       `json:"exit,omitempty"`
	ExitSeen time.Time            `json:"exit_seen,omitzero"`
	Missed   bool                 `json:"missed,omitempty"`   // the end was not seen live
	Replayed bool                 `json:"replayed,omitempty"` // it was told by an event, afterwards
	Init     *incident.Init       `json:"init,omitempty"`
	Signals  []incident.Signal    `json:"signals,omitempty"`
	Sent     []incident.Sent      `json:"sent,omitempty"`
	StopDone time.Time            `json:"stop_done,omitzero"`
	Health   *incident.Health     `json:"health,omitempty"`
	OOMs     []time.Time          `json:"ooms,omitempty"`
	Kills    []verdict.KernelKill `json:"kills,omitempty"`
	// KillIDs are the ids of those of Kills that were told as incidents of their own.
	// Moved are the ids of those that were told as another run's, or nobody's,
	// before this one was known.
	KillIDs []string     `json:"kill_ids,omitempty"`
	Moved   []string     `json:"moved,omitempty"`
	Faults  []kmsg.Fault `json:"faults,omitempty"`
	// Told is true once the death is an incident (or was no incident at all);
	// ToldCause is what it was told as, and ToldOpen true while the engine's
	// word on it is still to come. Amend is true when it is to be told again:
	// a fact came that decides, and had not been there.
	Told      bool           `json:"told,omitempty"`
	ToldOpen  bool           `json:"told_open,omitempty"`
	Amend     bool           `json:"amend,omitempty"`
	ToldCause incident.Cause `json:"told_cause,omitempty"`
	// ToldLive is true once it was told as it happened.
	ToldLive bool   `json:"told_live,omitempty"`
	DeathID  string `json:"death_id,omitempty"`

	earlier       map[int]bool   // first processes of runs before, by pid (see earlierRuns)
	owners        map[int]string // pid → container, for the task tables of Kills
	detailPending bool
	repeated      time.Time // of the "die" that repeated an end that inspect had told
	listed        time.Time // when inspect told of it: the newest run, then
	logTail       []string
	rawTail       []string
	noLog         string // why there is none
	disks         []incident.Filesystem
	disksUnread   string
	killSeen      time.Time // arrival of the newest kill
	killsSince    time.Time // arrival of the first that was not told yet
	engineDown    bool
	rebooted      bool
}

// entry is one container of the roster.
type entry struct {
	Spec observe.Container `json:"spec"`
	Runs []*run            `json:"runs"`
	// OOMKills is the last reading of the oom_kill counter and OOMKillsTold
	// how many kernel kills were attributed since FirstOOMKills.
	OOMKills      int64 `json:"oom_kills"`
	FirstOOMKills int64 `json:"first_oom_kills"`
	Attributed    int64 `json:"attributed"`
	// KillDay is the day (UTC) that KillsToday counts.
	KillDay    string    `json:"kill_day,omitempty"`
	KillsToday int       `json:"kills_today,omitempty"`
	Removed    time.Time `json:"removed,omitzero"`
	Boot       string    `json:"boot,omitempty"`

	// LastWord is when the engine last spoke of it, by the engine's clock.
	LastWord time.Time `json:"last_word,omitzero"`

	readings    []cgroup.Sample
	past        []verdict.Reading // from before them
	dirty       bool
	counterSeen time.Time // when word came that the counter rose
	counterRose time.Time // when it was read
	rises       []rise    // the counter's values of the last seconds
	counted     time.Time // when the present run's counter was last read
}

// rise is the counter's value from a moment on.
type rise struct {
	at    time.Time
	value int64
}

func newEntry(id string) *entry {
	e := &entry{OOMKills: -1, FirstOOMKills: -1, dirty: true}
	e.Spec.ID = id
	return e
}

func (e *entry) name() string {
	if e.Spec.Name != "" {
		return e.Spec.Name
	}
	if len(e.Spec.ID) > 12 {
		return e.Spec.ID[:12]
	}
	return e.Spec.ID
}

// current is the newest run, or nil.
func (e *entry) current() *run {
	if len(e.Runs) == 0 {
		return nil
	}
	return e.Runs[len(e.Runs)-1]
}

// began returns the run that started at, making one where none fits. exact
// starts are inspect's and come up to sameStart before the event's. pid is its
// first process, 0 where that is not known: another's is another run's.
func (e *entry) began(at time.Time, exact bool, pid int) *run {
	var best *run
	for _, r := range e.Runs {
		if r.Start.Equal(at) {
			return r
		}
		if pid != 0 && r.PID != 0 && r.PID != pid || r.Missed && r.Exit == nil && at.Sub(r.Start) > early {
			continue // another process, or a run that is known to be over
		}
		d := at.Sub(r.Start)
		switch {
		// What a guess was made of happened in the run, so that began before.
		case r.Guessed && !at.After(endOf(r)) && d <= early:
			if best == nil {
				best = r
			}
		case exact && !r.Exact && d <= 0 && d >= -sameStart,
			!exact && r.Exact && d >= 0 && d <= sameStart && (!endOf(r).Before(at) || !r.listed.Before(at)):
			// The event of a run that ended at once can follow its end; one
			// that was the newest since is still that run's.
			if best == nil || best.Guessed || d.Abs() < at.Sub(best.Start).Abs() {
				best = r
			}
		}
	}
	e.dirty = true
	if best != nil {
		if exact || best.Guessed {
			best.Start, best.Exact, best.Guessed = at, exact, false
		}
		return best
	}
	r := &run{Start: at, Exact: exact}
	i := len(e.Runs)
	for i > 0 && e.Runs[i-1].Start.After(at) {
		i--
	}
	e.Runs = append(e.Runs[:i], append([]*run{r}, e.Runs[i:]...)...)
	if i > 0 {
		e.Runs[i-1].yield(r, at)
	}
	e.trim()
	return r
}

// yield gives what the engine said from a moment on to the run that began then: it
// was taken for word on this one, of which no end was seen, while that was the newest.
func (r *run) yield(next *run, from time.Time) {
	r.Signals, next.Signals = divide(r.Signals, next.Signals, func(s incident.Signal) bool { return s.At.Before(from) })
	r.OOMs, next.OOMs = divide(r.OOMs, next.OOMs, func(at time.Time) bool { return at.Before(from) })
	if r.Exit == nil && r.StopDone.After(from) {
		r.StopDone, next.StopDone = time.Time{}, r.StopDone
	}
}

// trim forgets the oldest runs that have been told.
func (e *entry) trim() {
	for len(e.Runs) > maxGenerations && e.Runs[0].Told {
		e.Runs = e.Runs[1:]
	}
}

// never is later than every time.
var never = time.Unix(1<<40, 0)

// endOf is when a run ended; never while it has not.
func endOf(r *run) time.Time {
	if r.Exit == nil {
		return never
	}
	if !r.Exit.FinishedAt.IsZero() {
		return r.Exit.FinishedAt
	}
	return r.Exit.At
}

// unexplained is how many kills the container's counter told that no kernel
// record has been attributed for.
func (e *entry) unexplained() int64 {
	if e.OOMKills < 0 || e.FirstOOMKills < 0 {
		return 0
	}
	return max(0, e.OOMKills-e.FirstOOMKills-e.Attributed)
}

// unexplainedAt is unexplained with the counter as it stood at a moment: what
// rose since may yet be explained by a record that is on its way.
func (e *entry) unexplainedAt(t time.Time) int64 {
	if e.FirstOOMKills < 0 {
		return 0
	}
	value := e.FirstOOMKills
	for _, r := range e.rises {
		if !r.at.After(t) {
			value = r.value
		}
	}
	return max(0, value-e.FirstOOMKills-e.Attributed)
}

// counts is true where the container's own counter of kills can be read.
func (e *entry) counts() bool { return !e.counted.IsZero() && e.FirstOOMKills >= 0 }

// restore reads an entry that marshal wrote.
func restore(id string, b []byte) (*entry, error) {
	e := newEntry(id)
	if err := json.Unmarshal(b, e); err != nil {
		return nil, fmt.Errorf("read kept state of container %.12s: %w", id, err)
	}
	e.Spec.ID = id
	e.dirty = false
	return e, nil
}

// maxKeptTasks bounds the task table that is kept with a run.
const maxKeptTasks = 16

// marshal writes what a restart needs to know of the container.
func (e *entry) marshal() ([]byte, error) {
	kept := *e
	kept.Runs = make([]*run, len(e.Runs))
	for i, r := range e.Runs {
		short := *r
		short.Kills = make([]verdict.KernelKill, len(r.Kills))
		for j, k := range r.Kills {
			if len(k.Episode.Tasks) > maxKeptTasks {
				ep := *k.Episode
				ep.Tasks = ep.Tasks[:maxKeptTasks]
				k.Episode = &ep
			}
			short.Kills[j] = k
		}
		kept.Runs[i] = &short
	}
	return json.Marshal(&kept)
}
