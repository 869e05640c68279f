package incident

import (
	"cmp"
	"slices"
)

// digestGroups collects incidents by container, kind and cause, in the order in which
// each came first.
type digestGroups struct {
	list []DigestGroup
	at   map[string]int
}

func (g *digestGroups) add(inc *Incident, e *DigestEntry, firstEver bool) {
	key := inc.HostName() + "\x00" + inc.Key()
	if e.Update {
		key += " update"
	}
	i, ok := g.at[key]
	if !ok {
		if g.at == nil {
			g.at = map[string]int{}
		}
		i = len(g.list)
		g.at[key] = i
		g.list = append(g.list, DigestGroup{Kind: e.Kind, Cause: e.Cause, Severity: e.Severity, Container: e.Container, Update: e.Update,
			Over: true, ID: e.ID, Summary: e.Summary, From: inc.Time, To: inc.Time, Newest: inc})
	}
	o := &g.list[i]
	if e.Update {
		o.Count++ // one piece of news, of however many it speaks
	} else {
		o.Count += max(inc.Count, 1)
	}
	o.FirstEver = o.FirstEver || firstEver
	o.Over = o.Over && e.Over()
	if severityRank[e.Severity] > severityRank[o.Severity] {
		o.Severity = e.Severity
	}
	if inc.Time.Before(o.From) {
		o.From = inc.Time
	}
	if !inc.Time.Before(o.To) {
		o.To, o.ID, o.Summary, o.Container, o.Newest = inc.Time, e.ID, e.Summary, e.Container, inc
	}
}

var severityRank = map[Severity]int{Info: 0, Warning: 1, Critical: 2}

// sorted are the groups: what goes on before what is over, what is new before updates,
// first-ever ones first, then the gravest and the most.
func (g *digestGroups) sorted() []DigestGroup {
	rank := func(x *DigestGroup) int {
		switch {
		case x.Over:
			return 3
		case x.Update:
			return 2
		case !x.FirstEver:
			return 1
		}
		return 0
	}
	slices.SortStableFunc(g.list, func(a, b DigestGroup) int {
		return cmp.Or(rank(&a)-rank(&b), severityRank[b.Severity]-severityRank[a.Severity], b.Count-a.Count)
	})
	return g.list
}
