// Package verdict holds the rules: from the facts of one incident to its cause, its
// confidence and the words for both. It is pure: the same facts give the same incident.
package verdict

import (
	"time"

	"github.com/oomwatch/oomwatch/cgroup"
	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/kmsg"
)

// Facts is all that was seen of one incident, ready to be judged by Explain.
// Whatever was not seen is left at its zero value.
type Facts struct {
	ID   string
	Kind incident.Kind
	Time time.Time
	Host incident.Host
	// Container is what was known of the container before it died; nil when
	// the kill was outside every known container.
	Container *incident.Container
	// Unit is the systemd unit the victim was in, outside every container.
	Unit string
	// EndAfter is the last moment at which the container is known to have lived, where
	// nobody saw its end: that lies between it and Time. Zero for an end that was seen.
	EndAfter time.Time
	// Exit is nil while the container lives, and offline.
	Exit *incident.Exit
	// Kills are the kernel's kills attributed to this incident, oldest first.
	Kills []KernelKill
	// ChildKillIDs are the ids of the "kill" incidents of this generation
	// that came before the death, newest last, with their kills in ChildKills.
	ChildKills   []KernelKill
	ChildKillIDs []string
	// Signals are the signals somebody asked the engine to send, oldest first.
	Signals []incident.Signal
	// Sent are the fatal signals that the kernel saw delivered to the
	// container's main process, oldest first; Traced is true when it was
	// watched for them to its end, so that none missing means none sent, and
	// Untraced is why it was not.
	Sent     []incident.Sent
	Traced   bool
	Untraced string
	// Child is a SIGKILL to another process of the container; nil for none.
	Child *ChildKill
	// MaybeFirst is the pid of a process that the kernel OOM-killed in this run
	// and that may have been its first one, whose pid was not known; 0 when none.
	MaybeFirst int
	// StopDone is when the engine said "stop" (it follows the death of a
	// container that somebody asked to stop); zero when it did not.
	StopDone time.Time
	// EngineOOMs are the times of the engine's "oom" events.
	EngineOOMs []time.Time
	// Faults are kernel records about a process of this container.
	Faults []kmsg.Fault
	// LooseFaults are such records at the moment of the end that name a process of no
	// known container: only the time fits.
	LooseFaults []kmsg.Fault
	// Samples are recent readings, oldest first; the last one is from before
	// the incident.
	Samples []cgroup.Sample
	// Past is what the recorder holds of the same run from before them, oldest first.
	Past []Reading
	// Judged is what triage says of its service's memory; nil where nobody judged it.
	Judged *incident.Judged
	// OOMKillDelta is how many kills the cgroup's own counter told that no
	// kernel record told; 0 when none or not known.
	OOMKillDelta int64
	// Init is the container's main process as it was while it lived; nil
	// when it was not read.
	Init    *incident.Init
	LogTail []string
	// NoLog is why there is no LogTail, where the engine could not give it;
	// "" else.
	NoLog string
	// RawTail is more of the log, as written, for judging; nothing of it is
	// shown but redacted. Where it is nil LogTail is judged.
	RawTail []string
	// Filesystems are those that the container could write to, as they were
	// just after an end of which its log says that there was no room;
	// FilesystemsUnread is why they were not looked at, where they were not.
	Filesystems       []incident.Filesystem
	FilesystemsUnread string
	// Gaps are the stretches in which a source was blind and that touch
	// this incident; Blind names sources that are missing altogether, with
	// the reason ("kmsg" → "permission denied").
	Gaps  []incident.Gap
	Blind map[string]string
	// Horizons say of each source whether it was read and how far back it reaches; nil
	// where nobody says, and then only Gaps and Blind count. No source is quoted as
	// silent about a moment that it does not cover.
	Horizons []incident.Horizon
	// Voices are what other programs' logs said of this end, oldest first.
	Voices []incident.Voice
	// LogUnread is why the container's log was not read; "" where it was, though it
	// may have been empty.
	LogUnread string
	// AutoRemove is true for a container that the engine removes when it ends (--rm),
	// Gone where it is removed already.
	AutoRemove, Gone bool
	// ReplacedBy names the container of the same service that started about when this one
	// was asked to stop: a deploy. "" where none did.
	ReplacedBy string
	// CPUQuota is how many CPUs the container may use; 0 where it is not limited, or not
	// known.
	CPUQuota float64
	// NotSeenLive is true when the facts were gathered after the event.
	NotSeenLive bool
	// Offline is true when the facts come from files.
	Offline bool
	// Placed is true when the kernel's log had no time of day, and its times
	// were worked out from those of the engine.
	Placed bool
	// Undated is how many kernel kills in this container have no time, so that
	// none of them can be taken for its end or be ruled out.
	Undated int
	// Shift is by how much a kernel kill in this container is later (or, below 0,
	// earlier) than its end, where that looks like another time zone's clock.
	Shift    time.Duration
	Historic bool
	// EngineDown is true when the container ended while the engine was away,
	// Rebooted when the host was booted anew since it was last seen running.
	EngineDown bool
	Rebooted   bool
	// KillsToday counts the incidents of kills in this container today, this one
	// included; 0 when not counted.
	KillsToday int
	// Owners tells which container (its name) a host pid belonged to before
	// the kill, for the rows of the task table.
	Owners map[int]string

	// path is the victim's cgroup path as FromLog has parsed it.
	path struct {
		text string
		id   cgroup.Identity
	}
}

