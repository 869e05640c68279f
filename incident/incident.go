// Package incident holds the field's words and the verdict: what died, why, and
// how we know. It is pure: no clock, no I/O, no goroutine; the same code judges
// live facts and old logs.
package incident

import "time"

// Schema names the JSON form of an Incident. Fields are only ever added.
const Schema = "oomwatch.incident/v1"

// DeployNote ends the summary of a container that a deploy replaced.
const DeployNote = " (a deploy)"

// Kind says what sort of thing happened.
type Kind string

// The kinds.
const (
	KindDeath   Kind = "death"   // the container ended
	KindKill    Kind = "kill"    // a process in it was killed, the container lives on
	KindWarning Kind = "warning" // it has not died yet
	KindHost    Kind = "host"    // a kill outside every container
)

// Severity ranks an incident for the person who is told.
type Severity string

// The severities.
const (
	Critical Severity = "critical"
	Warning  Severity = "warning"
	Info     Severity = "info"
)

// Rank orders severities, the least grave first.
func (s Severity) Rank() int {
	switch s {
	case Critical:
		return 2
	case Warning:
		return 1
	}
	return 0
}

// Confidence says how sure the verdict is.
type Confidence string

// The confidences.
const (
	Certain  Confidence = "certain"  // a source that cannot be wrong about it said so
	Likely   Confidence = "likely"   // the facts agree, none says it outright
	Possible Confidence = "possible" // it fits, and something is missing
)

// Incident is one thing that happened to one container, or to the host, joined
// from all sources. Optional parts are nil or empty when not known: absent is
// never zero. Sizes are bytes.
type Incident struct {
	Schema string `json:"schema"`
	// ID is stable: the same facts seen again after a restart give the same id.
	ID   string    `json:"id"`
	Kind Kind      `json:"kind"`
	Time time.Time `json:"time,omitzero"`
	// UptimeSeconds stands in for Time where a log has no date.
	UptimeSeconds *float64   `json:"uptime_seconds,omitempty"`
	Severity      Severity   `json:"severity"`
	Summary       string     `json:"summary"`
	Cause         Cause      `json:"cause"`
	Confidence    Confidence `json:"confidence"`
	// Unverified is true when the log had lost the facility and a program
	// could have forged the decisive line.
	Unverified bool `json:"unverified,omitempty"`
	// SeenLive is false for what was reconstructed after an outage; absent offline.
	SeenLive *bool `json:"seen_live,omitempty"`
	// Historic is true for what had happened before the first run.
	Historic bool `json:"historic,omitempty"`
	// ResolvedAt is when a warning was over; zero while it lasts, and for other kinds.
	ResolvedAt time.Time `json:"resolved_at,omitzero"`
	// FirstTime is when the first of Count was, where several are told as one.
	FirstTime time.Time `json:"first_time,omitzero"`
	// Silenced says who asked for silence and why; such an incident is kept and
	// told nobody.
	Silenced string `json:"silenced,omitempty"`
	// URL is its page, in what is sent; "" without external_url in the configuration.
	URL string `json:"url,omitempty"`
	// NotStored is why it is told from memory: a crash would lose it.
	NotStored string `json:"not_stored,omitempty"`

	Host      *Host      `json:"host,omitempty"`
	Container *Container `json:"container,omitempty"`
	// Unit is the systemd unit the victim was in, outside every container.
	Unit      string    `json:"unit,omitempty"`
	Victim    *Process  `json:"victim,omitempty"`
	Trigger   *Process  `json:"trigger,omitempty"`
	Killer    *Killer   `json:"killer,omitempty"`
	OOM       *OOM      `json:"oom,omitempty"`
	Memory    *Memory   `json:"memory,omitempty"`
	Hog       *Hog      `json:"hog,omitempty"`
	Processes []Process `json:"processes,omitempty"`
	History   *History  `json:"history,omitempty"`
	Pressure  *Pressure `json:"pressure,omitempty"`
	// Filesystems are those the container could write to, where one was full.
	Filesystems []Filesystem `json:"filesystems,omitempty"`
	Evidence    []Evidence   `json:"evidence,omitempty"`
	Advice      []string     `json:"advice,omitempty"`
	LogTail     []string     `json:"log_tail,omitempty"`
	Gaps        []Gap        `json:"gaps,omitempty"`
	Related     []string     `json:"related,omitempty"`
	// Warning is what a warning rests on; nil for other kinds.
	Warning *WarningFacts `json:"warning,omitempty"`
	Count   int           `json:"count"`
}

