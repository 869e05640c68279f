package warn

import (
	"fmt"

	"github.com/oomwatch/oomwatch/incident"
)

// weigh finds out whose the pressure on the host is. A container that thrashes at its own
// limit makes the whole host stand still in the kernel's count (PSI), though the host has
// memory: that is the container's.
func (w *Warner) weigh(st *state) {
	if st.id != HostID {
		st.hostStall = -1
		if host := w.states[HostID]; host != nil && w.now.Sub(host.seen) <= blind {
			st.hostStall = share(host.counters, func(c *counters) int64 { return c.full })
		}
		if st.refaultRate() >= thrashRate && st.atLimit() {
			w.thrasher.id, w.thrasher.name, w.thrasher.at = st.id, st.name, st.last.At
		}
		return
	}
	st.thrasher = ""
	if w.thrasher.id != "" && w.now.Sub(w.thrasher.at) <= recently && st.share() >= 0 && st.share() < 1-enoughAvailable {
		st.thrasher = w.thrasher.name
	}
}

// atLimit is true where its memory in use, page cache included, is at its limit.
func (st *state) atLimit() bool {
	return st.last.Limit > 0 && float64(st.last.Used) >= atLimit*float64(st.last.Limit)
}

// refaultRate is how many pages it has to read again in a second, -1 where that is not known.
func (st *state) refaultRate() float64 {
	c := st.counters
	if len(c) == 0 || c[len(c)-1].refaults < 0 {
		return -1
	}
	last, first := &c[len(c)-1], len(c)-1
	for first > 0 && last.at.Sub(c[first-1].at) <= recently && c[first-1].refaults >= 0 {
		first--
	}
	span := last.at.Sub(c[first].at)
	if span < thrashSpan || last.refaults < c[first].refaults {
		return -1
	}
	return float64(last.refaults-c[first].refaults) / span.Seconds()
}

// thrashes: it stands still because it reads again and again what its limit made it drop.
// Where the kernel tells no pressure of containers (v1), the host's is all it can be.
func (st *state) thrashes(r *Rules) level {
	if r.PressurePercent == 0 || !st.atLimit() || st.refaultRate() < thrashRate {
		return calm
	}
	stalled := share(st.counters, func(c *counters) int64 { return c.full })
	if st.last.PSIFull < 0 {
		stalled = st.hostStall
	}
	if stalled < 0 {
		return calm
	}
	return over(stalled, r.PressurePercent, r.PressurePercent/2)
}

func thrashWords(st *state, who string) told {
	rate := incident.FormatBytes(int64(st.refaultRate()) * 4096)
	size := incident.FormatBytes(st.last.Limit)
	t := told{
		confidence: incident.Likely, source: "cgroup",
		text:    fmt.Sprintf("%s/s of its files are read again (workingset_refault_file), with %s of its %s limit in use", rate, incident.FormatBytes(st.last.Used), size),
		means:   "what it reads does not fit below its limit: the kernel drops it and must read it again at once",
		summary: fmt.Sprintf("%s thrashes at its own %s limit: it reads %s/s of its files again and again from the disk", who, size, rate),
		advice:  fmt.Sprintf("Its page cache does not fit beside the %s that it holds: raise its limit, or have it read less at once. The host is not short of memory.", incident.FormatBytes(max(st.held, 0))),
	}
	if st.last.PSIFull < 0 && st.hostStall >= 0 {
		t.text += fmt.Sprintf("; all tasks of the host stalled for %.0f %% of the last %s", st.hostStall, incident.FormatDuration(recently))
	}
	return t
}
