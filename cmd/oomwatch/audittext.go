package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/oomwatch/oomwatch/audit"
	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/redact"
	"github.com/oomwatch/oomwatch/units"
)

// writeAudit tells findings to a person: each rule once, with the containers that break it.
func writeAudit(w io.Writer, r *audit.Report, found []audit.Finding, width int, colour bool) error {
	var b strings.Builder
	for _, rule := range byRule(found) {
		first := &found[rule[0]]
		head := fmt.Sprintf("%s  %s", first.Severity, first.Rule)
		if first.CIS != "" {
			head += "  CIS " + first.CIS
		}
		if colour {
			head = severityColour(first.Severity) + head + "\x1b[0m"
		}
		b.WriteString(head + "\n")
		indented(&b, first.LeadsTo, "  ", width)
		for _, i := range rule {
			f := &found[i]
			indented(&b, auditedName(f)+": "+f.Evidence, "  - ", width)
			indented(&b, "fix: "+f.Fix, "    ", width)
		}
		b.WriteByte('\n')
	}
	b.WriteString(auditSummary(r, found) + "\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// byRule groups findings that say the same of several containers, in their order.
func byRule(found []audit.Finding) [][]int {
	type same struct {
		rule, leadsTo string
		severity      incident.Severity
	}
	at := map[same]int{}
	var out [][]int
	for i, f := range found {
		k := same{f.Rule, f.LeadsTo, f.Severity}
		n, ok := at[k]
		if !ok {
			n = len(out)
			at[k] = n
			out = append(out, nil)
		}
		out[n] = append(out[n], i)
	}
	return out
}

// auditedName is whom a finding is about.
func auditedName(f *audit.Finding) string {
	switch c := f.Container; {
	case c == nil:
		return "this host"
	case c.Pod != nil && c.Pod.Name != "":
		return redact.Sanitize(strings.TrimPrefix(c.Pod.Namespace+"/"+c.Pod.Name+"/"+c.Name, "/"))
	case c.Name != "":
		return redact.Sanitize(c.Name)
	default:
		return redact.Sanitize(c.ID[:min(len(c.ID), 12)])
	}
}

// indented writes text in lines, the first behind lead and the others below its words.
func indented(b *strings.Builder, text, lead string, width int) {
	for i, line := range wrap(text, max(width-len(lead), 30)) {
		if i > 0 {
			lead = strings.Repeat(" ", len(lead))
		}
		b.WriteString(lead + line + "\n")
	}
}

// auditSummary says how much there is, and how to see the rest.
func auditSummary(r *audit.Report, found []audit.Finding) string {
	s := fmt.Sprintf("%s in %s", units.Count(len(found), "finding"), units.Count(len(r.Containers), "container"))
	if less := len(r.Findings) - len(found); less > 0 {
		s += fmt.Sprintf("; %d less severe: --min-severity info", less)
	}
	if r.Excluded > 0 {
		s += fmt.Sprintf("; %d left out by labels or the configuration", r.Excluded)
	}
	return s
}

func severityColour(s incident.Severity) string {
	switch s {
	case incident.Critical:
		return "\x1b[1;31m"
	case incident.Warning:
		return "\x1b[1;33m"
	}
	return "\x1b[1m"
}

// writeRules lists the rules.
func writeRules(w io.Writer) error {
	var b strings.Builder
	for _, r := range audit.Rules() {
		fmt.Fprintf(&b, "%-28s %-9s %-5s %s\n", r.ID, r.Severity, r.CIS, r.Title)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
