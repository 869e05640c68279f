package explain

import (
	"slices"

	"github.com/oomwatch/oomwatch/incident"
)

// About reports whether an incident is of what a person named: an incident's id, or one
// of the names of what it is about. "" is anything.
func About(inc *incident.Incident, what string) bool {
	return what == "" || inc.ID == what || inc.Called(what)
}

// Pick chooses what answers "why did it die?" from incidents, oldest first. An
// id or a container is asked for by what; "" is anything. Unless all are wanted
// it is the newest death or kill, and of a kill and the death that came of it the
// death; a warning only where there is nothing else.
func Pick(list []*incident.Incident, what string, all bool) []*incident.Incident {
	var found []*incident.Incident
	for _, inc := range list {
		if inc.ID == what && what != "" {
			return []*incident.Incident{inc}
		}
		if About(inc, what) {
			found = append(found, inc)
		}
	}
	slices.SortStableFunc(found, func(a, b *incident.Incident) int { return a.Time.Compare(b.Time) })
	if all || len(found) == 0 {
		return found
	}
	var newest *incident.Incident
	for _, inc := range slices.Backward(found) {
		switch {
		case inc.Kind == incident.KindWarning:
		case newest == nil:
			newest = inc
		case inc.OutcomeOf(newest):
			newest = inc
		}
	}
	if newest == nil {
		newest = found[len(found)-1]
	}
	return []*incident.Incident{newest}
}

// Merge joins what is kept with what was just seen; of the same incident the kept
// one stays, which knew more.
func Merge(kept, seen []*incident.Incident) []*incident.Incident {
	known := make(map[string]bool, len(kept))
	kills := map[int][]*incident.Incident{} // by the victim's pid
	for _, inc := range kept {
		known[inc.ID] = true
		if inc.Victim != nil {
			kills[inc.Victim.PID] = append(kills[inc.Victim.PID], inc)
		}
	}
	for _, inc := range seen {
		again := known[inc.ID] || inc.Victim != nil &&
			slices.ContainsFunc(kills[inc.Victim.PID], func(old *incident.Incident) bool { return sameKill(old, inc) })
		if !again {
			kept = append(kept, inc)
		}
	}
	return kept
}
