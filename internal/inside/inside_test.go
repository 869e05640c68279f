package inside

import (
	"os"
	"path/filepath"
	"testing"
)

// TestPod knows a pod by what the kubelet gives it, and nothing else for one.
func TestPod(t *testing.T) {
	none := func(string) string { return "" }
	for name, tt := range map[string]struct {
		mounts string
		want   bool
	}{
		"a pod":              {"812 790 254:1 /var/lib/kubelet/pods/3f2a1b9c-8e77-4a5d-9d21-012345678900/etc-hosts /etc/hosts rw - ext4 /dev/vda1 rw\n", true},
		"a pod of one's own": {"812 790 254:1 /k/pods/3f2a1b9c-8e77-4a5d-9d21-012345678900/containers/app/0a1b /dev/termination-log rw - ext4 /dev/vda1 rw\n", true},
		"Docker":             {"812 790 254:1 /var/lib/docker/containers/0a1b/hosts /etc/hosts rw - ext4 /dev/vda1 rw\n", false},
		"a node":             {"30 1 254:1 / / rw - ext4 /dev/vda1 rw\n99 30 254:1 /data/pods/x /srv rw - ext4 /dev/vda1 rw\n", false},
		"cut short":          {"30 1\n", false},
	} {
		path := filepath.Join(t.TempDir(), "mountinfo")
		if err := os.WriteFile(path, []byte(tt.mounts), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := pod(none, path); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	if !pod(func(string) string { return "10.96.0.1" }, "/none") || pod(none, "/none") {
		t.Error("the variable is not what it is known by")
	}
}