// KernelKill is a kill attributed to a container.
type KernelKill struct {
	Episode *kmsg.Episode `json:"episode"`
	Kill    kmsg.Kill     `json:"kill"`
	// ID is the id under which it was told before these facts of it were known;
	// "" where it is KillID of them.
	ID string `json:"id,omitempty"`
	// By says how the kill was attributed.
	By Attribution `json:"by"`
	// Main is true when the victim was the container's main process.
	Main bool `json:"main,omitempty"`
	// Members are the cgroups that shared the limit, where it was not the
	// victim's own; Container is filled in where it is known.
	Members []incident.Member `json:"members,omitempty"`
	// OneOf names the possible victims ("worker (pid 777)") where several
	// containers lost a process at once and nothing says which lost which;
	// Kill is then one of them, taken to make the count right.
	OneOf []string `json:"one_of,omitempty"`
	// FromTrace is true when the kernel's log has no record of the kill, and
	// the trace event oom:mark_victim told of it: whose limit was reached is
	// not known then. Marked is the cgroup in which that event's victim was
	// found at once; "" where it was not.
	FromTrace bool   `json:"from_trace,omitempty"`
	Marked    string `json:"marked,omitempty"`
	// Today is the number under which it was counted among the kills in its
	// container that day; 0 while it was not.
	Today int `json:"today,omitempty"`
}

// ChildKill is a SIGKILL to a child process that somebody else than the kernel sent.
type ChildKill struct {
	Process incident.Process
	Sent    incident.Sent
	// ByMain is true where the container's own main process sent it; Count is how often
	// it did so to a process of that name.
	ByMain bool
	Count  int
}

// Attribution is how a kill was joined to a container.
type Attribution string

// The attributions, best first.
const (
	ByPath     Attribution = "path"      // the kernel printed the cgroup
	ByMainPID  Attribution = "main_pid"  // the victim was the container's main process
	ByTrace    Attribution = "trace"     // the victim was found in the container's cgroup when it was marked
	ByPIDTable Attribution = "pid_table" // the victim was seen in the container's cgroup before
	ByParent   Attribution = "parent"    // the victim's parent was found in the container's cgroup
	ByCounter  Attribution = "counter"   // this container's oom_kill counter moved
	ByEvent    Attribution = "event"     // the engine reported an oom in this container
	ByNone     Attribution = ""          // not attributed
)
