package config

import (
	"fmt"
	"time"

	"github.com/oomwatch/oomwatch/audit"
)

// Audit says how often the daemon audits what runs, and what it leaves out.
type Audit struct {
	// Every is the time between two audits for the metric; 0 audits only when asked.
	Every  window   `yaml:"every"`
	Ignore []Ignore `yaml:"ignore,omitempty"`
}

// Ignore leaves out a rule, for all containers or for some.
type Ignore struct {
	Rule       AuditRule `yaml:"rule"`
	Containers []Pattern `yaml:"containers,omitempty"`
}

const defaultAudit = time.Hour

// Exclusions are what is left out, as the audit takes it.
func (a *Audit) Exclusions() []audit.Exclusion {
	out := make([]audit.Exclusion, len(a.Ignore))
	for i, x := range a.Ignore {
		out[i] = audit.Exclusion{Rule: string(x.Rule), Containers: texts(x.Containers)}
	}
	return out
}

// AuditRule is a rule of the audit, or a pattern of such with * and ?.
type AuditRule string

// UnmarshalText refuses what fits no rule.
func (r *AuditRule) UnmarshalText(b []byte) error {
	*r = AuditRule(b)
	if audit.Known(string(b)) {
		return nil
	}
	var known []string
	for _, rule := range audit.Rules() {
		known = append(known, rule.ID)
	}
	if near := Nearest(string(b), known); near != "" {
		return fmt.Errorf("%q is not a rule, did you mean %q? oomwatch audit --rules lists them", b, near)
	}
	return fmt.Errorf("%q is not a rule: oomwatch audit --rules lists them", b)
}

// checkAudit refuses an exclusion that says not of what.
func (d *document) checkAudit(a *Audit) {
	for i := range a.Ignore {
		if a.Ignore[i].Rule == "" {
			d.problem(fmt.Sprintf("audit.ignore[%d]", i), "it needs a rule: oomwatch audit --rules lists them")
		}
	}
}
