package incident

import "time"

// Voice is what another program's log said of an end: a user-space OOM killer, the
// engine's daemon, the kubelet, containerd.
type Voice struct {
	At time.Time `json:"at,omitzero"`
	// Who is the program: "systemd-oomd", "earlyoom", "nohang", "oomd", "dockerd",
	// "kubelet" or "containerd".
	Who  string    `json:"who"`
	Kind VoiceKind `json:"kind"`
	// ContainerID, Cgroup, Unit, PodUID, PodName and PID say of what, each where it
	// was said. ContainerID may be the beginning of one.
	ContainerID  string `json:"container_id,omitempty"`
	Cgroup       string `json:"cgroup,omitempty"`
	Unit         string `json:"unit,omitempty"`
	PodUID       string `json:"pod_uid,omitempty"`
	PodNamespace string `json:"pod_namespace,omitempty"`
	PodName      string `json:"pod_name,omitempty"`
	// Container is its name in the pod, where the voice is of one of its containers.
	Container string `json:"container,omitempty"`
	// Probe is the kubelet's probe that failed, "liveness" or "startup", and Output what
	// it said last.
	Probe  string `json:"probe,omitempty"`
	Output string `json:"output,omitempty"`
	PID    int    `json:"pid,omitempty"`
	Comm   string `json:"comm,omitempty"`
	// Signal is what was sent, Grace how long was waited before it.
	Signal int           `json:"signal,omitempty"`
	Grace  time.Duration `json:"grace,omitempty"`
	// Trusted is true where the journal itself vouches for who wrote the line.
	Trusted bool `json:"trusted,omitempty"`
	// Loose is true where the line names no container, and only its time fits.
	Loose bool   `json:"loose,omitempty"`
	Text  string `json:"text"` // as it was said, redacted
}

// VoiceKind is what a Voice says.
type VoiceKind string

// The kinds.
const (
	VoiceKilled  VoiceKind = "killed"   // a user-space OOM killer took it
	VoiceForce   VoiceKind = "force"    // the engine's daemon: it did not stop in time, SIGKILL
	VoiceEvicted VoiceKind = "evicted"  // the kubelet evicted the pod
	VoiceProbe   VoiceKind = "probe"    // the kubelet: its liveness or startup probe failed
	VoiceEnds    VoiceKind = "ends"     // the kubelet: its pod is to end, by a deletion or its deadline
	VoiceTaskOOM VoiceKind = "task_oom" // containerd: a process in it was OOM-killed

	VoicePodLimit VoiceKind = "pod_limit" // the kubelet: its pod has a memory limit of its own (spec.resources)
)
