// Package audit says which running containers are set up to die badly or to hurt their
// host. It is pure: what an engine, /proc and the kept history say goes in, findings
// come out. A rule is one row of rules.
package audit

import (
	"cmp"
	"slices"
	"strings"

	"github.com/oomwatch/oomwatch/incident"
)

// Finding is one rule that one container, or the host, breaks.
type Finding struct {
	Rule     string            `json:"rule"`
	Severity incident.Severity `json:"severity"`
	// CIS is the number of the recommendation in the CIS Docker Benchmark 1.6; "" for none.
	CIS string `json:"cis,omitempty"`
	// Container is nil where the host or its engine breaks the rule.
	Container *Subject `json:"container,omitempty"`
	// Evidence is what was read, LeadsTo what comes of it, Fix the change to make, in the
	// form in which the container is defined.
	Evidence string `json:"evidence"`
	LeadsTo  string `json:"leads_to"`
	Fix      string `json:"fix"`
}

// Subject names the container of a finding.
type Subject struct {
	ID      string            `json:"id,omitempty"`
	Name    string            `json:"name,omitempty"`
	Image   string            `json:"image,omitempty"`
	Runtime string            `json:"runtime,omitempty"`
	Compose *incident.Compose `json:"compose,omitempty"`
	Pod     *incident.Pod     `json:"pod,omitempty"`
}

// Report is the outcome of one audit.
type Report struct {
	// Findings are the gravest first, then by container and rule.
	Findings []Finding `json:"findings"`
	// Containers are those that were looked at, by name.
	Containers []Subject `json:"containers"`
	// Excluded is how many findings labels and the configuration left out.
	Excluded int `json:"excluded"`
	// Notes say what could not be looked at, and which exclusions name no rule.
	Notes []string `json:"notes,omitempty"`
}

// Judge tries every rule on every container and on the host.
func Judge(f *Facts, exclude []Exclusion) *Report {
	r := &Report{Findings: []Finding{}, Containers: []Subject{}, Notes: slices.Clone(f.Notes)}
	for i := range rules {
		if rule := &rules[i]; rule.ofHost != nil {
			r.add(rule, nil, nil, rule.ofHost(f), exclude)
		}
	}
	for n := range f.Containers {
		c := &f.Containers[n]
		who := new(c.subject())
		for i := range rules {
			rule := &rules[i]
			if rule.of == nil || rule.engine && !c.byEngine() {
				continue
			}
			r.add(rule, c, who, rule.of(c, &f.Host), exclude)
		}
		r.Containers = append(r.Containers, *who)
		r.Notes = append(r.Notes, unknownIgnores(c)...)
	}
	slices.SortStableFunc(r.Containers, func(a, b Subject) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortStableFunc(r.Findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(b.Severity.Rank(), a.Severity.Rank()), cmp.Compare(a.name(), b.name()))
	})
	return r
}

// add takes what a rule found; nil is nothing. All findings of a container share who it is.
func (r *Report) add(rule *rule, c *Container, who *Subject, found *found, exclude []Exclusion) {
	switch {
	case found == nil:
		return
	case excluded(rule.id, c, exclude):
		r.Excluded++
		return
	}
	x := Finding{Rule: rule.id, Severity: rule.severity, CIS: rule.cis, Evidence: found.evidence, LeadsTo: cmp.Or(found.leadsTo, rule.leadsTo), Fix: found.fix}
	if found.severity != "" {
		x.Severity = found.severity
	}
	if c != nil {
		x.Container = who
		if x.Fix == "" {
			x.Fix = c.apply(found.change)
		}
	}
	r.Findings = append(r.Findings, x)
}

// AtLeast is the findings of at least a severity.
func (r *Report) AtLeast(least incident.Severity) []Finding {
	return slices.DeleteFunc(slices.Clone(r.Findings), func(f Finding) bool { return f.Severity.Rank() < least.Rank() })
}

func (c *Container) subject() Subject {
	return Subject{ID: c.ID, Name: c.Name, Image: c.Image, Runtime: c.Runtime, Compose: c.Compose, Pod: c.Pod}
}

// shortID is how much of an id is enough to mean one.
const shortID = 6

// Is is true for the name that a person gave: the container's, its compose service's, its
// pod's, or the beginning of its id.
func (s *Subject) Is(name string) bool {
	if name == s.Name || len(name) >= shortID && strings.HasPrefix(s.ID, name) {
		return true
	}
	if c := s.Compose; c != nil && (name == c.Service || name == c.Project+"/"+c.Service) {
		return true
	}
	return s.Pod != nil && (name == s.Pod.Name || name == s.Pod.Namespace+"/"+s.Pod.Name)
}

// Only leaves the containers that names name, and returns those of names that name none.
func (r *Report) Only(names []string) (unknown []string) {
	named := func(s *Subject) bool { return slices.ContainsFunc(names, s.Is) }
	for _, n := range names {
		if !slices.ContainsFunc(r.Containers, func(s Subject) bool { return s.Is(n) }) {
			unknown = append(unknown, n)
		}
	}
	r.Containers = slices.DeleteFunc(r.Containers, func(s Subject) bool { return !named(&s) })
	r.Findings = slices.DeleteFunc(r.Findings, func(f Finding) bool { return f.Container == nil || !named(f.Container) })
	return unknown
}

func (f *Finding) name() string {
	if f.Container == nil {
		return ""
	}
	return cmp.Or(f.Container.Name, f.Container.ID)
}