// WarningFacts is why an incident of KindWarning was made. Its cause is the one
// that the death will have, if it comes to that.
type WarningFacts struct {
	// What is the sign: "headroom", "forecast", "pressure", "throttled",
	// "limit_hits", "restart_loop", "gave_up", "unhealthy", "pids", "thrash", "disk_forecast", "disk_room",
	// "inodes", "log_growth", "zombies", "open_files", "host_tasks", "host_files" or "leak".
	// Of the watcher itself (Self), as in self.go: "source_blind", "records_lost",
	// "receiver_down", "receiver_parked", "store", "store_replaced", "watcher_killed".
	What string `json:"what"`
	// Self is true when it is the watcher itself that is in trouble, Subject
	// the source or receiver that it is about.
	Self    bool   `json:"self,omitempty"`
	Subject string `json:"subject,omitempty"`
	// Signs are all signs seen in this episode, What first.
	Signs []string `json:"signs,omitempty"`
	// Since is when it began.
	Since time.Time `json:"since,omitzero"`
	// TimeToLimit is how long until the limit is reached at the present rate,
	// in seconds from the incident's time, TimeToLimitError its error bar (plus
	// or minus); nil where nothing is predicted.
	TimeToLimit      *float64 `json:"time_to_limit_seconds,omitempty"`
	TimeToLimitError *float64 `json:"time_to_limit_error_seconds,omitempty"`
	// Rate is how fast a leak grows, in bytes per second.
	Rate *float64 `json:"rate_bytes_per_second,omitempty"`
}

// Host is where it happened.
type Host struct {
	Name   string `json:"name,omitempty"`
	BootID string `json:"boot_id,omitempty"`
	Kernel string `json:"kernel,omitempty"`
	Cgroup string `json:"cgroup,omitempty"` // "v1", "v2", "hybrid"
	Engine string `json:"engine,omitempty"` // "docker 26.1.5"
	// Instance is the daemon that told it, where several watch one host: an id that
	// its store keeps.
	Instance string `json:"instance,omitempty"`
}

// Container is the container as it was known before it died.
type Container struct {
	ID              string            `json:"id,omitempty"`
	Name            string            `json:"name,omitempty"`
	Image           string            `json:"image,omitempty"`
	Runtime         string            `json:"runtime,omitempty"`
	Labels          map[string]string `json:"labels,omitempty"`
	Compose         *Compose          `json:"compose,omitempty"`
	Pod             *Pod              `json:"pod,omitempty"`
	StartedAt       time.Time         `json:"started_at,omitzero"`
	FinishedAt      time.Time         `json:"finished_at,omitzero"`
	ExitCode        *int              `json:"exit_code,omitempty"`
	Signal          string            `json:"signal,omitempty"`
	OOMKilledFlag   *bool             `json:"oom_killed_flag,omitempty"`
	RestartCount    *int              `json:"restart_count,omitempty"`
	RestartPolicy   string            `json:"restart_policy,omitempty"`
	Running         *bool             `json:"running,omitempty"`
	MemoryLimit     *int64            `json:"memory_limit_bytes,omitempty"`
	SwapLimit       *int64            `json:"swap_limit_bytes,omitempty"` // memory+swap, as the engine counts it
	OuterID         string            `json:"outer_id,omitempty"`
	StopSignal      string            `json:"stop_signal,omitempty"`
	StopGraceSecond *float64          `json:"stop_grace_seconds,omitempty"`
	Health          *Health           `json:"health,omitempty"` // nil where it has no health check
}

// Compose is the compose project and service, from the labels.
type Compose struct {
	Project string `json:"project,omitempty"`
	Service string `json:"service,omitempty"`
}

// Pod is the Kubernetes pod, from the cgroup path and the labels.
type Pod struct {
	UID       string `json:"uid,omitempty"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name,omitempty"`
}

// Process is a victim, a trigger or a row of the kernel's task table.
type Process struct {
	PID         int    `json:"pid,omitempty"`
	Comm        string `json:"comm"`
	UID         *int   `json:"uid,omitempty"`
	Main        *bool  `json:"main,omitempty"` // it was the container's main process
	TotalVM     *int64 `json:"total_vm_bytes,omitempty"`
	RSS         *int64 `json:"rss_bytes,omitempty"`
	AnonRSS     *int64 `json:"anon_rss_bytes,omitempty"`
	FileRSS     *int64 `json:"file_rss_bytes,omitempty"`
	ShmemRSS    *int64 `json:"shmem_rss_bytes,omitempty"`
	PageTables  *int64 `json:"page_tables_bytes,omitempty"`
	Swap        *int64 `json:"swap_bytes,omitempty"`
	OOMScoreAdj *int   `json:"oom_score_adj,omitempty"`
	// Container is the name (or id) of the container the row belongs to, where known.
	Container string `json:"container,omitempty"`
}

// Killer is who sent the fatal signal.
type Killer struct {
	Kind string `json:"kind"` // "kernel", "engine", "process", "userspace_oom"
	PID  int    `json:"pid,omitempty"`
	Comm string `json:"comm,omitempty"`
	Name string `json:"name,omitempty"`
	// UID, User and Command are those of a process: User by the host's list of users,
	// Command redacted.
	UID     *int   `json:"uid,omitempty"`
	User    string `json:"user,omitempty"`
	Command string `json:"command,omitempty"`
}

