package warn

import (
	"time"

	"github.com/oomwatch/oomwatch/incident"
)

// kind is one thing to warn of. A new one is a row of signs and its two functions:
// what it is judged by, and how it is put into words.
type kind struct {
	// name is as in incident.WarningFacts.What.
	name string
	// cause is that of the death that it announces. Signs of one cause are one
	// warning, but for one that is a warning of its own.
	cause func(*state) incident.Cause
	own   bool
	// host is true for what the host can show, too; disk for what a filesystem can, and
	// nothing else.
	host, disk bool
	// judge tells how it stands at the last reading, and hold is how long it must
	// stand in alarm; event is for one that hangs on events and on time, which
	// readToo has looked at with each reading as well.
	judge   func(*state, *Rules) level
	hold    time.Duration
	event   func(*state, *Rules, time.Time)
	readToo bool
	// apart is true for one that outlives the readings of a container, and lasts
	// for one that outlives a run.
	apart, lasts bool
	words        func(st *state, who string) told
}

// kinds are the signs, in the order in which they are told.
type kinds []kind

var signs kinds

// Filled at the start: the functions look into the table themselves.
func init() {
	signs = kinds{
		{name: Forecast, cause: memoryCause, host: true, judge: (*state).foreseen, hold: holdForecast, words: forecastWords},
		{name: Headroom, cause: memoryCause, host: true, judge: (*state).headroom, hold: holdMemory, words: headroomWords},
		{name: LimitHits, cause: memoryCause, judge: (*state).hits, words: hitsWords},
		{name: Throttled, cause: memoryCause, judge: (*state).throttled, words: throttledWords},
		{name: Thrash, cause: always(incident.OOMContainer), judge: (*state).thrashes, words: thrashWords},
		{name: Pressure, cause: pressureCause, host: true, judge: (*state).pressed, words: pressureWords},
		{name: PIDs, cause: always(incident.LimitPids), judge: (*state).pids, hold: holdPIDs, words: pidsWords},
		{name: Unhealthy, cause: always(incident.UnknownCause), event: (*state).judgeHealth, readToo: true, apart: true, words: unhealthyWords},
		{name: DiskForecast, cause: always(incident.LimitDisk), disk: true, judge: (*state).foreseen, hold: holdForecast, words: diskForecastWords},
		{name: DiskRoom, cause: always(incident.LimitDisk), disk: true, judge: (*state).diskRoom, words: diskRoomWords},
		{name: Inodes, cause: always(incident.LimitDisk), disk: true, judge: (*state).inodes, words: inodesWords},
		{name: LogGrowth, cause: always(incident.LimitDisk), own: true, event: (*state).judgeLog, apart: true, words: logWords},
		{name: Zombies, cause: always(incident.LimitPids), own: true, event: (*state).judgeZombies, apart: true, words: zombiesWords},
		{name: HostTasks, cause: always(incident.LimitPids), event: (*state).judgeTasks, apart: true, words: tasksWords},
		{name: OpenFiles, cause: always(incident.UnknownCause), own: true, event: (*state).judgeFiles, apart: true, words: filesWords},
		{name: HostFiles, cause: always(incident.UnknownCause), own: true, event: (*state).judgeHostFiles, apart: true, words: hostFilesWords},
		{name: Leak, cause: always(incident.OOMContainer), own: true, apart: true, lasts: true, words: leakWords},
		{name: RestartLoop, cause: lastCause, own: true, event: (*state).judgeRestarts, apart: true, lasts: true, words: loopWords},
		{name: GaveUp, cause: lastCause, own: true, event: (*state).judgeGaveUp, apart: true, lasts: true, words: gaveUpWords},
	}
}

// named is the kind with a name. One that an earlier version kept and that is no more
// is none, and says nothing.
func (k kinds) named(name string) *kind {
	for i := range k {
		if k[i].name == name {
			return &k[i]
		}
	}
	return &kind{name: name, cause: always(incident.UnknownCause), words: func(_ *state, who string) told {
		return told{confidence: incident.Possible, source: "recorder", summary: who + ": " + name}
	}}
}

// events looks at all that hangs on events and on time.
func (st *state) events(r *Rules, at time.Time) {
	for i := range signs {
		if k := &signs[i]; k.event != nil {
			k.event(st, r, at)
		}
	}
}
