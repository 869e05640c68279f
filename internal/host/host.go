// Package host holds what is known of the machine that this runs on.
package host

import (
	"os"
	"strings"

	"github.com/oomwatch/oomwatch/cgroup"
	"github.com/oomwatch/oomwatch/incident"
)

// Facts are what is known of this host: its name, boot, kernel and control groups.
// What cannot be read is "".
func Facts() incident.Host {
	h := incident.Host{Name: Name()}
	if b, err := os.ReadFile("/proc/sys/kernel/random/boot_id"); err == nil {
		h.BootID = strings.TrimSpace(string(b))
	}
	h.Kernel = Kernel()
	h.Cgroup = CgroupMode()
	return h
}

// NodeEnv names the variable with the name of the node that a pod runs on: a pod's own
// host name is the pod's.
const NodeEnv = "NODE_NAME"

// Name is what this host is called; "" where that cannot be read.
func Name() string {
	if node := os.Getenv(NodeEnv); node != "" {
		return node
	}
	name, err := os.Hostname()
	if err != nil {
		return ""
	}
	return name
}

// Kernel is the running kernel's release; "" where /proc does not say.
func Kernel() string {
	b, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// CgroupMode is the version of the mounted control groups ("v1", "v2", "hybrid"); ""
// where there are none to be seen.
func CgroupMode() string {
	fs, err := cgroup.Open(cgroup.DefaultRoot, cgroup.DefaultProc)
	if err != nil {
		return ""
	}
	defer fs.Close() // it was only read
	return string(fs.Mode())
}
