package audit

import (
	"fmt"
	"slices"
	"strings"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/redact"
)

// Label on a container leaves rules out for it: their ids with commas between, or
// patterns with *.
const Label = "oomwatch.audit.ignore"

// Exclusion leaves out a rule, for all containers or for some. Rule and the names in
// Containers may hold * and ?.
type Exclusion struct {
	Rule       string
	Containers []string
}

// excluded is true where a rule is not wanted of a container, or of the host (nil).
func excluded(rule string, c *Container, exclude []Exclusion) bool {
	if c != nil && slices.ContainsFunc(labelled(c), func(p string) bool { return incident.Glob(p, rule) }) {
		return true
	}
	return slices.ContainsFunc(exclude, func(x Exclusion) bool {
		if !incident.Glob(x.Rule, rule) {
			return false
		}
		return len(x.Containers) == 0 || c != nil && slices.ContainsFunc(x.Containers, func(p string) bool { return incident.Glob(p, c.Name) })
	})
}

// labelled are the patterns that a container's label leaves out.
func labelled(c *Container) []string {
	var out []string
	for p := range strings.SplitSeq(c.Labels[Label], ",") {
		if p = strings.TrimSpace(p); p != "" {
			out = append(out, p)
		}
	}
	return out
}

// unknownIgnores says which patterns of a container's label fit no rule: a slip there
// would go unseen.
func unknownIgnores(c *Container) (notes []string) {
	for _, p := range labelled(c) {
		if !Known(p) {
			notes = append(notes, fmt.Sprintf("the label %s of %s names %q, which is no rule", Label, redact.Sanitize(c.Name), redact.Sanitize(p)))
		}
	}
	return notes
}

// Known is true for a pattern that fits a rule.
func Known(pattern string) bool {
	return slices.ContainsFunc(rules, func(r rule) bool { return incident.Glob(pattern, r.id) })
}
