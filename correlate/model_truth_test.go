package correlate

import (
	"time"

	"pgregory.net/rapid"

	"github.com/oomwatch/oomwatch/incident"
)

// check holds the incidents of a history against what happened in it.
func (w *world) check(t *rapid.T, d *delivery, final map[string]*incident.Incident) {
	deaths := map[*life]*incident.Incident{}
	for _, i := range final {
		if i.Kind == incident.KindHost {
			continue
		}
		l := w.find(i)
		if l == nil {
			t.Fatalf("%s: no such run\n%s", gist(i), w.story(d))
		}
		w.checkVictim(t, d, l, i)
		if i.Kind != incident.KindDeath || i.Cause == incident.ExitOK {
			continue
		}
		if old := deaths[l]; old != nil && !w.lossy {
			t.Fatalf("one death, emitted as two: %s and %s\n%s", gist(old), gist(i), w.story(d))
		}
		deaths[l] = i
		if i.Cause == incident.OOMContainer && !w.killedIn(l) {
			t.Fatalf("%s: nothing in it was killed at its end\n%s", gist(i), w.story(d))
		}
	}
	if w.lossy {
		return
	}
	// Every source saw everything: each verdict is the true one.
	for _, l := range w.lives {
		got := incident.Cause("")
		if deaths[l] != nil {
			got = deaths[l].Cause
		}
		if got != l.how.want {
			t.Fatalf("%s at %.3f (%s): %q, want %q\n%s", l.name, l.start.Sub(zero).Seconds(), l.how.name, got, l.how.want, w.story(d))
		}
	}
}

// killedIn is true where the kernel killed in a run or, where some source lost something so
// that its runs may be taken for one, in another of its container.
func (w *world) killedIn(l *life) bool {
	for _, o := range w.lives {
		if (o == l || w.lossy && o.name == l.name) && (o.how.kill != "" || len(o.children) > 0) {
			return true
		}
	}
	return false
}

// find returns the run that an incident says it is of; nil where there is none.
func (w *world) find(i *incident.Incident) *life {
	for _, l := range w.lives {
		if id(l.name) != i.Container.ID {
			continue
		}
		if at := i.Container.StartedAt; at.Equal(l.start) || at.Equal(l.began.o.At) {
			return l
		}
		if i.Container.StartedAt.IsZero() && !i.Time.Before(l.start.Add(-time.Second)) && !i.Time.After(l.end.Add(100*time.Millisecond)) {
			return l
		}
	}
	for _, l := range w.lives { // of an end that nobody saw the time is when the next run began
		if id(l.name) == i.Container.ID && i.Container.StartedAt.IsZero() && !i.Time.Before(l.start) {
			return l
		}
	}
	return nil
}

// checkVictim holds that a named victim was a process of that container, and of that very
// run where no source lost anything.
func (w *world) checkVictim(t *rapid.T, d *delivery, l *life, i *incident.Incident) {
	if i.Victim == nil {
		return
	}
	for _, o := range w.lives {
		if o.name != l.name || o != l && !w.lossy {
			continue
		}
		if i.Victim.PID == o.pid && o.how.kill != "" {
			return
		}
		for _, k := range o.children {
			if k.pid == i.Victim.PID {
				return
			}
		}
	}
	t.Fatalf("%s: its victim was none of its processes\n%s", gist(i), w.story(d))
}
