package incident

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Match selects incidents. Every list that is not empty must hold one that fits;
// a Match without any selects everything. Containers, Labels, Projects and Hosts
// are patterns, in which * stands for any text and ? for one character.
type Match struct {
	Causes     []string `json:"causes,omitempty"`
	Kinds      []string `json:"kinds,omitempty"`
	Severities []string `json:"severities,omitempty"`
	// Containers are names of containers or of compose services.
	Containers []string `json:"containers,omitempty"`
	// Labels are KEY=PATTERN, or KEY for any value. All of them must fit.
	Labels   []string `json:"labels,omitempty"`
	Projects []string `json:"projects,omitempty"` // compose projects
	Hosts    []string `json:"hosts,omitempty"`
}

// Empty is true for a Match that selects everything.
func (m *Match) Empty() bool {
	return len(m.Causes)+len(m.Kinds)+len(m.Severities)+len(m.Containers)+len(m.Labels)+len(m.Projects)+len(m.Hosts) == 0
}

// Check says what is wrong with a Match that came from outside.
func (m *Match) Check() error {
	for _, c := range m.Causes {
		if !slices.ContainsFunc(Causes, func(i CauseInfo) bool { return string(i.Code) == c }) {
			return fmt.Errorf("%q is no cause", c)
		}
	}
	for _, k := range m.Kinds {
		if !slices.Contains([]Kind{KindDeath, KindKill, KindWarning, KindHost}, Kind(k)) {
			return fmt.Errorf("%q is no kind", k)
		}
	}
	for _, s := range m.Severities {
		if !slices.Contains([]Severity{Critical, Warning, Info}, Severity(s)) {
			return fmt.Errorf("%q is no severity", s)
		}
	}
	n := 0
	for _, list := range [][]string{m.Containers, m.Labels, m.Projects, m.Hosts} {
		for _, p := range list {
			n++
			switch {
			case p == "":
				return errors.New("a pattern is empty")
			case len(p) > 256:
				return fmt.Errorf("the pattern %.20q... is longer than 256 bytes", p)
			}
		}
	}
	if n > 100 {
		return fmt.Errorf("%d patterns are more than 100", n)
	}
	for _, l := range m.Labels {
		if k, _, _ := strings.Cut(l, "="); k == "" {
			return fmt.Errorf("%q names no label: write KEY=PATTERN, or KEY for any value", l)
		}
	}
	return nil
}

// Fits says whether the Match selects an incident.
func (m *Match) Fits(i *Incident) bool {
	if len(m.Causes) > 0 && !slices.Contains(m.Causes, string(i.Cause)) ||
		len(m.Kinds) > 0 && !slices.Contains(m.Kinds, string(i.Kind)) ||
		len(m.Severities) > 0 && !slices.Contains(m.Severities, string(i.Severity)) {
		return false
	}
	if len(m.Hosts) > 0 && (i.Host == nil || !anyGlob(m.Hosts, i.Host.Name)) {
		return false
	}
	c := i.Container
	if c == nil {
		return len(m.Containers)+len(m.Labels)+len(m.Projects) == 0
	}
	project, service := "", ""
	if c.Compose != nil {
		project, service = c.Compose.Project, c.Compose.Service
	}
	if len(m.Containers) > 0 && !anyGlob(m.Containers, c.Name) && (service == "" || !anyGlob(m.Containers, service)) ||
		len(m.Projects) > 0 && (project == "" || !anyGlob(m.Projects, project)) {
		return false
	}
	for _, l := range m.Labels {
		key, pattern, valued := strings.Cut(l, "=")
		v, ok := c.Labels[key]
		if !ok || valued && !Glob(pattern, v) {
			return false
		}
	}
	return true
}

func anyGlob(patterns []string, s string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return Glob(p, s) })
}

// Glob says whether s fits a pattern, in which * stands for any text and ? for one
// character; every other character for itself. It takes time proportional to the
// product of both lengths at most.
func Glob(pattern, s string) bool {
	p, t := []rune(pattern), []rune(s)
	i, j, star, mark := 0, 0, -1, 0
	for j < len(t) {
		switch {
		case i < len(p) && p[i] == '*':
			star, mark = i, j
			i++
		case i < len(p) && (p[i] == '?' || p[i] == t[j]):
			i, j = i+1, j+1
		case star >= 0:
			mark++
			i, j = star+1, mark
		default:
			return false
		}
	}
	for i < len(p) && p[i] == '*' {
		i++
	}
	return i == len(p)
}
