package verdict

import (
	"testing"

	"github.com/oomwatch/oomwatch/incident"
)

// TestLimitsAreWrittenForPeople looks that a command to raise a limit has sizes that a
// person can read, and loses no byte where they cannot be.
func TestLimitsAreWrittenForPeople(t *testing.T) {
	const mib = 1 << 20
	docker := func(limit, swap int64) *incident.Incident {
		return &incident.Incident{Container: &incident.Container{Name: "web", Runtime: "docker", MemoryLimit: &limit, SwapLimit: &swap}}
	}
	for _, c := range []struct {
		inc  *incident.Incident
		next int64
		want string
	}{
		{docker(32*mib, 64*mib), 48 * mib, "docker update -m 48m --memory-swap 80m web, and the same -m where it is started"},
		{docker(32*mib, 64*mib+4096), 48 * mib, "docker update -m 48m --memory-swap 81924k web, and the same -m where it is started"},
		{docker(32*mib, 64*mib+1), 48 * mib, "docker update -m 48m --memory-swap 83886081 web, and the same -m where it is started"},
		{docker(1024*mib, -1), 1536 * mib, "docker update -m 1536m --memory-swap -1 web, and the same -m where it is started"},
		{&incident.Incident{Container: &incident.Container{Name: "web", Runtime: "podman"}}, 48 * mib, "podman update --memory 48m web, and the same --memory where it is started"},
		{&incident.Incident{Unit: "etl.service"}, 48 * mib, "systemctl set-property etl.service MemoryMax=48M"},
		{&incident.Incident{Container: &incident.Container{Name: "box", Runtime: "nspawn"}}, 48 * mib, "systemctl set-property systemd-nspawn@box.service MemoryMax=48M"},
		{&incident.Incident{Container: &incident.Container{Name: "box", Runtime: "lxc"}}, 48 * mib, "set lxc.cgroup2.memory.max = 48M in the configuration of LXC container box (Proxmox: pct set box --memory 48)"},
	} {
		if got := howToLimit(c.inc, c.next, false); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}
