package audit

import (
	"slices"

	"github.com/oomwatch/oomwatch/incident"
)

// rule is one thing to look for. A new one is a row of rules and its judge.
type rule struct {
	id       string
	cis      string
	severity incident.Severity
	// title says in a few words what is wrong.
	title string
	// leadsTo is what comes of it; a judge may know better.
	leadsTo string
	// engine is true for what only Docker and Podman define.
	engine bool
	// of judges a container, ofHost the host; nil is well.
	of     func(*Container, *Host) *found
	ofHost func(*Facts) *found
}

// found is what a judge found.
type found struct {
	evidence string
	change   change
	// fix stands in place of change where it is no setting of the container, severity and
	// leadsTo in place of the rule's own.
	fix      string
	severity incident.Severity
	leadsTo  string
}

// rules are all that is looked for. docs/audit.md has a row for each.
var rules = slices.Concat(memoryRules, endRules, runningRules, securityRules)

// given judges a setting that is wrong wherever it is given.
func given(set func(*Container) bool, evidence string, x change) func(*Container, *Host) *found {
	return func(c *Container, _ *Host) *found {
		if !set(c) {
			return nil
		}
		return &found{evidence: evidence, change: x}
	}
}

// Rule is what is told of a rule without judging by it.
type Rule struct {
	ID       string            `json:"rule"`
	CIS      string            `json:"cis,omitempty"`
	Severity incident.Severity `json:"severity"`
	Title    string            `json:"title"`
}

// Rules lists all rules.
func Rules() []Rule {
	out := make([]Rule, len(rules))
	for i, r := range rules {
		out[i] = Rule{r.id, r.cis, r.severity, r.title}
	}
	return out
}
