package explain

import (
	"slices"
	"strings"

	"github.com/oomwatch/oomwatch/incident"
)

// ShortID is how many characters of a container's id a person types at least.
const ShortID = 4

// About reports whether an incident is of what a person named: an incident's id,
// a container's name, compose service or the beginning of its id, a pod's name
// or uid, a systemd unit.
func About(inc *incident.Incident, what string) bool {
	what = strings.TrimPrefix(what, "/")
	if what == "" || inc.ID == what || inc.Unit == what || inc.Unit == what+".service" {
		return true
	}
	c := inc.Container
	if c == nil {
		return false
	}
	if c.Name == what || len(what) >= ShortID && (strings.HasPrefix(c.ID, what) || strings.HasPrefix(c.OuterID, what)) {
		return true
	}
	if c.Compose != nil && c.Compose.Service == what {
		return true
	}
	return c.Pod != nil && (c.Pod.Name == what || c.Pod.UID == what)
}

// Pick chooses what answers "why did it die?" from incidents, oldest first. An
// id or a container is asked for by what; "" is anything. Unless all are wanted
// it is the newest death, or the newest kill where nothing has died.
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
	for _, inc := range slices.Backward(found) {
		if inc.Kind == incident.KindDeath {
			return []*incident.Incident{inc}
		}
	}
	return found[len(found)-1:]
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
