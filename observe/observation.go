// Package observe holds what a source says, in words that no engine owns.
package observe

import (
	"context"
	"time"

	"github.com/oomwatch/oomwatch/cgroup"
	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/kmsg"
)

// Observation is one thing that a source saw. At is when it happened by the
// source's own clock (the engine's event time, the kernel's stamp); Seen is when
// it reached us. Exactly one of the other fields is set. A stream of Observations as JSON lines is a
// bug report, a test fixture and a replay at once.
type Observation struct {
	// From is the name of the source that says it.
	From string    `json:"from,omitempty"`
	At   time.Time `json:"at"`
	Seen time.Time `json:"seen,omitzero"`

	Container *Container    `json:"container,omitempty"`
	Exit      *Exit         `json:"exit,omitempty"`
	Detail    *Detail       `json:"detail,omitempty"`
	Signal    *Signal       `json:"signal,omitempty"`
	Event     *Event        `json:"event,omitempty"`
	List      *List         `json:"list,omitempty"`
	Episode   *kmsg.Episode `json:"episode,omitempty"`
	// Members are the cgroups below the limit that an Episode reached, where
	// that was not the victim's own; set beside Episode.
	Members []cgroup.Level `json:"members,omitempty"`
	Fault   *kmsg.Fault    `json:"fault,omitempty"`
	Sent    *Sent          `json:"sent,omitempty"`
	Marked  *Marked        `json:"marked,omitempty"`
	Samples []Sample       `json:"samples,omitempty"`
	Source  *SourceState   `json:"source,omitempty"`
	Lost    *incident.Gap  `json:"lost,omitempty"`
	// Horizon says how far back a source that is there reaches.
	Horizon *incident.Horizon `json:"horizon,omitempty"`
	// Voice is what another program's log says of an end.
	Voice   *incident.Voice `json:"voice,omitempty"`
	Host    *incident.Host  `json:"host,omitempty"`
	Storage *Storage        `json:"storage,omitempty"`
	Counted *Counted        `json:"counted,omitempty"`
	Leaks   *incident.Leaks `json:"leaks,omitempty"`
	Cursor  *Cursor         `json:"cursor,omitempty"`
	SetBack *SetBack        `json:"set_back,omitempty"`
}

// SetBack says that the host's clock was set back by By. After is by the new clock: the
// set-back was at that moment or later, and no later than At.
type SetBack struct {
	By    time.Duration `json:"by"`
	After time.Time     `json:"after"`
}

// Clock is what the host's clocks showed at one moment: Shown is the one that can be set,
// Up the time since the start of the boot Boot, the machine's sleep included.
type Clock struct {
	Boot  string        `json:"boot"`
	Shown time.Time     `json:"shown"`
	Up    time.Duration `json:"up"`
}

// Storage is a reading of filesystems, and of log files, that containers write to: of
// those that matter.
type Storage struct {
	Disks []incident.Disk    `json:"disks,omitempty"`
	Logs  []incident.LogFile `json:"logs,omitempty"`
}

// Counted is what was counted of processes and of their open files: of the containers
// where that matters, and of the host.
type Counted struct {
	Zombies []incident.Zombies   `json:"zombies,omitempty"`
	Files   []incident.OpenFiles `json:"files,omitempty"`
	Host    *incident.HostCounts `json:"host,omitempty"`
}

// Cursor says how far a source has read: everything it emitted before this
// Observation need not be read again once it is stored. The value is the
// source's own ("BOOT-ID:SEQ" for the kernel log, RFC 3339 for the engine).
type Cursor struct {
	Source string `json:"source"`
	Value  string `json:"value"`
}

