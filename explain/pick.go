package explain

import (
	"slices"
	"strings"
	"time"

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
	if p := c.Compose; p != nil && (p.Service == what || p.Project != "" && what == p.Project+"/"+p.Service) {
		return true
	}
	if service := c.Labels[swarmService]; service != "" && service == what {
		return true
	}
	p := c.Pod
	return p != nil && (p.UID == what || slices.Contains(p.Names(c.Name), what))
}

// swarmService is the label by which a swarm says whose task a container is.
const swarmService = "com.docker.swarm.service.name"

// sameEnd is how near to a kill a death counts as of it: the death is the answer then.
const sameEnd = 5 * time.Second

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
		case newest.Kind != incident.KindDeath && inc.Kind == incident.KindDeath && newest.Time.Sub(inc.Time) < sameEnd && sameContainer(newest, inc):
			newest = inc
		}
	}
	if newest == nil {
		newest = found[len(found)-1]
	}
	return []*incident.Incident{newest}
}

func sameContainer(a, b *incident.Incident) bool {
	return a.Container != nil && b.Container != nil && a.Container.ID == b.Container.ID
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
