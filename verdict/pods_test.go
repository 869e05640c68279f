package verdict

import (
	"cmp"
	"regexp"
	"strings"
	"testing"
	"time"

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
		with  []incident.Member
	}{
		{"the same", new(int64(64 << 20)), 64 << 20, pod, true, nil},
		{"rounded to a page", new(int64(64<<20 + 1000)), 64 << 20, pod, true, nil},
		{"the sum of two", new(int64(64 << 20)), 96 << 20, pod, false, nil},
		{"none of its own", nil, 64 << 20, pod, false, nil},
		{"of all pods", new(int64(64 << 20)), 64 << 20, "/kubepods", false, nil},
		{"with its sandbox", new(int64(64 << 20)), 64 << 20, pod, true, []incident.Member{{Container: "main"}, {Container: strings.Repeat("3a", 32)}}},
		{"the pod's own, with another container", new(int64(48 << 20)), 48 << 20, pod, false, []incident.Member{{Container: "calm"}, {Container: "main"}}},
	} {
		f := &Facts{Container: &incident.Container{Name: "main", MemoryLimit: tt.own}}
		e := &kmsg.Episode{OOMMemcg: tt.memcg, Limit: kmsg.Bytes(tt.limit)}
		id := cgroup.ParsePath(tt.memcg)
		if got := podOfOne(f, &KernelKill{Episode: e, Members: tt.with}, &id); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
		f.Voices = []incident.Voice{{Who: "kubelet", Kind: incident.VoicePodLimit}}
		if podOfOne(f, &KernelKill{Episode: e, Members: tt.with}, &id) {
			t.Errorf("%s: taken for the container's, where the kubelet says that it is the pod's own", tt.name)
		}
	}
}

// TestPodLimitStands has the kubelet's word of a pod's own limit be of every end in the pod,
// however long after, and of no other pod's.
func TestPodLimitStands(t *testing.T) {
	at := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	all := []incident.Voice{{At: at, Who: "kubelet", Kind: incident.VoicePodLimit, PodUID: "u1", PodName: "web-0", PodNamespace: "shop"}}
	c := &incident.Container{ID: strings.Repeat("3a", 32), Name: "main", StartedAt: at.Add(90 * time.Hour), Pod: &incident.Pod{UID: "u1", Name: "web-0", Namespace: "shop"}}
	if got := VoicesOf(all, c, 7, at.Add(100*time.Hour)); len(got) != 1 || got[0].Loose {
		t.Errorf("%+v", got)
	}
	c.Pod = &incident.Pod{UID: "u2", Name: "web-1", Namespace: "shop"}
	if got := VoicesOf(all, c, 7, at.Add(100*time.Hour)); len(got) != 0 {
		t.Errorf("of another pod: %+v", got)
	}
}

// engineFlags are words that a pod's manifest does not know.
var engineFlags = regexp.MustCompile(`(?i)\bdocker\b|\bpodman\b|compose|--[a-z]|\btmpfs size=`)

// TestPodAdvice gives every start error, and every other end whose steps are an engine's, to
// a container of a pod: no step is of an engine's command.
func TestPodAdvice(t *testing.T) {
	inc := &incident.Incident{Container: &incident.Container{Name: "main", Runtime: "containerd", MemoryLimit: new(int64(64 << 20)), Pod: &incident.Pod{Name: "web-0", Namespace: "shop"}}}
	var advice []string
	for _, trouble := range startTroubles {
		advice = append(advice, cmp.Or(trouble.pod, trouble.advice))
	}
	f := &Facts{Exit: &incident.Exit{ExitCode: 1}}
	advice = append(advice, adviceExec(inc, judgement{why: "none of these"}), FilledAdvice(50<<20, 0, 64<<20, true), adviceBus(inc, f),
		adviceExit(inc, &Facts{Exit: f.Exit, Gone: true}), adviceFor(inc, f, judgement{cause: incident.LimitPids}), adviceDisk(inc, judgement{}),
		adviceDisk(inc, judgement{fs: &incident.Filesystem{Kind: "layer", Source: "/var/lib/containerd", Size: new(int64(1 << 30)), Free: new(int64(0))}}),
		adviceDisk(inc, judgement{fs: &incident.Filesystem{Kind: "tmpfs", Mount: "/cache", Size: new(int64(1 << 20)), Free: new(int64(0))}}),
		(&RuntimeOOM{Runtime: "jvm", What: "native_thread"}).Advice(inc.Container.MemoryLimit, true))
	for _, init := range []*incident.Init{nil, {Comm: "sh"}, {Comm: "java"}, {Comm: "java", SigCgt: 1 << 14}} {
		advice = append(advice, adviceStop(inc, &Facts{Init: init}, judgement{signal: 15, grace: time.Second}))
	}
	for _, s := range advice {
		own := strings.NewReplacer("--rm -it --image IMAGE --command --", "", "--chmod=755", "", "--previous", "", "--prune", "", "--runtime=containerd", "").Replace(s)
		if s == "" || engineFlags.MatchString(own) {
			t.Errorf("a step for a pod: %s", s)
		}
	}
	inc.Container.Pod, inc.Container.Runtime = nil, "podman"
	for _, s := range []string{adviceDisk(inc, judgement{}), adviceExec(inc, judgement{why: "exec format error"}), adviceStop(inc, &Facts{}, judgement{signal: 15})} {
		if strings.Contains(s, "docker") || !strings.Contains(s, "podman ") {
			t.Errorf("a step for Podman: %s", s)
		}
	}
}