// Container is what the engine says of a container while it can still be
// asked: at create, start, rename and update, and at a reconcile.
type Container struct {
	incident.Container
	// PID is the host pid of the container's main process; 0 when it is not running.
	PID int `json:"pid,omitempty"`
	// CgroupPath is where the container's memory cgroup is, below the mount
	// point; "" until it is known.
	CgroupPath string `json:"cgroup_path,omitempty"`
	AutoRemove bool   `json:"auto_remove,omitempty"`
	// CPUQuota is how many CPUs it may use; 0 for all.
	CPUQuota float64 `json:"cpu_quota,omitempty"`
	// State is the engine's word: created, running, paused, restarting, removing, exited, dead.
	State string `json:"state,omitempty"`
	// Exit is the last exit when State is exited, dead or restarting, else nil.
	Exit *incident.Exit `json:"exit,omitempty"`
	// DetailPending is true when a Detail for this exit will follow.
	DetailPending bool `json:"detail_pending,omitempty"`
	// Places are where it writes to; nil where the engine does not say.
	Places *incident.Places `json:"-"`
	// AnswersStart is the time of the start event because of which the engine was asked,
	// be it that it gave no answer.
	AnswersStart time.Time `json:"answers_start,omitzero"`
}

// Exit is the engine's "die" event.
type Exit struct {
	ID string `json:"id"`
	// Name and Image are the event's own attributes, for a container that was never inspected.
	Name   string            `json:"name,omitempty"`
	Image  string            `json:"image,omitempty"`
	Labels map[string]string `json:"labels,omitempty"`
	incident.Exit
	// DetailPending is true when a Detail for this exit will follow.
	DetailPending bool `json:"detail_pending,omitempty"`
}

// Detail is what could still be learned after a death, best effort.
type Detail struct {
	ID string `json:"id"`
	// DiedAt is the time of the Exit it belongs to.
	DiedAt time.Time `json:"died_at"`
	// Inspect is nil when the container was already gone.
	Inspect *Container `json:"inspect,omitempty"`
	// LogTail is what may be shown: redacted and safe. RawTail reaches further
	// back and is neither: it is for judging alone, and is never written down.
	LogTail []string `json:"log_tail,omitempty"`
	RawTail []string `json:"-"`
	// Filesystems are those it could write to, looked at where its log says
	// that there was no room; FilesystemsUnread is why they were not.
	Filesystems       []incident.Filesystem `json:"filesystems,omitempty"`
	FilesystemsUnread string                `json:"filesystems_unread,omitempty"`
	// Problem says why a part is missing ("logs gone with --rm").
	Problem string `json:"problem,omitempty"`
}

// Sent is a fatal signal that the kernel delivered to a process, whoever sent it.
type Sent struct {
	// PID is the process it was sent to, a host pid.
	PID int `json:"pid"`
	// Comm is its name; "" where nothing told it.
	Comm string `json:"comm,omitempty"`
	// Cgroup is the memory cgroup of that process; "" when it had ended.
	Cgroup string `json:"cgroup,omitempty"`
	// SenderCgroup is the sender's memory cgroup; "" when it had ended.
	SenderCgroup string `json:"sender_cgroup,omitempty"`
	// SenderConfined is true for a sender that reaches no process outside of its container:
	// PID 1 of a PID namespace right below the host's, or a descendant of it.
	SenderConfined bool `json:"sender_confined,omitempty"`
	incident.Sent
}

// Signal is the engine's "kill" event: somebody asked it to send a signal.
type Signal struct {
	ID string `json:"id"`
	incident.Signal
}

// EventKind says what an engine's event is about.
type EventKind string

// The moments in a container's life that an engine tells as they happen.
const (
	Created   EventKind = "created"
	Started   EventKind = "started"
	Stopped   EventKind = "stopped" // somebody asked for it, and it is done
	OOM       EventKind = "oom"     // the kernel killed a process in it
	Removed   EventKind = "removed"
	Healthy   EventKind = "healthy"
	Unhealthy EventKind = "unhealthy"
	Changed   EventKind = "changed" // renamed, paused, and what else only names it
)

