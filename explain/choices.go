package explain

import (
	"cmp"
	"slices"
	"strings"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/internal/words"
)

// maxChoices bounds the names that are offered.
const maxChoices = 8

// subjectOf is the name under which what an incident is about is asked for: one that no
// other thing has, as far as that can be.
func subjectOf(inc *incident.Incident) string {
	c := inc.Container
	switch {
	case c == nil:
		return strings.TrimSuffix(inc.Unit, ".service")
	case c.Pod != nil && c.Pod.Namespace != "" && c.Pod.Name != "" && c.Name != "":
		return c.Pod.Namespace + "/" + c.Pod.Name + "/" + c.Name
	case c.Name != "":
		return c.Name
	}
	return incident.ShortID(c.ID)
}

// Choices are the names of the different things that a person's word stands for, the
// newest first; nil where it stands for one, and where no word was given.
func Choices(list []*incident.Incident, what string) []string {
	if what == "" {
		return nil
	}
	var out []string
	for _, inc := range slices.Backward(list) {
		if inc.ID == what {
			return nil
		}
		if name := subjectOf(inc); name != "" && About(inc, what) && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	if len(out) < 2 {
		return nil
	}
	return out[:min(len(out), maxChoices)]
}

// Near are the names on record that are nearest to a word that names nothing: mistyped,
// or a part of it; the nearest first.
func Near(list []*incident.Incident, what string) []string {
	type match struct {
		name string
		far  int
	}
	var found []match
	word := strings.ToLower(strings.TrimPrefix(what, "/"))
	for _, inc := range list {
		for _, n := range inc.Names() {
			far, near := distance(word, strings.ToLower(n.Text))
			if n.ID || !near || slices.ContainsFunc(found, func(m match) bool { return m.name == n.Text }) {
				continue
			}
			found = append(found, match{n.Text, far})
		}
	}
	slices.SortStableFunc(found, func(a, b match) int { return cmp.Or(a.far-b.far, strings.Compare(a.name, b.name)) })
	var out []string
	for _, m := range found[:min(len(found), maxChoices)] {
		out = append(out, m.name)
	}
	return out
}

// distance is how many letters two words differ by, and whether they are near: a third of
// the word at most, or one within the other.
func distance(a, b string) (far int, near bool) {
	const shortest = 3 // of a part
	if len(a) > 256 || len(b) > 256 {
		return 0, false
	}
	far = words.Distance(a, b)
	return far, far <= (len(a)+2)/3 || len(a) >= shortest && strings.Contains(b, a) || len(b) >= shortest && strings.Contains(a, b)
}