// TestPodEnds judges ends of a pod that was deleted, where nobody saw who sent a signal.
func TestPodEnds(t *testing.T) {
	asked := time.Date(2026, 11, 30, 4, 12, 55, 0, time.UTC)
	for _, tt := range []struct {
		name  string
		code  int
		after time.Duration
		text  string
		want  incident.Cause
		says  string
	}{
		{"by an error", 3, 300 * time.Millisecond, "Deleted: the pod has 2s to stop", incident.StopRequest, "its pod was deleted"},
		{"traced: just before", 3, 300 * time.Millisecond, "Deleted: the pod has 2s to stop", incident.ExitError, ""},
		{"traced: by its hook", 3, 1300 * time.Millisecond, "Deleted: the pod has 2s to stop", incident.StopRequest, "its pod was deleted"},
		{"traced: asked from inside", 3, 300 * time.Millisecond, "Deleted: the pod has 2s to stop", incident.StopRequest, "its pod was deleted"},
		{"stopped", 0, 300 * time.Millisecond, "Deleted: the pod has 2s to stop", incident.StopRequest, "its pod was deleted"},
		{"by the signal", 143, 300 * time.Millisecond, "Deleted: the pod has 2s to stop", incident.StopRequest, "its pod was deleted"},
		{"not in time", 137, 2300 * time.Millisecond, "Deleted: the pod has 2s to stop", incident.KillStopTimeout, "its pod was deleted"},
		{"killed sooner", 137, 300 * time.Millisecond, "Deleted: the pod has 2s to stop", incident.KillUnknown, ""},
		{"a crash", 139, 300 * time.Millisecond, "Deleted: the pod has 2s to stop", incident.CrashSignal, ""},
		{"before", 3, -5 * time.Second, "Deleted: the pod has 2s to stop", incident.ExitError, ""},
		{"its deadline", 137, 2300 * time.Millisecond, "DeadlineExceeded: Pod was active on the node longer than the specified deadline", incident.KillStopTimeout, "longer than the specified deadline"},
	} {
		c := &incident.Container{ID: strings.Repeat("ab", 32), Name: "main", Runtime: "containerd", StartedAt: asked.Add(-time.Minute), Pod: &incident.Pod{UID: "3e0cbfbf-1", Namespace: "shop", Name: "web-0"}}
		end := asked.Add(tt.after)
		voice := incident.Voice{Who: "kubelet", Kind: incident.VoiceEnds, At: asked, Grace: 2 * time.Second, Trusted: true, PodUID: "3e0cbfbf-1", Text: tt.text}
		f := &Facts{Kind: incident.KindDeath, Time: end, Container: c, Exit: &incident.Exit{At: end, ExitCode: tt.code}, Voices: VoicesOf([]incident.Voice{voice}, c, 0, end)}
		f.Traced = strings.HasPrefix(tt.name, "traced")
		if strings.Contains(tt.name, "inside") {
			f.Sent = []incident.Sent{{At: end, Number: 15, Inside: true, Sender: incident.Process{PID: 4, Comm: "sh"}}}
		}
		inc := Explain(f)
		if inc.Cause != tt.want || !strings.Contains(inc.Summary, tt.says) || tt.says == "" && strings.Contains(inc.Summary, "deleted") {
			t.Errorf("%s: %s %s: %s", tt.name, inc.Cause, inc.Confidence, inc.Summary)
		}
	}
}

// TestEvictionAdvice tells a pod's own limit of disk from the node's want of it, in the
// kubelet's words.
func TestEvictionAdvice(t *testing.T) {
	for text, want := range map[string]string{
		"Evicted: Pod ephemeral local storage usage exceeds the total limit of containers 10Mi. ":               "Raise the limit",
		`Evicted: Container main exceeded its local ephemeral storage limit "20Mi". `:                           "Raise the limit",
		`Evicted: Usage of EmptyDir volume "cache" exceeds the limit "5Mi". `:                                   "Raise the limit",
		"Evicted: The node was low on resource: ephemeral-storage. Threshold quantity: 1Gi, available: 900Mi. ": "The node ran short of disk",
		"Evicted: The node was low on resource: memory. Threshold quantity: 100Mi, available: 80192Ki. ":        "Give the pod a memory request",
		"Evicted: The node was low on resource: pids. Threshold quantity: 3k, available: 12. ":                  "The node ran short of process ids",
	} {
		got := adviceFor(&incident.Incident{}, &Facts{}, judgement{cause: incident.KillEvicted, voice: &incident.Voice{Text: text}})
		if !strings.HasPrefix(got, want) {
			t.Errorf("%s\n%s", text, got)
		}
	}
}

// TestEngineAway has containers end while their engine is away: of Docker's the engine may
// have ended them, of those that outlive their engine it has not.
func TestEngineAway(t *testing.T) {
	for _, tt := range []struct {
		runtime string
		code    int
		want    incident.Cause
	}{
		{"docker", 143, incident.EngineStop}, {"docker", 255, incident.EngineStop},
		{"containerd", 255, incident.UnknownCause}, {"containerd", 5, incident.ExitError}, {"containerd", 137, incident.KillUnknown}, {"podman", 5, incident.ExitError}, {"cri-o", 255, incident.UnknownCause},
	} {
		f := &Facts{Kind: incident.KindDeath, Container: &incident.Container{Name: "main", Runtime: tt.runtime}, Exit: &incident.Exit{At: time.Unix(1796012000, 0), ExitCode: tt.code}, EngineDown: true}
		if inc := Explain(f); inc.Cause != tt.want {
			t.Errorf("%s %d: %s: %s", tt.runtime, tt.code, inc.Cause, inc.Summary)
		}
	}
}
