package incident

import (
	"strconv"
	"strings"
	"time"
)

// ServiceOf names the series that a container's readings belong to, so that it
// outlives the container: its compose project and service (and its number, from
// the second on), else its swarm service and slot, else its pod's namespace, the
// name of what made the pod, and its own where that is another; else its name, else its
// image.
func ServiceOf(c *Container) string {
	if c.Compose != nil && c.Compose.Service != "" {
		return numbered(c.Compose.Project+"/"+c.Compose.Service, c.Labels["com.docker.compose.container-number"])
	}
	if s := c.Labels[labelSwarmService]; s != "" {
		// A task is called SERVICE.SLOT.ID; a global service's slot is its node.
		slot, _, _ := strings.Cut(strings.TrimPrefix(c.Name, s+"."), ".")
		if slot == c.Name {
			slot = ""
		}
		return numbered(s, slot)
	}
	if p := c.Pod; p != nil && p.Namespace != "" && c.Name != "" {
		if p.Name == "" {
			return p.Namespace + "/" + c.Name
		}
		if owner := p.Owner(c.Labels); owner != c.Name {
			return p.Namespace + "/" + owner + "/" + c.Name
		}
		return p.Namespace + "/" + c.Name
	}
	switch {
	case c.Name != "":
		return c.Name
	case c.Image != "":
		return "image " + c.Image
	}
	return c.ID
}

func numbered(service, number string) string {
	if number == "" || number == "1" {
		return service
	}
	return service + "#" + number
}

// labelSwarmService is the label by which a swarm says whose task a container is.
const labelSwarmService = "com.docker.swarm.service.name"

// Name is a name by which a person may ask for what an incident is about.
type Name struct {
	Text string
	// ID is true for one of which the beginning will do.
	ID bool
}

// Names are the names by which a person may ask for what an incident is about: the
// container's, its ids, those of its compose or swarm service with and without the
// project, its pod with and without the namespace, its series in the history, the unit.
func (inc *Incident) Names() []Name {
	var out []Name
	add := func(text string, id bool) {
		for i := range out {
			if out[i].Text == text {
				out[i].ID = out[i].ID || id
				return
			}
		}
		if text != "" {
			out = append(out, Name{text, id})
		}
	}
	add(inc.Unit, false)
	add(strings.TrimSuffix(inc.Unit, ".service"), false)
	c := inc.Container
	if c == nil {
		return out
	}
	add(c.Name, false)
	add(c.ID, true)
	add(c.OuterID, true)
	if p := c.Compose; p != nil && p.Service != "" {
		add(p.Service, false)
		add(p.Project+"/"+p.Service, false)
	}
	add(c.Labels[labelSwarmService], false)
	if c.Pod != nil {
		for _, n := range c.Pod.Names(c.Name) {
			add(n, false)
		}
		add(c.Pod.UID, false)
	}
	if c.ID != "" || c.Name != "" {
		add(ServiceOf(c), false)
	}
	return out
}

// sameEnd is how near to a kill a death counts as its outcome.
const sameEnd = 5 * time.Second

// OutcomeOf is true for the death of the container that lost a process to a kill, where
// they lie next to each other: it says more than the kill, also where its stamp is older.
func (inc *Incident) OutcomeOf(kill *Incident) bool {
	return inc.Kind == KindDeath && kill.Kind != KindDeath && kill.Time.Sub(inc.Time).Abs() < sameEnd &&
		inc.Container != nil && kill.Container != nil && inc.Container.ID == kill.Container.ID
}

// ShortestID is how many characters of an id a person types at least.
const ShortestID = 4

// Called is true where a person's word names what an incident is about; the beginning of
// an id will do.
func (inc *Incident) Called(word string) bool {
	word = strings.TrimPrefix(word, "/")
	for _, n := range inc.Names() {
		if n.Text == word || n.ID && len(word) >= ShortestID && strings.HasPrefix(n.Text, word) {
			return true
		}
	}
	return false
}

// RestartsOver is how often an engine has started a container again that its policy lets
// it start so often and no more, once that failed as well; 0 for any other.
func (c *Container) RestartsOver() int {
	most, ok := strings.CutPrefix(c.RestartPolicy, "on-failure:")
	if !ok || c.RestartCount == nil || c.ExitCode != nil && *c.ExitCode == 0 {
		return 0
	}
	if n, err := strconv.Atoi(most); err == nil && n > 0 && *c.RestartCount >= n {
		return n
	}
	return 0
}
