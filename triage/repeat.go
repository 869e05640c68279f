package triage

import "time"

// telling is when a kill was, as one log tells it.
type telling struct {
	machine   string
	time      time.Time
	uptime    time.Duration
	hasUptime bool
	at        moment
}

// same tells whether two kills that look alike are one. Dates decide where both
// have one: the same daemon with the same pid dies at the same uptime of every
// boot. Where they are not dated alike they are: two logs of the same machine.
func (a *telling) same(b *telling) bool {
	if a.machine != "" && b.machine != "" && a.machine != b.machine {
		return false
	}
	if dated := !a.time.IsZero() && !b.time.IsZero(); dated {
		if d := a.time.Sub(b.time); d <= -twice || d >= twice {
			return false
		}
	}
	if a.hasUptime && b.hasUptime {
		d := a.uptime - b.uptime
		return d > -2*time.Second && d < 2*time.Second
	}
	return true
}

// tie learns from a kill that is told with a date and told without when the boot
// of the second began: all kills of that boot have a date then, whichever of the
// logs was read first.
func (c *Collector) tie(old *telling, again *Death) {
	switch {
	case old.time.IsZero() && !again.Time.IsZero() && old.at.clock > calendar:
		c.booted[old.at.clock] = float64(again.Time.UnixNano())/1e9 - old.uptime.Seconds()
		old.time = again.Time
	case !old.time.IsZero() && again.Time.IsZero() && again.HasUptime:
		// Only here does a repeat count for where a boot begins: the same log
		// twice is no boot more.
		at := c.moment(again)
		c.booted[at.clock] = float64(old.time.UnixNano())/1e9 - at.seconds
	}
}

// date gives the occasions of known boots their date.
func (c *Collector) date() {
	for _, o := range c.all {
		began, ok := c.booted[o.at.clock]
		if !ok {
			continue
		}
		o.at = moment{calendar, began + o.at.seconds}
		o.end = moment{calendar, began + o.end.seconds}
		o.Time = time.Unix(0, int64(o.at.seconds*1e9)).UTC()
	}
}
