package correlate

import (
	"cmp"
	"time"

	"github.com/oomwatch/oomwatch/cgroup"
	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/kmsg"
	"github.com/oomwatch/oomwatch/observe"
	"github.com/oomwatch/oomwatch/verdict"
)

// maxFacts bounds each list of facts of one container. What is older than its oldest
// run that is remembered is dropped before.
const maxFacts = 64

// facts are all that was seen of one container: lists in the order of the sources' own
// time, whatever the order of arrival. Seen is when a fact arrived; waits count from it.
type facts struct {
	Starts  []stamp           `json:"starts,omitempty"`
	Looks   []look            `json:"looks,omitempty"` // one per start that the engine shows
	Exits   []exit            `json:"exits,omitempty"`
	Asked   []incident.Signal `json:"asked,omitempty"`
	Stops   []stamp           `json:"stops,omitempty"`
	OOMs    []stamp           `json:"ooms,omitempty"`
	Gone    []absence         `json:"gone,omitempty"`
	Health  []healthWord      `json:"health,omitempty"`
	Details []detail          `json:"details,omitempty"`
	Faults  []kmsg.Fault      `json:"faults,omitempty"`
	Sent    []observe.Sent    `json:"sent,omitempty"`
	// ChildKills are SIGKILLs to other processes of it, by somebody else than the kernel.
	ChildKills []childKill `json:"child_kills,omitempty"`
	Counts     []count     `json:"counts,omitempty"`
	Inits      []initSeen  `json:"inits,omitempty"`
	// Counted is when the counter of kills was read last; Uncounted is true once its
	// oldest readings were dropped.
	Counted   time.Time `json:"counted,omitzero"`
	Uncounted bool      `json:"uncounted,omitempty"`
	// Floor is the end of the newest run that is forgotten: facts up to it are of none
	// that matters. Booted is when the host was found to have been booted anew.
	Floor  time.Time `json:"floor,omitzero"`
	Booted time.Time `json:"booted,omitzero"`
}

// stamp is a moment that a source reported.
type stamp struct {
	At   time.Time `json:"at"`
	Owed bool      `json:"owed,omitempty"` // a start: its exact time is being asked for
	Seen time.Time `json:"-"`
}

// look is what the engine shows of the run that began at Started, put together of all
// its answers.
type look struct {
	Started time.Time      `json:"started"`
	PID     int            `json:"pid,omitempty"`
	Exit    *incident.Exit `json:"exit,omitempty"`
	// Shown is when the engine first showed that it had ended, LastRunning when it last
	// showed it running.
	Shown       time.Time `json:"shown,omitzero"`
	LastRunning time.Time `json:"last_running,omitzero"`
	// Last is when it last showed the run at all, and Answers the event of the start
	// because of which it was asked.
	Last     time.Time `json:"last,omitzero"`
	Answers  time.Time `json:"answers,omitzero"`
	Seen     time.Time `json:"-"`
	ExitSeen time.Time `json:"-"`
	// Owed is true while the engine's source still asks for the detail of the end.
	Owed bool `json:"owed,omitempty"`
}

// exit is the engine's event of an end.
type exit struct {
	incident.Exit
	Owed bool      `json:"owed,omitempty"` // a detail will follow
	Seen time.Time `json:"-"`
}

// failed is true for a start that failed: nothing ever ran.
func (x *exit) failed() bool {
	return x.Error != "" && x.Inspected && x.FinishedAt.IsZero()
}

// absence is the word that a container is gone: removed, or missing in its engine's list.
type absence struct {
	At     time.Time `json:"at"`
	Listed bool      `json:"listed,omitempty"`
	Seen   time.Time `json:"-"`
}

// healthWord is the engine's word of the health check, by an event or by an answer.
type healthWord struct {
	At     time.Time       `json:"at"`
	Event  bool            `json:"event,omitempty"`
	Health incident.Health `json:"health"`
	// Started is when the run began that an answer shows; zero where it does not say.
	Started time.Time `json:"started,omitzero"`
}

// detail is what could be learned after the end that DiedAt stamps. The lines are
// dropped once the death is emitted.
type detail struct {
	DiedAt      time.Time             `json:"died_at"`
	LogTail     []string              `json:"log_tail,omitempty"`
	NoLog       string                `json:"no_log,omitempty"`
	Filesystems []incident.Filesystem `json:"filesystems,omitempty"`
	Unread      string                `json:"unread,omitempty"`
	Lines       int                   `json:"lines,omitempty"`
	raw         []string              // never written down
}

