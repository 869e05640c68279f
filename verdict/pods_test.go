package verdict

import (
	"strings"
	"testing"

	"github.com/oomwatch/oomwatch/cgroup"
	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/kmsg"
)

func TestPodsLimit(t *testing.T) {
	const uid, id = "9c1f5dd4-77aa-4be1-8a13-2f6f2f1f0a11", "31ce2c90aa31ce2c90aa31ce2c90aa31ce2c90aa31ce2c90aa31ce2c90aa31ce"
	slice := "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + strings.ReplaceAll(uid, "-", "_") + ".slice"
	for path, want := range map[string]int{
		"/kubepods": limitOfPods, "/kubepods.slice": limitOfPods, "/kubepods/burstable": limitOfPods, "/kubepods/besteffort": limitOfPods,
		"/kubepods.slice/kubepods-besteffort.slice": limitOfPods, "/kubepods/pod" + uid: limitOfPod, "/kubepods/burstable/pod" + uid: limitOfPod, slice: limitOfPod,
		"/kubepods/burstable/pod" + uid + "/" + id: 0, slice + "/cri-containerd-" + id + ".scope": 0, "": 0, "/": 0, "/system.slice/a.service": 0, "/docker/" + id: 0,
	} {
		if got := podsLimit(path); got != want {
			t.Errorf("%s: %d, want %d", path, got, want)
		}
	}
}

// TestPodOfOne takes a pod's limit for its container's own where they are the same.
func TestPodOfOne(t *testing.T) {
	const pod = "/kubepods/burstable/pod9c1f5dd4-77aa-4be1-8a13-2f6f2f1f0a11"
	for _, tt := range []struct {
		name  string
		own   *int64
		limit int64
		memcg string
		want  bool
	}{
		{"the same", new(int64(64 << 20)), 64 << 20, pod, true},
		{"rounded to a page", new(int64(64<<20 + 1000)), 64 << 20, pod, true},
		{"the sum of two", new(int64(64 << 20)), 96 << 20, pod, false},
		{"none of its own", nil, 64 << 20, pod, false},
		{"of all pods", new(int64(64 << 20)), 64 << 20, "/kubepods", false},
	} {
		f := &Facts{Container: &incident.Container{MemoryLimit: tt.own}}
		e := &kmsg.Episode{OOMMemcg: tt.memcg, Limit: kmsg.Bytes(tt.limit)}
		id := cgroup.ParsePath(tt.memcg)
		if got := podOfOne(f, e, &id); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}
