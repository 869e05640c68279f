package correlate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/observe"
	"github.com/oomwatch/oomwatch/verdict"
)

// eventSkew is how far an engine's oom event lies from the kernel's stamp of the kill:
// some milliseconds, on a busy host. What lies further apart is two kills.
const eventSkew = 250 * time.Millisecond

// claim says that a container lost a process that no kill with a known place explains:
// n of them between two readings of its counter, or one at the engine's oom event.
type claim struct {
	x        *container
	r        *run
	from, to time.Time // between these the kills were
	n        int
	by       verdict.Attribution
	events   []time.Time // the engine's oom events of the run that no sure kill explains
}

// loose are the kills of which neither path nor pid nor mark shows the container.
func (c *Correlator) loose() (out []*kill) {
	for k := range c.kills.open {
		if k.pathless() && k.located() == "" && !c.fixed(k) {
			out = append(out, k)
		}
	}
	slices.SortFunc(out, func(a, b *kill) int {
		return cmp.Or(a.at().Compare(b.at()), cmp.Compare(a.Kill.PID, b.Kill.PID))
	})
	return out
}

// guessed is true for a kill that was given to a container because that had lost one.
func (k *kill) guessed() bool { return k.By == verdict.ByCounter || k.By == verdict.ByEvent }

// fixed is true for a kill that was emitted so long ago that no word on its moment is to
// be expected any more: what becomes known of others does not move it.
func (c *Correlator) fixed(k *kill) bool {
	return k.Emitted != nil && c.now.Sub(c.arrival(k.seen)) > keepRun
}

// assign gives the loose kills to the containers that lost a process: by their own oom
// events and counters of kills, the nearest first. It is computed of the facts as a
// whole, so that each new fact gives the answer anew.
func (c *Correlator) assign() {
	c.kills.stale = false
	kills := c.loose()
	if len(kills) == 0 {
		return
	}
	claims := c.claims()
	rivals := c.rivals(kills, claims)
	given := make([]*claim, len(kills))
	for _, m := range matches(kills, claims) {
		if given[m.kill] == nil && m.claim.n > 0 {
			given[m.kill] = m.claim
			m.claim.n--
		}
	}
	for i, k := range kills {
		var home *container
		by := verdict.ByNone
		var oneOf []string
		if g := given[i]; g != nil {
			home, by, oneOf = g.x, g.by, rivals[i]
		}
		if home != k.home || by != k.By || !slices.Equal(oneOf, k.oneOf) {
			k.oneOf = oneOf
			c.give(k, home, by)
			c.kills.open[k] = true // it is a guess
		}
	}
}

// claims are those of all containers that have any, in the order of their names.
func (c *Correlator) claims() (out []*claim) {
	for x := range c.kills.claimants {
		out = append(out, c.claimsOf(x)...)
	}
	slices.SortFunc(out, func(a, b *claim) int {
		return cmp.Or(a.to.Compare(b.to), strings.Compare(a.x.name(), b.x.name()), a.from.Compare(b.from))
	})
	return out
}

// claimsOf are the claims of one container.
func (c *Correlator) claimsOf(x *container) (out []*claim) {
	if len(x.Counts) == 0 && len(x.OOMs) == 0 {
		return nil
	}
	sure := map[*run][]time.Time{}
	for _, k := range x.kills {
		if r := x.runAt(k.Kill.PID, k.at(), c.opt.Offline); r != nil && (!k.guessed() || c.fixed(k)) {
			sure[r] = append(sure[r], k.at())
		}
	}
	for _, r := range x.timeline() {
		loose := unexplained(r.ooms, sure[r])
		for _, rise := range x.uncounted(r, sure[r]) {
			out = append(out, &claim{x: x, r: r, from: rise.from, to: rise.At, n: rise.n, by: verdict.ByCounter, events: loose})
		}
		for _, at := range loose {
			// Where the counter was read after the event it knows better.
			if r != x.current() || len(x.Counts) == 0 || !x.Counted.After(at) {
				out = append(out, &claim{x: x, r: r, from: at, to: at, n: 1, by: verdict.ByEvent, events: []time.Time{at}})
			}
		}
	}
	return out
}

