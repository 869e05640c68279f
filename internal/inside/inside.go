// Package inside says what this process runs in, so that advice speaks of what the reader
// has in hand: a manifest, the options of a container, or the machine itself.
package inside

import (
	"os"
	"strings"
)

// Pod is true in a pod of Kubernetes.
func Pod() bool { return pod(os.Getenv, "/proc/self/mountinfo") }

// pod looks for what the kubelet gives each pod: the API server's address, and an
// /etc/hosts or a termination log out of the pod's own folder.
func pod(getenv func(string) string, mountinfo string) bool {
	if getenv("KUBERNETES_SERVICE_HOST") != "" {
		return true
	}
	b, err := os.ReadFile(mountinfo)
	if err != nil {
		return false
	}
	// 812 790 254:1 /kubelet/pods/UID/etc-hosts /etc/hosts rw,relatime - ext4 /dev/vda1 rw
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) > 4 && strings.Contains(f[3], "/pods/") && (f[4] == "/etc/hosts" || f[4] == "/dev/termination-log") {
			return true
		}
	}
	return false
}

// Container is true in a container of Docker or Podman, and in a pod.
func Container() bool {
	for _, mark := range []string{"/.dockerenv", "/run/.containerenv"} {
		if _, err := os.Stat(mark); err == nil {
			return true
		}
	}
	return Pod()
}