// Event is one such moment. Name, Image and Labels are what the event itself says.
type Event struct {
	ID     string            `json:"id"`
	Name   string            `json:"name,omitempty"`
	Image  string            `json:"image,omitempty"`
	Labels map[string]string `json:"labels,omitempty"`
	Kind   EventKind         `json:"kind"`
	// Owed is true when the source has asked when it began, and a Container will follow.
	Owed bool   `json:"owed,omitempty"`
	Raw  string `json:"raw,omitempty"`
}

// List is an engine's full list of its containers, taken after a connection was (re)made:
// what is not in it is gone.
type List struct {
	Containers []Container `json:"containers"`
}

// Kind is what sort of source one is.
type Kind string

// The kinds of sources.
const (
	KindEngine Kind = "engine"
	KindKernel Kind = "kernel"
	KindTrace  Kind = "trace"
	KindCgroup Kind = "cgroup"
	KindDisk   Kind = "disk"
	KindProc   Kind = "processes"
)

// The names of the sources. DefaultEngine is the engine's where there is one alone; a
// host has one each of the others.
const (
	DefaultEngine = "docker"
	KernelLog     = "kmsg"
	Trace         = "trace"
	Cgroups       = "cgroup"
)

// Sample is one reading of one container's cgroup. Where it tells of members or
// of the first process alone, Current is -1.
type Sample struct {
	ID string `json:"id"`
	// PID is the main process of the run whose cgroup was read; 0 where that is not known.
	PID int `json:"pid,omitempty"`
	cgroup.Sample
	// Init is what was read of the container's main process this time, if it was.
	Init *incident.Init `json:"init,omitempty"`
}

// SourceState is a source's own word of its health.
type SourceState struct {
	Name string `json:"name"` // "docker", "kmsg", "cgroup"
	Kind Kind   `json:"kind,omitempty"`
	Up   bool   `json:"up"`
	// Every is how far apart it is asked at the most; 0 for one that tells at once.
	Every time.Duration `json:"every,omitempty"`
	// Reason says why it is down or weak, and Fix the step that would mend it.
	Reason string `json:"reason,omitempty"`
	Fix    string `json:"fix,omitempty"`
}

// Marked is a process that the kernel's OOM killer chose, as its trace event
// oom:mark_victim tells it. That event comes for every kill: also where the
// log's rate limit left out the cgroup, and where the ring was overrun.
type Marked struct {
	// PID is the number that the kernel log prints, a host pid.
	PID    int           `json:"pid"`
	Comm   string        `json:"comm,omitempty"`
	Uptime time.Duration `json:"uptime,omitempty"`
	// Killed is true when the kernel was seen to send it SIGKILL just before.
	// It also marks processes that are dying already, and kills none then.
	Killed bool `json:"killed,omitempty"`
	// Init is true when it was the first process of a PID namespace, as that of a
	// container is, be it known or not.
	Init bool `json:"init,omitempty"`
	// Cgroup is its memory cgroup, read at once; "" when it had left it
	// already. ParentCgroup is its parent's then.
	Cgroup       string           `json:"cgroup,omitempty"`
	ParentCgroup string           `json:"parent_cgroup,omitempty"`
	Trigger      incident.Process `json:"trigger,omitzero"`

	// Sizes in bytes; nil where this kernel's event has none.
	TotalVM     *int64 `json:"total_vm_bytes,omitempty"`
	AnonRSS     *int64 `json:"anon_rss_bytes,omitempty"`
	FileRSS     *int64 `json:"file_rss_bytes,omitempty"`
	ShmemRSS    *int64 `json:"shmem_rss_bytes,omitempty"`
	PageTables  *int64 `json:"page_tables_bytes,omitempty"`
	UID         *int   `json:"uid,omitempty"`
	OOMScoreAdj *int   `json:"oom_score_adj,omitempty"`
}

// Source is where facts come from. Run blocks until ctx ends or the source is lost for
// good, and hands every observation to emit, in order; emit blocks only as long
// as the watcher needs to take it.
type Source interface {
	Name() string
	Run(ctx context.Context, emit func(Observation)) error
}
