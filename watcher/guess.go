package watcher

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/kmsg"
	"github.com/oomwatch/oomwatch/verdict"
)

// looseKill is a kill of which neither path nor pid tells the container.
type looseKill struct {
	s *stray
	k kmsg.Kill
}

// settleLoose gives loose kills to the containers that lost a process.
func (c *Correlator) settleLoose(loose []looseKill, all bool) {
	slices.SortStableFunc(loose, func(a, b looseKill) int { return a.k.Time.Compare(b.k.Time) })
	loose = c.settleByEvent(c.settleByCounter(loose))
	for _, l := range loose {
		if !all && c.strayReadyAt(l.s).After(c.now) {
			// It came along with older ones and found no place yet.
			c.strays = append(c.strays, &stray{episode: l.s.episode, kills: []kmsg.Kill{l.k}, seen: l.s.seen, owners: l.s.owners, members: l.s.members, traced: l.s.traced})
			continue
		}
		c.tellStray(l.s, l.k)
	}
}

// settleByCounter gives loose kills to the containers whose own counter of kills
// rose by more than the records tell, and returns the rest. It is a guess which
// of them hit which, unless only one container lost all of them.
func (c *Correlator) settleByCounter(loose []looseKill) []looseKill {
	type candidate struct {
		e *entry
		n int64
	}
	var from []candidate
	total := int64(0)
	for _, e := range c.entries {
		if n := e.unexplainedAt(c.now.Add(-settled)); e.counts() && n > 0 {
			from, total = append(from, candidate{e, n}), total+n
		}
	}
	slices.SortFunc(from, func(a, b candidate) int { return strings.Compare(a.e.name(), b.e.name()) })
	var oneOf []string
	if len(from) > 1 || total < int64(len(loose)) || len(loose) > 0 && c.missedSome(loose[0].k.Time) {
		oneOf = victims(loose)
	}
	for _, x := range from {
		n := x.n
		loose = slices.DeleteFunc(loose, func(l looseKill) bool {
			if n == 0 || !c.covers(x.e, len(x.e.Runs)-1, 0, l.k.Time) {
				return false // the counter is the present run's
			}
			n--
			c.attachOneOf(match{e: x.e, r: x.e.current(), by: verdict.ByCounter}, l, oneOf)
			return true
		})
	}
	return loose
}

// settleByEvent gives loose kills to the containers of which the engine reported
// an OOM at that very time, the nearest first, where no counter knows better.
func (c *Correlator) settleByEvent(loose []looseKill) (rest []looseKill) {
	type claim struct {
		e    *entry
		r    *run
		at   time.Time
		kill int // of loose
		off  time.Duration
	}
	var claims []claim
	for _, e := range c.entries {
		for n, r := range e.Runs {
			for _, at := range e.unexplainedOOMs(r) {
				for i := range loose {
					if off := at.Sub(loose[i].k.Time).Abs(); off < besides && c.covers(e, n, loose[i].k.PID, loose[i].k.Time) {
						claims = append(claims, claim{e, r, at, i, off})
					}
				}
			}
		}
	}
	slices.SortFunc(claims, func(a, b claim) int {
		return cmp.Or(cmp.Compare(a.off, b.off), strings.Compare(a.e.name(), b.e.name()), cmp.Compare(a.kill, b.kill))
	})
	everyClaim, given := slices.Clone(claims), make([]bool, len(loose))
	for len(claims) > 0 {
		best := claims[0]
		var rivals []looseKill
		others := 0 // events that could have been meant instead
		for _, x := range everyClaim {
			if x.e == best.e && x.at.Equal(best.at) {
				rivals = append(rivals, loose[x.kill])
			} else if x.kill == best.kill {
				others++
			}
		}
		var oneOf []string
		if len(rivals) > 1 || others > 0 || c.missedSome(loose[best.kill].k.Time) {
			oneOf = victims(rivals)
		}
		c.attachOneOf(match{e: best.e, r: best.r, by: verdict.ByEvent}, loose[best.kill], oneOf)
		given[best.kill] = true
		claims = slices.DeleteFunc(claims, func(x claim) bool { return x.kill == best.kill || x.e == best.e && x.at.Equal(best.at) })
	}
	for i := range loose {
		if !given[i] {
			rest = append(rest, loose[i])
		}
	}
	return rest
}

// unexplainedOOMs are the engine's oom events in a run that no kill goes with. Where
// the run's counter was read after one it knows better.
func (e *entry) unexplainedOOMs(r *run) (free []time.Time) {
	kills := slices.Clone(r.Kills)
	for _, t := range r.OOMs {
		if r == e.current() && e.counts() && e.counted.After(t) {
			continue
		}
		i := slices.IndexFunc(kills, func(k verdict.KernelKill) bool { return k.Kill.Time.Sub(t).Abs() < besides })
		if i < 0 {
			free = append(free, t)
			continue
		}
		kills = slices.Delete(kills, i, i+1)
	}
	return free
}

// missedSome is true where the log or the engine lost something near a moment: what
// seems to belong together then may be the halves of two.
func (c *Correlator) missedSome(at time.Time) bool {
	return slices.ContainsFunc(c.gapsAround(at), func(g incident.Gap) bool { return g.Source == "kmsg" || g.Source == "docker" })
}

// victims names loose kills.
func victims(loose []looseKill) []string {
	out := make([]string, len(loose))
	for i, l := range loose {
		out[i] = victim(&l.k)
	}
	return out
}

func victim(k *kmsg.Kill) string { return fmt.Sprintf("%s (pid %d)", k.Comm, k.PID) }

