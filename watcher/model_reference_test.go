package watcher

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"

	"github.com/oomwatch/oomwatch/incident"
)

// The reference judges a run by the set of facts that arrived about it. It knows
// neither when they came nor in which order, keeps nothing between two runs, and
// shares no code with what it is held against: it is the table of causes in words.

// has is true when a fact of that name arrived.
func (s *span) has(word string) bool { return s.arrived[word] }

// known is what the engine's word on a run amounts to.
func (s *span) startKnown() bool {
	return s.has("start") || s.has("inspect") || s.has("listed running") || s.has("listed ended")
}

func (s *span) pidKnown() bool { return s.has("inspect") || s.has("listed running") }

// mainKnown is true when it is known that the kernel's victim was its first process.
func (s *span) mainKnown() bool {
	return s.pidKnown() || s.startKnown() && s.first && (s.has("mark") || s.has("mark with cgroup"))
}

func (s *span) endKnown() bool { return s.has("die") || s.has("listed ended") }

// kernelKnown is true when a kernel kill of a process in the run, with those facts
// and a pid that is or is not known to be the run's, is known to be this run's.
func kernelKnown(arrived map[string]bool, pidKnown bool) bool {
	switch {
	case arrived["path record"], arrived["mark with cgroup"]:
		return true
	case arrived["bare record"], arrived["mark"]:
		return pidKnown
	}
	return false
}

// traced is true when a signal to its first process would have been seen.
func (w *world) traced(s *span) bool {
	for _, g := range w.gaps {
		if g.Source == "trace" && !s.end.Before(g.From.Add(-time.Second)) && !s.end.After(g.To.Add(time.Second)) {
			return false
		}
	}
	if s.pidKnown() {
		return true
	}
	// Of a process that is not known no signal is, unless there was none at all.
	for _, u := range w.spans {
		signalled := u.has("sent") || u.has("kernel's signal")
		before, after := s.start.Sub(u.end), u.end.Sub(s.end)
		if (before-200*time.Millisecond).Abs() < 30*time.Millisecond || (after-100*time.Millisecond).Abs() < 30*time.Millisecond {
			s.arrived["at the edge"] = true // it depends on whose clock is asked
		}
		if signalled && !u.pidKnown() && before < 200*time.Millisecond && after < 100*time.Millisecond {
			return false
		}
	}
	return true
}

// superseded is true when a later run of the same container was heard of.
func (w *world) superseded(s *span) bool {
	for _, later := range w.spans {
		if later.name == s.name && later.start.After(s.start) && later.startKnown() {
			return true
		}
	}
	return false
}

// verdict is what must be told of the end of a run; "" for nothing.
func (w *world) verdict(s *span) incident.Cause {
	kernel := s.how.kill != "" && kernelKnown(s.arrived, s.pidKnown())
	asked, killed := s.has("signal 15"), s.has("signal 9")
	for _, u := range w.spans {
		// The engine's word on a signal can come a moment after that on the end
		// it led to: where the next start was missed, whose it was is not known.
		near := u == s || u.name == s.name && u.start.After(s.start) && u.end.Sub(s.end) < 1500*time.Millisecond
		if near && !u.has("start") && (u.has("signal 15") || u.has("signal 9")) {
			return "?"
		}
	}
	if !s.endKnown() {
		switch {
		case kernel && s.mainKnown():
			return incident.OOMContainer // the kernel killed its first process
		case len(s.arrived) == 0 && !w.childNear(s):
			return "" // nobody ever spoke of it
		case w.superseded(s) && s.startKnown():
			if kernel || w.childNear(s) {
				return incident.OOMContainer
			}
			return incident.UnknownCause
		}
		return "?"
	}
	switch {
	case kernel:
		return incident.OOMContainer
	case s.how.code == 137 && asked && killed && s.has("stop"):
		return incident.KillStopTimeout
	case s.how.code == 137 && killed:
		return incident.KillRequest
	case s.how.code == 137 && asked && s.has("stop"):
		return incident.KillStopTimeout
	case asked:
		return incident.StopRequest
	case s.how.code == 137 && s.has("sent") && s.pidKnown():
		return incident.KillProcess
	case s.how.code != 0 && w.childNear(s):
		return incident.OOMContainer
	case s.how.code == 137 && s.has("oom"):
		return incident.OOMContainer
	case s.how.code == 137 && s.has("kernel's signal") && s.pidKnown():
		return incident.OOMContainer
	case s.how.code == 137 && w.traced(s):
		return incident.ExitError
	case s.how.code == 137:
		return incident.KillUnknown
	case s.how.code == 139:
		return incident.CrashSignal
	case s.how.code == 143:
		return incident.UnknownCause
	case s.how.code == 0:
		return ""
	}
	return incident.ExitError
}

