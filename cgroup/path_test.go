package cgroup

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Made-up ids: a, b, c are containers, uid a pod.
var (
	a      = strings.Repeat("a1b2c3d4", 8)
	b      = strings.Repeat("0f1e2d3c", 8)
	c      = strings.Repeat("c0ffee11", 8)
	uid    = "11112222-3333-4444-5555-666677778888"
	uidBar = "11112222_3333_4444_5555_666677778888"
	static = strings.Repeat("abcd0123", 4)
	task   = strings.Repeat("0123abcd", 4)
)

func TestParsePath(t *testing.T) {
	burst := "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + uidBar + ".slice"
	for _, tt := range []struct {
		path string
		want Identity
	}{
		// Docker.
		{"/docker/" + a, Identity{Runtime: "docker", ContainerID: a}},
		{"/docker/" + a + "/", Identity{Runtime: "docker", ContainerID: a}},
		{"/docker/" + a + "/init.scope", Identity{Runtime: "docker", ContainerID: a}},
		{"/docker/" + a + "/system.slice/cron.service", Identity{Runtime: "docker", ContainerID: a}},
		{"/system.slice/docker-" + a + ".scope", Identity{Runtime: "docker", ContainerID: a}},
		{"/shop.slice/shop-web.slice/docker-" + a + ".scope", Identity{Runtime: "docker", ContainerID: a}},
		{"/my-parent/" + a, Identity{Runtime: "oci", ContainerID: a}},
		{"/" + a, Identity{Runtime: "oci", ContainerID: a}},
		{"/../" + a, Identity{Runtime: "oci", ContainerID: a}},
		{"/user.slice/user-1000.slice/user@1000.service/user.slice/docker-" + a + ".scope", Identity{Runtime: "docker", ContainerID: a}},
		{"/user.slice/user-1000.slice/user@1000.service/app.slice/docker.service/docker/" + a, Identity{Runtime: "docker", ContainerID: a}},
		// Docker in docker, kind, k3d, minikube: the inner one wins, the host's engine knows the outer.
		{"/docker/" + a + "/docker/" + b, Identity{Runtime: "docker", ContainerID: b, OuterID: a}},
		{"/docker/" + a + "/docker/" + b + "/docker/" + c, Identity{Runtime: "docker", ContainerID: c, OuterID: a}},
		{"/system.slice/docker-" + a + ".scope/system.slice/docker-" + b + ".scope", Identity{Runtime: "docker", ContainerID: b, OuterID: a}},
		{"/docker/" + a + "/kubepods/burstable/pod" + uid + "/" + b,
			Identity{Runtime: "kubernetes", ContainerID: b, OuterID: a, PodUID: uid, QoS: "burstable"}},
		{"/system.slice/docker-" + a + ".scope/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/kubelet-kubepods-besteffort-pod" + uidBar + ".slice/cri-containerd-" + b + ".scope",
			Identity{Runtime: "containerd", ContainerID: b, OuterID: a, PodUID: uid, QoS: "besteffort"}},
		{"/docker/" + a + "/kubepods/pod" + uid, Identity{Runtime: "docker", ContainerID: a, PodUID: uid, QoS: "guaranteed"}},
		{"/kubepods/burstable/pod" + uid + "/" + a + "/" + b,
			Identity{Runtime: "oci", ContainerID: b, OuterID: a, PodUID: uid, QoS: "burstable"}},
		// BuildKit: a build step has no container id.
		{"/docker/buildkit/k1x2y3z4a5b6c7d8e9f0g1h2i", Identity{Runtime: "buildkit"}},
		{"/system.slice/docker-k1x2y3z4a5b6c7d8e9f0g1h2i.scope", Identity{Runtime: "buildkit"}},
		{"/system.slice/docker.service", Identity{Unit: "docker.service"}},
		{"/docker", Identity{}},
		// Kubernetes.
		{"/kubepods/pod" + uid + "/" + a, Identity{Runtime: "kubernetes", ContainerID: a, PodUID: uid, QoS: "guaranteed"}},
		{"/kubepods/burstable/pod" + uid + "/" + a, Identity{Runtime: "kubernetes", ContainerID: a, PodUID: uid, QoS: "burstable"}},
		{"/kubepods/besteffort/pod" + uid + "/" + a, Identity{Runtime: "kubernetes", ContainerID: a, PodUID: uid, QoS: "besteffort"}},
		{"/kubepods/burstable/pod" + uid, Identity{Runtime: "kubernetes", PodUID: uid, QoS: "burstable"}},
		{"/kubepods/burstable/pod" + static + "/" + a, Identity{Runtime: "kubernetes", ContainerID: a, PodUID: static, QoS: "burstable"}},
		{burst + "/cri-containerd-" + a + ".scope", Identity{Runtime: "containerd", ContainerID: a, PodUID: uid, QoS: "burstable"}},
		{burst + "/docker-" + a + ".scope", Identity{Runtime: "docker", ContainerID: a, PodUID: uid, QoS: "burstable"}},
		{burst + "/crio-" + a + ".scope/container", Identity{Runtime: "cri-o", ContainerID: a, PodUID: uid, QoS: "burstable"}},
		{burst + "/crio-conmon-" + a + ".scope", Identity{Runtime: "cri-o", PodUID: uid, QoS: "burstable", Monitor: true, MonitorOf: a}},
		{burst, Identity{Runtime: "kubernetes", PodUID: uid, QoS: "burstable"}},
		{"/kubepods.slice/kubepods-pod" + uidBar + ".slice/cri-containerd-" + a + ".scope", Identity{Runtime: "containerd", ContainerID: a, PodUID: uid, QoS: "guaranteed"}},
		{"/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod" + static + ".slice/crio-" + a + ".scope", Identity{Runtime: "cri-o", ContainerID: a, PodUID: static, QoS: "besteffort"}},
		{"/kubepods/burstable/pod" + uid + "/crio-" + a, Identity{Runtime: "cri-o", ContainerID: a, PodUID: uid, QoS: "burstable"}},
		{"/system.slice/kubepods-burstable-pod" + uidBar + ".slice:cri-containerd:" + a, Identity{Runtime: "containerd", ContainerID: a, PodUID: uid, QoS: "burstable"}},
		{"/system.slice/containerd.service/kubepods-pod" + uidBar + ".slice:cri-containerd:" + a, Identity{Runtime: "containerd", ContainerID: a, PodUID: uid, QoS: "guaranteed"}},
		{"/system.slice:docker:" + a, Identity{Runtime: "docker", ContainerID: a}},
		{"/kubepods.slice", Identity{Unit: "kubepods.slice"}},
		{"/kubepods/burstable", Identity{}},
		// Podman.
		{"/machine.slice/libpod-" + a + ".scope", Identity{Runtime: "podman", ContainerID: a}},
		{"/machine.slice/libpod-" + a + ".scope/container", Identity{Runtime: "podman", ContainerID: a}},
		{"/machine.slice/libpod-conmon-" + a + ".scope", Identity{Runtime: "podman", Monitor: true, MonitorOf: a}},
		{"/libpod_parent/libpod-" + a, Identity{Runtime: "podman", ContainerID: a}},
		{"/libpod_parent/" + b + "/libpod-" + a, Identity{Runtime: "podman", ContainerID: a}},
		{"/libpod_parent/conmon", Identity{Runtime: "podman", Monitor: true}},
		{"/machine.slice/machine-libpod_pod_" + b + ".slice/libpod-" + a + ".scope", Identity{Runtime: "podman", ContainerID: a}},
		{"/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" + a + ".scope/container", Identity{Runtime: "podman", ContainerID: a}},
		{"/system.slice/web.service/libpod-payload-" + a, Identity{Runtime: "podman", ContainerID: a}},
		// containerd, nerdctl.
		{"/default/" + a, Identity{Runtime: "containerd", ContainerID: a}},
		{"/k8s.io/" + a, Identity{Runtime: "containerd", ContainerID: a}},
		{"/default/redis-server", Identity{Runtime: "containerd", Name: "redis-server"}},
		{"/system.slice/nerdctl-" + a + ".scope", Identity{Runtime: "containerd", ContainerID: a}},
		// LXC, LXD, Incus, Proxmox; what runs inside.
		{"/lxc/107", Identity{Runtime: "lxc", Name: "107"}},
		{"/lxc/107/ns/system.slice/mail.service", Identity{Runtime: "lxc", Name: "107"}},
		{"/lxc/107/ns/.lxc", Identity{Runtime: "lxc", Name: "107"}},
		{"/lxc.payload.web-1/init.scope", Identity{Runtime: "lxc", Name: "web-1"}},
		{"/lxc.payload/107/ns", Identity{Runtime: "lxc", Name: "107"}},
		{"/lxc.monitor.web-1", Identity{Runtime: "lxc", Monitor: true, MonitorOf: "web-1"}},
		{"/lxc.monitor/107", Identity{Runtime: "lxc", Monitor: true, MonitorOf: "107"}},
		{"/lxc/107/ns/system.slice/docker-" + a + ".scope", Identity{Runtime: "docker", ContainerID: a, OuterName: "107"}},
		{"/lxc.payload.node-2" + burst + "/cri-containerd-" + a + ".scope",
			Identity{Runtime: "containerd", ContainerID: a, OuterName: "node-2", PodUID: uid, QoS: "burstable"}},
		{"/lxc.payload.one/lxc.payload.two", Identity{Runtime: "lxc", Name: "two", OuterName: "one"}},
		// systemd-nspawn, libvirt.
		{`/machine.slice/machine-web\x2d1.scope/payload`, Identity{Runtime: "nspawn", Name: "web-1"}},
		{`/machine.slice/systemd-nspawn@web\x2d1.service/payload/system.slice/cron.service`, Identity{Runtime: "nspawn", Name: "web-1"}},
		{"/machine.slice/systemd-nspawn@web.service/supervisor", Identity{Runtime: "nspawn", Monitor: true, MonitorOf: "web"}},
		{`/machine.slice/machine-lxc\x2d7\x2dweb.scope`, Identity{Runtime: "lxc", Name: "lxc-7-web"}},
		{`/machine.slice/machine-qemu\x2d3\x2dvm.scope/libvirt/emulator`, Identity{Unit: "machine-qemu-3-vm.scope"}},
		// ECS, Fargate, Nomad, Garden, Slurm.
		{"/ecs/" + task + "/" + a, Identity{Runtime: "ecs", ContainerID: a}},
		{"/ecs/" + uid + "/" + a, Identity{Runtime: "ecs", ContainerID: a}},
		{"/ecs/" + task + "/" + task + "-1234567890", Identity{Runtime: "ecs", ContainerID: task + "-1234567890"}},
		{"/ecstasks.slice/ecstasks-" + task + ".slice/docker-" + a + ".scope", Identity{Runtime: "docker", ContainerID: a}},
		{"/nomad.slice/share.slice/" + uid + ".web.scope", Identity{Runtime: "nomad", Name: uid + ".web"}},
		{"/nomad/share/" + uid + ".web", Identity{Runtime: "nomad", Name: uid + ".web"}},
		{"/garden/1f2e3d4c-aaaa", Identity{Runtime: "garden", Name: "1f2e3d4c-aaaa"}},
		{"/system.slice/garden.service/garden/good/handle-1", Identity{Runtime: "garden", Name: "handle-1"}},
		{"/system.slice/runit.service/bpm-router", Identity{Runtime: "garden", Name: "bpm-router"}},
		{"/slurm/uid_1000/job_42/step_0/task_1", Identity{Unit: "slurm/job_42"}},
		{"/slurm_node7/uid_1000/job_42", Identity{Unit: "slurm/job_42"}},
		{"/system.slice/slurmstepd.scope/job_42/step_0/user/task_0", Identity{Unit: "slurm/job_42"}},
		// Units and nothing at all.
		{"/system.slice/nginx.service", Identity{Unit: "nginx.service"}},
		{"/system.slice/nginx.service/worker", Identity{Unit: "nginx.service"}},
		{`/system.slice/system-my\x2dapp.slice/my\x2dapp@1.service`, Identity{Unit: "my-app@1.service"}},
		{"/user.slice/user-1000.slice/session-2.scope", Identity{Unit: "session-2.scope"}},
		{"/user.slice/user-1000.slice/user@1000.service/app.slice/run-u7.scope", Identity{Unit: "run-u7.scope"}},
		{"/user.slice/user-1000.slice/user@1000.service/tmux-spawn-" + uid + ".scope", Identity{Unit: "tmux-spawn-" + uid + ".scope"}},
		{"/", Identity{}},
		{"", Identity{}},
		{"/mem2", Identity{}},
		// Cut and masked ids give no id.
		{"/docker/" + a[:11], Identity{Runtime: "docker"}},
		{"/docker/" + a[:12], Identity{Runtime: "docker", ContainerID: a[:12]}},
		{"/docker/" + a[:63], Identity{Runtime: "docker", ContainerID: a[:63]}},
		{"/system.slice/docker-" + b[:20] + ".scope", Identity{Runtime: "docker", ContainerID: b[:20]}},
		{"/docker/REDACTED", Identity{Runtime: "docker"}},
		{"/system.slice/docker-93f0eb72.scope", Identity{Runtime: "docker"}},
		{"/system.slice/docker-" + strings.Repeat("x", 64) + ".scope", Identity{Runtime: "docker"}},
		{"/system.slice/docker-【masked】.scope", Identity{Runtime: "docker"}},
		{"/system.slice/docker-tools.scope", Identity{Unit: "docker-tools.scope"}},
		{burst + "/cri-containerd-cabbede.scope", Identity{Runtime: "containerd", PodUID: uid, QoS: "burstable"}},
		{"/docker/" + strings.ToUpper(a), Identity{Runtime: "docker"}},
		// Hostile names.
		{"/x,task_memcg=/docker/" + a, Identity{}},
		{"/x,task_memcg=/docker/" + a + ",task=nginx,pid=1,uid=0", Identity{}},
		{"/docker/" + a + "/x,task_memcg=/docker/" + b, Identity{Runtime: "docker", ContainerID: a}},
		{"/user.slice/user-1000.slice/user@1000.service/x,task_memcg=/docker/" + b, Identity{Unit: "user@1000.service"}},
		{"/docker/" + a + "/lxc/evil", Identity{Runtime: "docker", ContainerID: a}},
		{"/docker/" + a + "/docker/nothing", Identity{Runtime: "docker", ContainerID: a}},
		{"/docker/" + a + "/crio-conmon-" + b + ".scope", Identity{Runtime: "docker", ContainerID: a}},
		{"/evil docker-" + a + ".scope", Identity{Unit: "evil docker-" + a + ".scope"}},
		{"/evil-" + a, Identity{}},
		{"/pod" + uid + "/x", Identity{}},
		{"/burstable/pod" + uid, Identity{}},
		{`/system.slice/a\x0ab\xff.service`, Identity{Unit: `a\x0ab\xff.service`}},
	} {
		if diff := cmp.Diff(tt.want, ParsePath(tt.path)); diff != "" {
			t.Errorf("ParsePath(%q) (-want +got):\n%s", tt.path, diff)
		}
	}
}

