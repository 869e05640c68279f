package verdict

import (
	"strings"

	"github.com/oomwatch/oomwatch/cgroup"
	"github.com/oomwatch/oomwatch/incident"
)

// insideUnit is the systemd unit inside the container whose limit was reached, as in a
// system container (LXC, nspawn, docker with systemd); "" where it was the container's
// own limit.
func insideUnit(inc *incident.Incident) string {
	if inc.OOM == nil || inc.Container == nil || inc.OOM.OOMMemcg == "" {
		return ""
	}
	return unitBelow(inc.OOM.OOMMemcg, inc.Container)
}

// unitBelow is the innermost unit of a path below a container's own cgroup.
func unitBelow(path string, c *incident.Container) string {
	if last := path[strings.LastIndexByte(path, '/')+1:]; len(c.ID) >= 12 && strings.Contains(last, c.ID) {
		return "" // the container's own, as in most kills
	}
	id := cgroup.ParsePath(path)
	parts := strings.Split(strings.Trim(path, "/"), "/")
	at := -1
	for i, p := range parts {
		for _, name := range []string{c.ID, c.OuterID, id.ContainerID, id.OuterID} {
			if len(name) >= 12 && strings.Contains(p, name) {
				at = i
			}
		}
		for _, name := range []string{id.Name, id.OuterName} {
			if name != "" && at < 0 && (p == name || strings.HasPrefix(p, "lxc.payload.") || strings.HasPrefix(p, "systemd-nspawn@") || strings.HasPrefix(p, "machine-") && strings.HasSuffix(p, ".scope")) {
				at = i
			}
		}
	}
	if at < 0 {
		return ""
	}
	for i := len(parts) - 1; i > at; i-- {
		for _, end := range []string{".service", ".scope", ".slice"} {
			if strings.HasSuffix(parts[i], end) {
				return parts[i]
			}
		}
	}
	return ""
}