// childNear is true when a child's kill within five seconds of its end is known.
func (w *world) childNear(s *span) bool {
	for _, k := range s.kids {
		if s.end.Sub(k.at) < 5*time.Second && kernelKnown(k.arrived, false) {
			return true
		}
	}
	return false
}

// heardOfChild is true when something other than the kernel says that a child was
// killed, and something of the kernel's can be meant.
func (s *span) heardOfChild() bool {
	last := s.kids[len(s.kids)-1]
	counted := false
	for n := range s.kids {
		counted = counted || s.has(fmt.Sprint("counter ", n+1))
	}
	return len(last.arrived) > 0 && (s.has("oom of a child") || counted)
}

// heardOfKill is true when the engine says that a process of the run was killed, and
// log or trace tell of a kill at that time without its place: what they tell may be
// taken for what the engine means.
func (w *world) heardOfKill(s *span) bool {
	if s.how.kill == "" || !s.has("oom") {
		return false
	}
	placeless := func(arrived map[string]bool, at time.Time) bool {
		return (arrived["bare record"] || arrived["mark"]) && s.end.Sub(at).Abs() < 300*time.Millisecond
	}
	for _, u := range w.spans {
		if placeless(u.arrived, u.end) || slices.ContainsFunc(u.kids, func(k *kid) bool { return placeless(k.arrived, k.at) }) {
			return true
		}
	}
	return false
}

// find returns the run that an incident says it is of; nil where there is none.
func (w *world) find(i *incident.Incident) *span {
	for _, s := range w.spans {
		if id(s.name) != i.Container.ID {
			continue
		}
		// The engine's event of a start comes 2 ms after the start.
		if d := i.Container.StartedAt.Sub(s.start); !i.Container.StartedAt.IsZero() && d >= 0 && d <= 3*time.Millisecond {
			return s
		}
		if i.Container.StartedAt.IsZero() && !i.Time.Before(s.start.Add(-time.Second)) && !i.Time.After(s.end.Add(100*time.Millisecond)) {
			return s
		}
	}
	return nil
}

// check holds what was told against the reference.
func (w *world) check(t *rapid.T, told []Told) {
	defer func() {
		if t.Failed() {
			t.Log(w.story(told))
		}
	}()
	deaths := map[*span]*incident.Incident{}
	kills := map[*span]int{}
	last := map[string]*incident.Incident{}
	for _, x := range told {
		if i := x.Incident; (last[i.ID] != nil) != x.Update {
			t.Fatalf("told twice, or an update of nothing: %s", i.Summary)
		}
		last[x.Incident.ID] = x.Incident
	}
	for _, i := range last {
		if i.Kind == incident.KindHost {
			w.checkHost(t, i)
			continue
		}
		s := w.find(i)
		if s == nil {
			t.Fatalf("%s %s: no such run: started %s", i.Kind, i.Summary, i.Container.StartedAt)
		}
		w.checkVictim(t, s, i)
		if i.Kind == incident.KindKill {
			kills[s] += i.Count
			continue
		}
		if old := deaths[s]; old != nil && old.ID != i.ID {
			t.Fatalf("%s (%s): told twice: %s, %s", s.name, s.how.name, old.Summary, i.Summary)
		}
		deaths[s] = i
	}
	for n, s := range w.spans {
		got := incident.Cause("")
		if deaths[s] != nil {
			got = deaths[s].Cause
		}
		if got == incident.ExitOK {
			got = "" // it takes back what was told before
		}
		if w.dark(s) {
			continue
		}
		want := w.verdict(s)
		if s.has("oom") && !s.has("start") && got != want && got != "" {
			// The engine's word on a run whose start was missed may have been
			// taken for nobody's.
			delete(s.arrived, "oom")
			want = w.verdict(s)
		}
		if want == "?" {
			// Only that it is not called what it was not.
			if got == incident.OOMContainer && s.how.kill == "" && len(s.kids) == 0 && len(w.unseenAfter(s)) == 0 {
				t.Fatalf("%s run %d (%s): called OOM", s.name, n, s.how.name)
			}
			continue
		}
		if got == incident.OOMContainer && s.how.child != "" && s.how.code == 3 && s.heardOfChild() {
			// Log or trace have the kill without its place; the engine's word
			// or the counter may have given it one, if nobody else claimed it.
			want = got
		}
		if got == incident.OOMContainer && want == incident.UnknownCause && w.heardOfKill(s) && deaths[s].Confidence != incident.Certain {
			// Nobody saw the end, and it may have come of that kill.
			want = got
		}
		if s.how.code == 137 && !s.pidKnown() && want == incident.ExitError && got == incident.KillUnknown {
			// Less sure than it could be by now: another's signal, whose pid
			// was not known either then, could have been meant.
			want = got
		}
		if got == incident.UnknownCause && w.likeARepeat(s) {
			// Better no reason than the same end told twice.
			want = got
		}
		if s.has("at the edge") && want == incident.KillUnknown && got == incident.ExitError {
			want = got
		}
		for _, u := range w.unseenAfter(s) {
			if got == incident.OOMContainer && (u.how.kill != "" || len(u.kids) > 0) {
				want = got
			}
		}
		if got != want {
			t.Fatalf("%s run %d (%s): told %q, want %q of %v", s.name, n, s.how.name, got, want, s.facts())
		}
		w.checkKills(t, s, kills[s])
	}
}