// unexplained are the engine's oom events near which no kill is known for sure; each
// kill explains one.
func unexplained(events, sure []time.Time) (out []time.Time) {
	sure = slices.Clone(sure)
	for _, at := range events {
		if i := slices.IndexFunc(sure, func(t time.Time) bool { return t.Sub(at).Abs() < eventSkew }); i >= 0 {
			sure = slices.Delete(sure, i, i+1)
		} else {
			out = append(out, at)
		}
	}
	return out
}

// fits says whether a kill can be one that the claim is about.
func (m *claim) fits(k *kill) bool {
	if !m.r.covers(k.Kill.PID, k.at(), false) {
		return false
	}
	if m.by == verdict.ByEvent {
		return k.at().Sub(m.to).Abs() < eventSkew
	}
	return k.at().After(m.from.Add(-late)) && !k.at().After(m.to.Add(late))
}

// match is a kill, by its index, and a claim that it fits; off is how far the kill lies
// from the nearest oom event of the claim's container.
type match struct {
	kill  int
	claim *claim
	off   time.Duration
}

// matches lists what fits, the best first: kills next to an oom event by how near it is,
// then those that only lie between two readings of a counter, in their order.
func matches(kills []*kill, claims []*claim) (out []match) {
	for i, k := range kills {
		for _, m := range claims {
			if m.fits(k) {
				out = append(out, match{i, m, m.off(k)})
			}
		}
	}
	slices.SortStableFunc(out, func(a, b match) int { return cmp.Compare(a.off, b.off) })
	return out
}

// off is how far a kill lies from the claim's nearest oom event; eventSkew where none is near.
func (m *claim) off(k *kill) time.Duration {
	off := eventSkew
	for _, at := range m.events {
		off = min(off, k.at().Sub(at).Abs())
	}
	return off
}

// rivals are, for each kill, the victims that could be meant in its stead: all of those
// that hang together by the claims that they fit, where more than one container claims
// one of them, there are more kills than claims, or a source lost records just then. A
// kill that can be no other has none.
func (c *Correlator) rivals(kills []*kill, claims []*claim) [][]string {
	group := make([]int, len(kills)) // kill → its group's first
	for i := range group {
		group[i] = i
	}
	root := func(i int) int {
		for group[i] != i {
			i = group[i]
		}
		return i
	}
	homes, slots := make([]map[*container]bool, len(kills)), make([]int, len(kills))
	for _, m := range claims {
		first := -1
		for i, k := range kills {
			if !m.fits(k) {
				continue
			}
			if first < 0 {
				first = i
			} else {
				group[root(i)] = root(first)
			}
		}
	}
	for _, m := range claims {
		if i := slices.IndexFunc(kills, m.fits); i >= 0 {
			i = root(i)
			if homes[i] == nil {
				homes[i] = map[*container]bool{}
			}
			homes[i][m.x] = true
			slots[i] += m.n
		}
	}
	members := make([][]string, len(kills))
	for i, k := range kills {
		members[root(i)] = append(members[root(i)], victimName(k))
	}
	out := make([][]string, len(kills))
	for i, k := range kills {
		r := root(i)
		if len(homes[r]) > 1 || slots[r] < len(members[r]) || c.missedSome(k.at()) {
			out[i] = members[r]
		}
	}
	return out
}

func victimName(k *kill) string { return fmt.Sprintf("%s (pid %d)", k.Kill.Comm, k.Kill.PID) }

// missedSome is true where the log or an engine lost something near a moment: what
// seems to belong together then may be the halves of two.
func (c *Correlator) missedSome(at time.Time) bool {
	return slices.ContainsFunc(c.gapsAround(at), func(g incident.Gap) bool {
		s := c.host.Sources[g.Source]
		return g.Source == observe.KernelLog || s != nil && s.State.Kind == observe.KindEngine
	})
}
