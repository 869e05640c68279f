package config

import (
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/notify"
)

// wants reports whether a receiver is to have an incident by its own matchers. A
// default one without any has only what nobody else wants.
func (c *Receiver) Wants(inc *incident.Incident) bool {
	m := c.match()
	if c.Default && m.Empty() {
		return false
	}
	return c.Severe(inc) && m.Fits(inc)
}

// cares reports whether a receiver that a label picked is to have an incident:
// what concerns the kind of trouble still holds, what concerns the place does not.
func (c *Receiver) Cares(inc *incident.Incident) bool {
	m := incident.Match{Causes: c.match().Causes, Kinds: c.match().Kinds}
	return c.Severe(inc) && m.Fits(inc)
}

// severe reports whether an incident is grave enough.
func (c *Receiver) Severe(inc *incident.Incident) bool {
	return inc.Severity.Rank() >= incident.Severity(c.MinSeverity).Rank()
}

// match is the receiver's matchers.
func (c *Receiver) match() *incident.Match {
	return &incident.Match{Causes: texts(c.Causes), Kinds: texts(c.Kinds), Containers: texts(c.Containers), Labels: texts(c.Labels),
		Projects: texts(c.Projects), Hosts: texts(c.Hosts)}
}

// group is how repeats and storms are told.
func (c *Alerts) Group() notify.GroupOptions {
	return notify.GroupOptions{Window: time.Duration(c.GroupWindow), Pause: time.Duration(c.Pause), LongestPause: time.Duration(c.LongestPause),
		StormPerMinute: int(c.StormPerMinute), Budget: int(c.Budget)}
}

func texts[T ~string](list []T) []string {
	out := make([]string, len(list))
	for i := range list {
		out[i] = string(list[i])
	}
	return out
}