// count is a value of the cgroup's oom_kill counter that differs from the one before.
type count struct {
	At   time.Time `json:"at"`
	N    int64     `json:"n"`
	Seen time.Time `json:"-"`
}

// initSeen is the main process as it was read at a moment.
type initSeen struct {
	At   time.Time     `json:"at"`
	Init incident.Init `json:"init"`
}

// container is one container of the roster.
type container struct {
	Spec observe.Container `json:"spec"`
	// SpecAt is how new Spec is by the engine's clock. Engine is the source that speaks
	// of the container; "" while only the kernel did.
	SpecAt time.Time `json:"spec_at,omitzero"`
	Engine string    `json:"engine,omitempty"`
	facts
	Emitted []emission `json:"emitted,omitempty"`
	// Day counts the kills of children that are forgotten, by the day (UTC).
	Day     string `json:"day,omitempty"`
	DayKill int    `json:"day_kills,omitempty"`
	Boot    string `json:"boot,omitempty"`

	service  string    // whose it is, as incident.ServiceOf; "" where only its id is known
	heard    time.Time // arrival of the engine's last word on it
	kills    []*kill   // kernel kills in it, in the order of their time
	runs     []*run    // derived of the facts; nil when they have changed
	claims   uint64    // the fingerprint of what it claims to have lost
	readings []cgroup.Sample
	past     []verdict.Reading // from before them
	judged   *incident.Judged  // what triage said of its service
	judgedAt time.Time
	offline  bool // what is known of it is of files
	dirty    bool
	dueAt    time.Time
	place    int // in the due heap, from 1
}

// insertFact puts a fact into its place by time, once: one of the same time is there
// already. Beyond most the oldest is dropped.
func insertFact[T any](list []T, v T, at func(*T) time.Time, most int) []T {
	i := len(list)
	for i > 0 && at(&list[i-1]).After(at(&v)) {
		i--
	}
	if i > 0 && at(&list[i-1]).Equal(at(&v)) {
		return list
	}
	list = append(list, v)
	copy(list[i+1:], list[i:])
	list[i] = v
	if len(list) > most {
		list = append(list[:0], list[1:]...)
	}
	return list
}

func (s *stamp) at() time.Time      { return s.At }
func (l *look) at() time.Time       { return l.Started }
func (x *exit) at() time.Time       { return x.At }
func (a *absence) at() time.Time    { return a.At }
func (h *healthWord) at() time.Time { return h.At }
func (d *detail) at() time.Time     { return d.DiedAt }
func (n *count) at() time.Time      { return n.At }
func (i *initSeen) at() time.Time   { return i.At }

// of returns the container that an engine speaks of, and notes that it did.
func (c *Correlator) of(engine, id string) *container {
	x := c.containers[id]
	if x == nil {
		x = &container{offline: c.opt.Offline}
		x.Spec.ID = id
		c.containers[id] = x
		x.Engine = engine
		c.touch(x)
		c.located(x)
	}
	if x.Engine == "" {
		x.Engine = engine
	}
	x.heard = c.now
	c.touch(x)
	return x
}