// guessed is true for a kill that was given to a container because that had lost one.
func guessed(k *verdict.KernelKill) bool {
	return k.By == verdict.ByCounter || k.By == verdict.ByEvent
}

// guess is a guessed kill: the i-th of a run.
type guess struct {
	e *entry
	r *run
	i int
}

func (g guess) kill() *verdict.KernelKill { return &g.r.Kills[g.i] }

// doubtGuesses has guesses say that they may be wrong, near which something turns out
// to have been missed.
func (c *Correlator) doubtGuesses() {
	for {
		g, ok := c.findGuess(func(_ *entry, k *verdict.KernelKill) bool { return len(k.OneOf) == 0 && c.missedSome(k.Kill.Time) })
		if !ok {
			return
		}
		k := g.kill()
		k.ID = c.killID(k)
		k.OneOf = []string{victim(&k.Kill)}
		c.tellAgain(g.e, g.r, k)
	}
}

// findGuess looks for a guessed kill.
func (c *Correlator) findGuess(is func(*entry, *verdict.KernelKill) bool) (guess, bool) {
	for _, e := range c.entries {
		for _, r := range e.Runs {
			for i := range r.Kills {
				if k := &r.Kills[i]; guessed(k) && is(e, k) {
					return guess{e, r, i}, true
				}
			}
		}
	}
	return guess{}, false
}

// correct puts right what had been guessed of a kill, now that it is known whose it
// was. Where its true container had been given another's in its stead the two are
// exchanged: each of them did lose one.
func (c *Correlator) correct(m match, k *kmsg.Kill) {
	if m.by == verdict.ByCounter || m.by == verdict.ByEvent {
		return
	}
	wrong, found := c.findGuess(func(e *entry, old *verdict.KernelKill) bool { return e != m.e && sameKill(&old.Kill, k) })
	if !found {
		return
	}
	name := victim(&wrong.kill().Kill)
	if mine, ok := c.findGuess(func(e *entry, own *verdict.KernelKill) bool { return e == m.e && slices.Contains(own.OneOf, name) }); ok {
		a, b := wrong.kill(), mine.kill()
		a.ID, b.ID = c.killID(a), c.killID(b)
		a.Episode, b.Episode = b.Episode, a.Episode
		a.Kill, b.Kill = b.Kill, a.Kill
		a.FromTrace, b.FromTrace = b.FromTrace, a.FromTrace
		a.Marked, b.Marked = b.Marked, a.Marked
		b.By, b.OneOf = m.by, nil
		// Of one alone there is no choice.
		if a.OneOf = slices.DeleteFunc(slices.Clone(a.OneOf), func(s string) bool { return s == name }); len(a.OneOf) == 1 {
			a.OneOf = nil
		}
		c.tellAgain(wrong.e, wrong.r, a)
		c.tellAgain(mine.e, mine.r, b)
		return
	}
	wrong.e.uncount(wrong.kill())
	moved := *wrong.kill()
	moved.ID, moved.By, moved.OneOf, moved.Today = c.killID(&moved), m.by, nil, 0
	wrong.r.Kills = slices.Delete(wrong.r.Kills, wrong.i, wrong.i+1)
	c.move(m.e, moved, wrong.r, m.r)
	wrong.e.Attributed--
	m.e.Attributed++
	if wrong.r.Told && wrong.r.ToldCause == incident.OOMContainer {
		// It may have been put down to this one.
		wrong.r.Amend, c.open[wrong.e] = true, true
	}
	wrong.e.dirty = true
}

// withdraw gives up what had been guessed of a run from the engine's event, now that
// the event is known to have been of another kill: nobody knows whose it was.
func (c *Correlator) withdraw(e *entry, r *run) {
	unsupported := func(k *verdict.KernelKill) bool {
		if k.By != verdict.ByEvent {
			return false
		}
		rest := *r
		rest.Kills = slices.DeleteFunc(slices.Clone(r.Kills), func(x verdict.KernelKill) bool { return sameKill(&x.Kill, &k.Kill) })
		return !slices.ContainsFunc(e.unexplainedOOMs(&rest), func(at time.Time) bool { return at.Sub(k.Kill.Time).Abs() < besides })
	}
	for i := range r.Kills {
		k := r.Kills[i]
		if !unsupported(&k) {
			continue
		}
		r.Kills = slices.Delete(r.Kills, i, i+1)
		e.Attributed--
		e.uncount(&k)
		s := &stray{episode: k.Episode, kills: []kmsg.Kill{k.Kill}, seen: c.now, owners: r.owners, members: k.Members, traced: k.FromTrace}
		if id := c.killID(&k); r.wasTold(id) {
			r.forget(id)
			s.id = id
			c.orphans = appendBounded(c.orphans, s, maxOrphans)
			c.told = append(c.told, Told{Incident: c.explainStray(s, k.Kill), Update: true})
		} else {
			c.strays = append(c.strays, s)
		}
		return
	}
}

// attachOneOf attaches a loose kill.
func (c *Correlator) attachOneOf(m match, l looseKill, oneOf []string) {
	c.attach(m, l.s, l.k)
	if n := len(m.r.Kills); len(oneOf) > 0 && n > 0 && m.r.Kills[n-1].Kill.PID == l.k.PID {
		m.r.Kills[n-1].OneOf = oneOf
	}
}

// besides is how far the engine's word on a kill lies from the kernel's stamp of
// it: some milliseconds, on a busy host. What lies further apart is two kills.
const besides = 250 * time.Millisecond

// settled is how long a risen counter may wait for its own kernel record before
// another's kill is put down to it.
const settled = 400 * time.Millisecond
