package recorder

import (
	"strings"

	"github.com/oomwatch/oomwatch/incident"
)

// Host is the service name of the host itself; no container can have it.
const Host = "(host)"

// ServiceOf names the series that a container's readings belong to, so that it
// outlives the container: its compose project and service (and its number, from
// the second on), else its swarm service and slot, else its pod's namespace, the
// name of what made the pod, and its own where that is another; else its name, else its
// image.
func ServiceOf(c *incident.Container) string {
	if c.Compose != nil && c.Compose.Service != "" {
		return numbered(c.Compose.Project+"/"+c.Compose.Service, c.Labels["com.docker.compose.container-number"])
	}
	if s := c.Labels["com.docker.swarm.service.name"]; s != "" {
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