// look takes the engine's answer about a container, alone or in a list.
func (c *Correlator) look(engine string, in *observe.Container, at time.Time, listed bool) {
	if in.ID == "" {
		return
	}
	x := c.of(engine, in.ID)
	for i := range x.Starts {
		if x.Starts[i].At.Equal(in.AnswersStart) {
			x.Starts[i].Owed = false
		}
	}
	c.cgroupOf(in)
	x.learn(in, at)
	c.joinService(x)
	x.sawHealth(in.Health, in.StartedAt, at)
	if in.StartedAt.IsZero() {
		if in.Exit != nil && in.Exit.Error != "" {
			e := exit{Exit: *in.Exit, Seen: c.now}
			e.Inspected = true
			x.Exits = insertFact(x.Exits, e, (*exit).at, maxFacts)
		}
		return
	}
	if !in.StartedAt.After(x.Floor) {
		return
	}
	x.Looks = insertFact(x.Looks, look{Started: in.StartedAt, Seen: c.now}, (*look).at, maxFacts)
	if len(x.Looks) == 1 {
		c.wakeReplaced(x)
	}
	for i := range x.Looks {
		l := &x.Looks[i]
		if !l.Started.Equal(in.StartedAt) {
			continue
		}
		l.Last, l.Answers = later(l.Last, at), later(l.Answers, in.AnswersStart)
		if in.PID != 0 && in.Exit == nil && l.PID == 0 {
			l.PID = in.PID
			c.mains[in.PID] = append(c.mains[in.PID], x)
			c.recallPID(x, in.PID)
		}
		switch {
		case in.Exit == nil:
			l.LastRunning = later(l.LastRunning, at)
		case l.Exit == nil || at.Before(l.Shown):
			e := *in.Exit
			if e.At.IsZero() {
				e.At = e.FinishedAt
			}
			e.Inspected = true
			if l.Exit == nil {
				l.ExitSeen = c.now
			}
			l.Exit, l.Shown = &e, at
			l.Owed = l.Owed || in.DetailPending && listed
		}
	}
}

// cgroupOf takes the sampler's word of where a container's memory cgroup is.
func (c *Correlator) cgroupOf(in *observe.Container) {
	x := c.containers[in.ID]
	if x == nil || in.CgroupPath == "" || in.CgroupPath == x.Spec.CgroupPath {
		return
	}
	c.forgetCgroup(x)
	x.Spec.CgroupPath = in.CgroupPath
	c.touch(x)
	if in.CgroupPath != "/" {
		c.cgroups[in.CgroupPath] = x
		c.located(x)
	}
}

func (c *Correlator) forgetCgroup(x *container) {
	if c.cgroups[x.Spec.CgroupPath] == x {
		delete(c.cgroups, x.Spec.CgroupPath)
	}
}

// named takes what an event says of the container itself.
func (x *container) named(name, image string, labels map[string]string, at time.Time) {
	s := &x.Spec
	if p, service := labels["com.docker.compose.project"], labels["com.docker.compose.service"]; s.Compose == nil && p+service != "" {
		s.Compose = &incident.Compose{Project: p, Service: service}
	}
	if at.Before(x.SpecAt) {
		keep(&s.Name, name)
		keep(&s.Image, image)
		if s.Labels == nil {
			s.Labels = labels
		}
		return
	}
	s.Name, s.Image, x.SpecAt = cmp.Or(name, s.Name), cmp.Or(image, s.Image), at
	if labels != nil {
		s.Labels = labels
	}
}

// learn takes what is newly known of the container itself.
func (x *container) learn(in *observe.Container, at time.Time) {
	exit, health := in.Exit, in.Health
	if at.Before(x.SpecAt) {
		x.Spec = mergeSpec(*in, x.Spec)
	} else {
		x.Spec, x.SpecAt = mergeSpec(x.Spec, *in), at
	}
	x.Spec.Exit, x.Spec.Health = nil, nil // a run's, not the container's
	in.Exit, in.Health = exit, health
}

// list takes an engine's full list of its containers: those that are not in it are gone.
func (c *Correlator) list(engine string, list *observe.List, at time.Time) {
	c.source(engine).listed, c.kills.next = true, c.now
	in := make(map[string]bool, len(list.Containers))
	for i := range list.Containers {
		in[list.Containers[i].ID] = true
		c.look(engine, &list.Containers[i], at, true)
	}
	for _, x := range c.inOrder() {
		if x.Engine == engine && !in[x.Spec.ID] && !x.gone() {
			x.Gone = insertFact(x.Gone, absence{At: at, Listed: true, Seen: c.now}, (*absence).at, 4)
			c.touch(x)
		}
	}
}

