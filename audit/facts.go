package audit

import (
	"time"

	"github.com/oomwatch/oomwatch/incident"
)

// Facts are all that is judged. What is not known is nil, or -1 where it is a number.
type Facts struct {
	Containers []Container
	Host       Host
	// Notes say what could not be read.
	Notes []string
}

// Host is the machine and its engine.
type Host struct {
	// Time is when all of it was read.
	Time time.Time
	// Name is the host's; "" where it is not known, as of saved files.
	Name string
	// Memory and Swap are in bytes; -1 where they are not known.
	Memory int64
	Swap   int64
	// CgroupV2 is true where the memory controller is on v2.
	CgroupV2 bool
	// Confined is true where root in a container is not root on the host: user
	// namespaces, or a rootless engine.
	Confined bool
	// NoNewPrivileges is true where the engine's configuration sets it for all.
	NoNewPrivileges bool
	// OpenAPI is what the engine says of its API being open to the network without TLS.
	OpenAPI []string
}

// Container is one container as its engine defines it, and as it was seen to run.
type Container struct {
	incident.Container
	// Owner says in which form it is defined.
	Owner Owner
	// PID is that of its first process on its host; 0 where it does not run.
	PID     int
	Created time.Time
	// Manifest is true for one of a pod whose manifest was read and nothing else: what its
	// image sets is not known.
	Manifest bool

	// Command is what it was told to run, its entrypoint included.
	Command []string
	// Heap are the settings of a runtime's heap in its command and environment.
	Heap []HeapSetting
	// SecretNames are the variables of its environment whose values look like secrets.
	SecretNames []string
	User        string
	// Mapped is true where root in it is not root on its host.
	Mapped bool

	OOMKillDisable bool
	OOMScoreAdj    int
	CgroupParent   string
	PidsLimit      int64 // 0 or less for none
	// CPUQuota is in CPUs; 0 for none.
	CPUQuota float64
	// OpenFiles is the soft limit that its definition gives, -1 where it gives none.
	OpenFiles int64
	Init      bool

	// RetryMax is how often a restart on failure is tried; 0 is without a bound.
	RestartName string
	RetryMax    int
	HasHealth   bool
	LogDriver   string
	LogOptions  map[string]string
	// ImageMoved is true where the tag that it was made from names another image by now.
	ImageMoved bool
	// AnonymousVolumes are the places of anonymous volumes.
	AnonymousVolumes []string

	Privileged     bool
	CapAdd         []string
	NetworkHost    bool
	PIDHost        bool
	IPCHost        bool
	UTSHost        bool
	ReadonlyRoot   bool
	SecurityOpts   []string
	Binds          []Bind
	Devices        []string
	ParentLimit    int64  // the lowest limit of a cgroup above; -1 for none
	ParentLimitOf  string // that cgroup
	ThrottledShare float64

	// Held is what it holds now and cannot give back, in bytes; -1 where it is not known.
	Held int64
	// Seen is nil where its processes could not be looked at.
	Seen *Process
	// Kept is nil where no history is kept of it.
	Kept *Kept
}

// Bind is a directory or file of the host that is mounted in the container.
type Bind struct {
	Source, Destination string
	Writable            bool
}

// Process is what /proc says of the container's main process.
type Process struct {
	PID  int
	Comm string
	// Handled are the signals that it catches or waits for, bit N-1 for signal N.
	Handled         uint64
	NoNewPrivileges bool
	// OpenFilesLimit is its soft RLIMIT_NOFILE; -1 for none that is known.
	OpenFilesLimit int64
	// Children is how many live processes it has started, Zombies how many of its
	// children have ended and were not waited for.
	Children, Zombies int
	// ShmSize and ShmUsed are of its /dev/shm, in bytes; -1 where not known.
	ShmSize, ShmUsed int64
	// PidsLimit is the lowest of its control group and of those above; -1 for none, 0
	// where that is not known.
	PidsLimit int64
}

// Kept is what the daemon keeps of the service that the container belongs to.
type Kept struct {
	// Span is how long it was recorded.
	Span time.Duration
	// HeldP99 is the 99th percentile of what it held and could not give back, in bytes.
	HeldP99 int64
	// StopTimeouts is how often it was killed because it did not stop in time.
	StopTimeouts int
}

// byEngine is true for what Docker or Podman defines: their settings are known.
func (c *Container) byEngine() bool { return c.Owner.Kind != OwnerPod }