// OOM is the kernel's own account of the episode.
type OOM struct {
	Constraint string `json:"constraint,omitempty"`
	OOMMemcg   string `json:"oom_memcg,omitempty"`
	TaskMemcg  string `json:"task_memcg,omitempty"`
	Usage      *int64 `json:"usage_bytes,omitempty"`
	Limit      *int64 `json:"limit_bytes,omitempty"`
	Failcnt    *int64 `json:"failcnt,omitempty"`
	// HostTotal is the host's memory, where that ran out.
	HostTotal *int64 `json:"host_total_bytes,omitempty"`
	Group     bool   `json:"group"`
	Complete  bool   `json:"complete"`
	Kills     int    `json:"kills,omitempty"`
	// Members are the cgroups that shared a limit above the victim's, largest
	// first, as they were just after the kill.
	Members []Member `json:"members,omitempty"`
}

// Member is one cgroup below a shared limit.
type Member struct {
	Container string `json:"container,omitempty"` // its name, or id, where it is one
	Path      string `json:"path"`
	Usage     *int64 `json:"usage_bytes,omitempty"`
	Limit     *int64 `json:"limit_bytes,omitempty"`
}

// Memory is what filled the limit, or the host.
type Memory struct {
	Anon   *int64 `json:"anon_bytes,omitempty"`
	File   *int64 `json:"file_bytes,omitempty"`
	Shmem  *int64 `json:"shmem_bytes,omitempty"`
	Kernel *int64 `json:"kernel_bytes,omitempty"`
	Slab   *int64 `json:"slab_bytes,omitempty"`
	Swap   *int64 `json:"swap_bytes,omitempty"`
}

// Hog is who held the most.
type Hog struct {
	Container string `json:"container,omitempty"`
	Comm      string `json:"comm,omitempty"`
	PID       int    `json:"pid,omitempty"`
	RSS       *int64 `json:"rss_bytes,omitempty"`
}

// History is the container's memory before the incident. T is seconds relative
// to the incident (negative: before it).
type History struct {
	Points []Point `json:"points,omitempty"`
	// Breakdown is what the memory was made of, at those readings that took it.
	Breakdown []Parts `json:"breakdown,omitempty"`
	// Kills are when the kernel killed other processes in it meanwhile, as T of a Point.
	Kills []float64 `json:"kills,omitempty"`
	Limit *int64    `json:"limit_bytes,omitempty"` // the container's own, at the last reading
	Trend string    `json:"trend"`                 // spike, leak, flat, sawtooth, unknown
	// Growth is true where memory grew in the readings, Trend is unknown, and it may be a
	// leak: triage has not decided.
	Growth bool     `json:"growth,omitempty"`
	Slope  *float64 `json:"slope_bytes_per_second,omitempty"`
	// Reason says in words, with numbers, why the trend is called that.
	Reason string `json:"reason,omitempty"`
	// Class is what triage called the memory of its service then, by all that was kept of
	// it ("leak", "steady", "not_enough_data", ...), with how sure that was and why; left
	// out where nothing is kept. Trend agrees with it, where it is decided.
	Class           string     `json:"class,omitempty"`
	ClassConfidence Confidence `json:"class_confidence,omitempty"`
	ClassReasons    []string   `json:"class_reasons,omitempty"`
}

// Parts is the breakdown of one reading. As in memory.stat, File includes Shmem.
type Parts struct {
	T      float64 `json:"t"`
	Anon   *int64  `json:"anon_bytes,omitempty"`
	File   *int64  `json:"file_bytes,omitempty"`
	Shmem  *int64  `json:"shmem_bytes,omitempty"`
	Kernel *int64  `json:"kernel_bytes,omitempty"`
}

// Point is one reading.
type Point struct {
	T     float64 `json:"t"`
	Bytes int64   `json:"bytes"`
}

// Pressure is memory pressure at the last reading before the incident.
type Pressure struct {
	SomeAvg10 *float64 `json:"some_avg10,omitempty"`
	FullAvg10 *float64 `json:"full_avg10,omitempty"`
	SomeTotal *float64 `json:"some_total_seconds,omitempty"`
	// Scope is "cgroup" (v2) or "host" (v1: the kernel has no pressure per cgroup there).
	Scope string `json:"scope,omitempty"`
	// Levels counts the kernel's notifications: "low", "medium" and "critical"
	// on cgroup v1, "stalled" on v2.
	Levels map[string]int64 `json:"levels,omitempty"`
}

// Evidence is one thing a source said.
type Evidence struct {
	Source string    `json:"source"` // kmsg, docker, cgroup, trace, journal, log, recorder
	Time   time.Time `json:"time,omitzero"`
	Text   string    `json:"text"`  // as it was said
	Means  string    `json:"means"` // in plain words
}

// Gap is a stretch in which a source was blind.
type Gap struct {
	Source string    `json:"source"`
	From   time.Time `json:"from,omitzero"`
	To     time.Time `json:"to,omitzero"`
	Lost   int64     `json:"lost,omitempty"`
	Reason string    `json:"reason,omitempty"`
}