// event takes a moment in a container's life that the engine reports as it happens.
func (c *Correlator) event(engine string, in *observe.Event, at time.Time) {
	if in.Kind == observe.Removed && c.containers[in.ID] == nil {
		return
	}
	x := c.of(engine, in.ID)
	x.named(in.Name, in.Image, in.Labels, at)
	c.joinService(x)
	now := stamp{At: at, Owed: in.Owed, Seen: c.now}
	switch in.Kind {
	case observe.Started:
		if at.After(x.Floor) {
			x.Starts = insertFact(x.Starts, now, (*stamp).at, maxFacts)
			c.wakeReplaced(x)
		}
	case observe.Stopped:
		x.Stops = insertFact(x.Stops, now, (*stamp).at, maxFacts)
	case observe.OOM:
		x.OOMs = insertFact(x.OOMs, now, (*stamp).at, maxFacts)
		c.kills.stale = true
	case observe.Removed:
		x.Gone = insertFact(x.Gone, absence{At: at, Seen: c.now}, (*absence).at, 4)
	case observe.Healthy, observe.Unhealthy:
		h := healthWord{At: at, Event: true, Health: incident.Health{Status: incident.Healthy, Since: at}}
		if in.Kind == observe.Unhealthy {
			h.Health.Status = incident.Unhealthy
		}
		x.Health = insertFact(x.Health, h, (*healthWord).at, maxFacts)
	}
}

// exit takes the engine's event of an end.
func (c *Correlator) exit(engine string, in *observe.Exit) {
	x := c.of(engine, in.ID)
	x.named(in.Name, in.Image, in.Labels, in.At)
	if in.At.After(x.Floor) {
		x.Exits = insertFact(x.Exits, exit{Exit: in.Exit, Owed: in.DetailPending, Seen: c.now}, (*exit).at, maxFacts)
	}
}

// detail takes what could still be learned after a death.
func (c *Correlator) detail(engine string, in *observe.Detail) {
	if c.containers[in.ID] == nil {
		return
	}
	x := c.of(engine, in.ID)
	if in.Inspect != nil {
		inspect := *in.Inspect
		inspect.PID = 0
		if inspect.Exit != nil && inspect.Exit.FinishedAt.IsZero() {
			inspect.Exit, inspect.StartedAt = nil, time.Time{} // a start that failed
		}
		c.look(engine, &inspect, in.DiedAt, false)
	}
	d := detail{DiedAt: in.DiedAt, LogTail: in.LogTail, raw: in.RawTail, Filesystems: in.Filesystems, Unread: in.FilesystemsUnread, Lines: len(in.LogTail)}
	if len(in.LogTail) == 0 {
		d.NoLog = in.Problem
	}
	x.Details = insertFact(x.Details, d, (*detail).at, maxFacts)
}

// sawHealth notes the health that an answer of the engine shows. Answers that repeat
// the last one only bring it up to date.
func (x *container) sawHealth(h *incident.Health, started, at time.Time) {
	if h == nil {
		return
	}
	for i := len(x.Health) - 1; i >= 0; i-- {
		if w := &x.Health[i]; !w.At.After(at) {
			if !w.Event && w.Health.Status == h.Status && w.Started.Equal(started) {
				w.Health.FailingStreak, w.Health.Output = h.FailingStreak, h.Output
				return
			}
			break
		}
	}
	x.Health = insertFact(x.Health, healthWord{At: at, Health: *h, Started: started}, (*healthWord).at, maxFacts)
}

// name is what the container is called; the beginning of its id where that is not known.
func (x *container) name() string {
	if x.Spec.Name != "" {
		return x.Spec.Name
	}
	return incident.ShortID(x.Spec.ID)
}

// mergeSpec keeps what was known where the newer word is silent.
func mergeSpec(old, in observe.Container) observe.Container {
	out := in
	keep(&out.Name, old.Name)
	keep(&out.Image, old.Image)
	keep(&out.Runtime, old.Runtime)
	keep(&out.RestartPolicy, old.RestartPolicy)
	keep(&out.StopSignal, old.StopSignal)
	keep(&out.CgroupPath, old.CgroupPath)
	keep(&out.State, old.State)
	keep(&out.Compose, old.Compose)
	keep(&out.Pod, old.Pod)
	keep(&out.MemoryLimit, old.MemoryLimit)
	keep(&out.SwapLimit, old.SwapLimit)
	keep(&out.RestartCount, old.RestartCount)
	keep(&out.StopGraceSecond, old.StopGraceSecond)
	keep(&out.PID, old.PID)
	keep(&out.CPUQuota, old.CPUQuota)
	if out.Labels == nil {
		out.Labels = old.Labels
	}
	out.AutoRemove = out.AutoRemove || old.AutoRemove
	return out
}

// keep sets *to to what was known where it is silent.
func keep[T comparable](to *T, known T) {
	var none T
	if *to == none {
		*to = known
	}
}