// likeARepeat is true for a run whose start the engine did not tell, and whose end
// came so soon after another that it may have been the engine's second word on that.
func (w *world) likeARepeat(s *span) bool {
	return !s.has("start") && !s.has("inspect") && slices.ContainsFunc(w.spans, func(u *span) bool {
		return u.name == s.name && u.end.Before(s.end) && s.end.Sub(u.end) < 10*time.Second && u.endKnown()
	})
}

// facts lists what arrived, for a failure.
func (s *span) facts() string {
	var all []string
	for word := range s.arrived {
		all = append(all, word)
	}
	for n, k := range s.kids {
		for word := range k.arrived {
			all = append(all, fmt.Sprintf("child %d: %s", n, word))
		}
	}
	slices.Sort(all)
	return strings.Join(all, "; ")
}

// story is what arrived and what was told, for a failure.
func (w *world) story(told []Told) string {
	var b strings.Builder
	for _, s := range w.spans {
		fmt.Fprintf(&b, "%s %.3f to %.3f pid %d: %s; %v\n", s.name, s.start.Sub(zero).Seconds(), s.end.Sub(zero).Seconds(), s.pid, s.how.name, s.facts())
	}
	for _, f := range w.facts {
		name := ""
		if f.span != nil {
			name = f.span.name
		}
		fmt.Fprintf(&b, "%.3f (%.3f) %s %s %s\n", f.o.Seen.Sub(zero).Seconds(), f.o.At.Sub(zero).Seconds(), f.source, name, f.word)
	}
	for _, x := range told {
		b.WriteString(describe(x))
	}
	return b.String()
}

// dark is true for a container with two runs or more that the engine never spoke of:
// nothing tells those apart, so only that nothing is told twice is held.
func (w *world) dark(s *span) bool {
	n := 0
	for _, u := range w.spans {
		if u.name == s.name && !u.startKnown() && !u.endKnown() {
			n++
		}
	}
	return n > 1
}

// unseenAfter are the runs that the engine never spoke of, after one of whose end it
// never spoke: that there was more than one of them is not to be known.
func (w *world) unseenAfter(s *span) (all []*span) {
	for _, u := range w.spans {
		if u.name == s.name && u.start.After(s.start) && !s.endKnown() && !u.startKnown() && !u.endKnown() {
			all = append(all, u)
		}
	}
	return all
}

// checkVictim holds that a named victim was a process of that very run.
func (w *world) checkVictim(t *rapid.T, s *span, i *incident.Incident) {
	if i.Victim == nil || w.dark(s) {
		return
	}
	ok := i.Victim.PID == s.pid && s.how.kill != ""
	for _, k := range s.kids {
		ok = ok || k.pid == i.Victim.PID
	}
	for _, u := range w.unseenAfter(s) {
		ok = ok || u.pid == i.Victim.PID || slices.ContainsFunc(u.kids, func(k *kid) bool { return k.pid == i.Victim.PID })
	}
	if !ok {
		t.Fatalf("%s (%s): its victim, pid %d, was none of its processes: %s", s.name, s.how.name, i.Victim.PID, i.Summary)
	}
}

// checkKills holds the number of children that are told as killed.
func (w *world) checkKills(t *rapid.T, s *span, got int) {
	least, most := 0, len(s.kids)
	for _, k := range s.kids {
		if kernelKnown(k.arrived, false) {
			least++
		}
	}
	for _, u := range w.unseenAfter(s) {
		most += len(u.kids) + 1
	}
	if s.how.kill != "" {
		most++ // it may have been told before it was known to be the first process
	}
	if got < least || got > most {
		t.Fatalf("%s (%s): told %d children killed, want %d to %d of %v", s.name, s.how.name, got, least, most, s.facts())
	}
}

// checkHost holds that a kill told outside every container is one of which neither
// log nor trace say where the victim was.
func (w *world) checkHost(t *rapid.T, i *incident.Incident) {
	for _, s := range w.spans {
		if i.Victim.PID == s.pid && i.Time.Sub(s.end).Abs() < time.Second && s.how.kill != "" && kernelKnown(s.arrived, false) {
			t.Fatalf("told outside every container, and it was %s: %v", s.name, s.facts())
		}
	}
}
