// Package warn says when a container, or the host, is about to die: too little
// headroom, a limit that will be reached, pressure, restarts, failing health
// checks. It is pure: readings and events go in with their times, alerts come
// out; it reads no clock, does no I/O and starts no goroutine.
package warn

import "time"

// Rules are the thresholds. The zero value of a rule turns its sign off.
type Rules struct {
	// MemoryPercent is how much of a container's limit may be held by what
	// cannot be reclaimed; HostPercent how much of the host's memory may be
	// unavailable.
	MemoryPercent float64
	HostPercent   float64
	// TimeToLimit is how near a limit must lie at the present rate.
	TimeToLimit time.Duration
	// PressurePercent is for which share of the time all tasks may stand still
	// for want of memory.
	PressurePercent float64
	// Throttled warns of memory.high, LimitHits of allocations that run into
	// the limit again and again, Unhealthy of the image's health check.
	Throttled bool
	LimitHits bool
	Unhealthy bool
	// Restarts is how many deaths within RestartWindow are a loop.
	Restarts      int
	RestartWindow time.Duration
	// PIDsPercent is how much of the pids limit may be in use.
	PIDsPercent float64
	// DiskPercent is how much of a filesystem may be in use, InodesPercent how much of
	// its inodes.
	DiskPercent   float64
	InodesPercent float64
	// Zombies is how many processes of a container, or of the host, may have ended and not
	// been waited for. FilesPercent is how much of a limit of open files may be in use, and
	// TasksPercent of what the host can have of processes and threads.
	Zombies      int
	FilesPercent float64
	TasksPercent float64
	// Leaks warns of what triage takes for a likely leak.
	Leaks bool
	// LogPerHour is by how many bytes in an hour a log without a bound may grow.
	LogPerHour int64

	// Startup is how long a container may fill without being suspected of it.
	Startup time.Duration
	// ResolveAfter is how long all signs must be gone before a warning is over.
	ResolveAfter time.Duration
}

// Default is quiet on a healthy host: each sign is one that a person would act on.
func Default() Rules {
	return Rules{
		MemoryPercent: 90, HostPercent: 95, TimeToLimit: time.Hour, PressurePercent: 10,
		Throttled: true, LimitHits: true, Unhealthy: true, Leaks: true,
		Restarts: 3, RestartWindow: 10 * time.Minute, PIDsPercent: 90,
		DiskPercent: 90, InodesPercent: 90, LogPerHour: 1 << 30,
		Zombies: 100, FilesPercent: 90, TasksPercent: 90,
		Startup: 2 * time.Minute, ResolveAfter: 5 * time.Minute,
	}
}

// Label on a container turns warnings of it off with the value "false".
const Label = "oomwatch.warn"

// The signs, as in incident.WarningFacts.What.
const (
	Headroom    = "headroom"
	Forecast    = "forecast"
	Pressure    = "pressure"
	Throttled   = "throttled"
	LimitHits   = "limit_hits"
	Leak        = "leak"
	RestartLoop = "restart_loop"
	GaveUp      = "gave_up"
	Unhealthy   = "unhealthy"
	PIDs        = "pids"
	// Thrash is of page cache that a container must read again and again.
	Thrash = "thrash"
	// Of filesystems, and of log files.
	DiskForecast = "disk_forecast"
	DiskRoom     = "disk_room"
	Inodes       = "inodes"
	LogGrowth    = "log_growth"
	// Of processes.
	Zombies   = "zombies"
	OpenFiles = "open_files"
	HostTasks = "host_tasks"
	HostFiles = "host_files"
)

// What keeps the signs quiet where nothing is wrong.
const (
	// enoughHeadroom is room that nobody need act on, whatever share of the limit
	// it is: a twelfth of a 12 GiB limit is a gibibyte.
	enoughHeadroom = 1 << 30
	// enoughDisk is room on a filesystem that nobody need act on.
	enoughDisk = 20 << 30
	// enoughInodes is the same of inodes, and smallLog of a log.
	enoughInodes = 200_000
	smallLog     = 32 << 20
	// thrashRate is how many pages in a second (4 MiB with pages of 4 KiB) are read again by
	// one that thrashes, thrashSpan the time over which that is measured at least, and
	// atLimit the part of its limit that it uses.
	thrashRate = 1000
	thrashSpan = 4 * time.Second
	atLimit    = 0.9
	// enoughAvailable is the part of its memory that a host has available which is not short.
	enoughAvailable = 0.1
	// hysteresis is how many points of a percentage a value must fall below its
	// threshold before its sign is gone.
	hysteresis = 5
	// holdMemory and holdPIDs are how long a value must stay above its threshold:
	// a short peak is no sign.
	holdMemory = 20 * time.Second
	holdPIDs   = 10 * time.Second
	// holdForecast is how long the same must be foretold.
	holdForecast = 2 * time.Second
	// suspectShare is the part of the limit below which nothing is foretold, and
	// startupShare the same while a container starts and fills.
	suspectShare = 0.5
	startupShare = 0.875
	// hitsShare is the part of the limit that must be held by what cannot be
	// reclaimed before hits of the limit mean anything: reclaiming page cache at
	// the limit is what a limit is for.
	hitsShare = 0.8
	// What rises again and again does so in sustained readings of the last
	// recently, of which the first and the last lie lasting apart. Not every
	// reading takes every counter.
	sustained = 3
	lasting   = 15 * time.Second
	recently  = 30 * time.Second
	// blind is how far two readings may lie apart and still follow on one another.
	blind = 30 * time.Second
)