func TestContainerPath(t *testing.T) {
	for path, want := range map[string]string{
		"/docker/" + a:                                     "/docker/" + a,
		"/docker/" + a + "/init.scope":                     "/docker/" + a,
		"/docker/" + a + "/docker/" + b + "/x":             "/docker/" + a + "/docker/" + b,
		"/docker/" + a + "/docker/cut/x":                   "/docker/" + a,
		"/machine.slice/libpod-" + a + ".scope/container":  "/machine.slice/libpod-" + a + ".scope",
		"/kubepods/burstable/pod" + uid:                    "/kubepods/burstable/pod" + uid,
		"/kubepods/burstable/pod" + uid + "/" + a + "/sub": "/kubepods/burstable/pod" + uid + "/" + a,
		"/lxc/107/ns/system.slice/x.service":               "/lxc/107",
		"/system.slice/nginx.service/worker":               "/system.slice/nginx.service/worker",
		"/":                                                "/",
		"":                                                 "",
		"/docker/" + a + "/x,task_memcg=/docker/" + b:      "/docker/" + a,
	} {
		if got := ContainerPath(path); got != want {
			t.Errorf("ContainerPath(%q) = %q, want %q", path, got, want)
		}
	}
}

// Whatever the path, an id is a whole component of it (or of its colon form),
// and one that a rooted attacker below the outer container cannot replace.
func FuzzParsePath(f *testing.F) {
	for _, s := range []string{
		"/docker/" + a, "/system.slice/docker-" + a + ".scope", "/docker/" + a + "/docker/" + b, "/docker/" + a + "/docker/" + b[:56],
		"/kubepods.slice/kubepods-pod" + uidBar + ".slice/cri-containerd-" + a + ".scope",
		"/system.slice/kubepods-pod" + uidBar + ".slice:cri-containerd:" + a,
		`/machine.slice/machine-a\x2d.scope`, "/x,task_memcg=/docker/" + a, "/ecs/" + task + "/" + task + "-1234567890",
		"/lxc/1/ns", "/lxc.monitor.x", "/garden/good/x", "/slurm/uid_1/job_2", "/libpod_parent/libpod-" + a, `\x`, "/.", "//",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, path string) {
		id := ParsePath(path)
		for _, got := range []string{id.ContainerID, id.OuterID} {
			if got != "" && !isID(got) && shortenedID(got) == "" && len(got) != 43 {
				t.Errorf("%q: id %q is of no known shape", path, got)
			}
			if !wholeComponent(path, got) {
				t.Errorf("%q: id %q is not a whole component", path, got)
			}
		}
		if id.OuterID != "" && id.ContainerID == "" {
			t.Errorf("%q: an outer id without an inner one", path)
		}
		if id.Unit != "" && id.Runtime != "" {
			t.Errorf("%q: unit %q in runtime %q", path, id.Unit, id.Runtime)
		}
		if id.Monitor && (id.ContainerID != "" || id.Name != "") {
			t.Errorf("%q: a monitor with a container", path)
		}
		if cut := ContainerPath(path); !strings.HasPrefix(path, cut) || ParsePath(cut).ContainerID != id.ContainerID {
			t.Errorf("%q: ContainerPath %q is another container's", path, cut)
		}
		// What is made below a container does not move it on the host.
		base := "/docker/" + c
		if in := ParsePath(base + "/" + path); in.ContainerID != c && in.OuterID != c {
			t.Errorf("%q below a container: %+v", path, in)
		}
	})
}

func wholeComponent(path, id string) bool {
	if id == "" {
		return true
	}
	for comp := range strings.SplitSeq(path, "/") {
		comp = strings.TrimSuffix(comp, ".scope")
		if comp == id || strings.HasSuffix(comp, ":"+id) || strings.HasSuffix(comp, "-"+id) {
			return true
		}
	}
	return false
}

func TestParsePathDoesNotAllocate(t *testing.T) {
	paths := []string{"/docker/" + a, "/system.slice/docker-" + a + ".scope", "/kubepods/burstable/pod" + uid + "/" + a, "/system.slice/nginx.service"}
	if n := testing.AllocsPerRun(100, func() {
		for _, p := range paths {
			ParsePath(p)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkParsePath(bm *testing.B) {
	p := "/system.slice/docker-" + a + ".scope"
	bm.ReportAllocs()
	for bm.Loop() {
		ParsePath(p)
	}
}
