package triage

import (
	"slices"
	"time"
)

// The bounds of a Collector: what a log of any length costs.
const (
	// maxOccasions is how many occasions are kept; of more the oldest are only
	// counted. One is about 300 bytes.
	maxOccasions = 100_000
	// maxPrints is how many kills are remembered to know one that is told twice.
	maxPrints = 100_000
)

// burst is within what time kills of one program in one place are one occasion;
// longBurst where such bursts lie far apart.
const (
	burst     = 5 * time.Second
	longBurst = 60 * time.Second
)

// twice is how far apart two logs may date the same kill: dmesg -T counts from
// when it was called, syslog writes when it was told. A pid with the same sizes
// to the byte does not come back so soon.
const twice = 10 * time.Minute

// Collector takes kills in any order and from any number of logs.
type Collector struct {
	seen map[fingerprint][]telling
	dice dice // made when it is asked for
	// booted is when the boots began (Unix seconds) whose clock is known from a
	// kill that another log dates.
	booted map[int]float64
	open   map[place]*occasion // the newest of each place
	// machines are those that the logs name.
	machines map[string]bool
	all      []*occasion
	// boot is the boot that kills with nothing but an uptime are of, boots how many
	// there were, and last the newest of its uptimes; began is true where a new one
	// began after that.
	boot, boots int
	last        time.Duration
	began       bool

	// Repeated counts kills that had been told before, Dropped occasions that
	// were too many to keep.
	Repeated, Dropped int
}

// place is what tells one program in one container, pod or unit from all others.
type place struct {
	owner, comm string
	machine     string
	scope       Scope
	host        bool
}

// occasion is one or more kills of one program at one place and time.
type occasion struct {
	Death
	at, end moment // of its first and last kill
	kills   int
	picks   int // kills less those that died along with another
	// comms counts the victims by their names, where the host's memory ran out.
	comms map[string]int
}

// moment is a time that can be compared with others of the same clock.
type moment struct {
	clock   int // calendar, unstamped, or the number of a boot, from 1
	seconds float64
}

const (
	calendar  = 0
	unstamped = -1 // compares with nothing
)

// Boot says that the kernel's first record came: a kill that comes next with
// nothing but an uptime is of another boot, unless it has been told before.
func (c *Collector) Boot() { c.began = true }

// Add takes one kill. Kills of one log come in its order; those with nothing
// but an uptime are taken to be of a new boot where it falls, too.
func (c *Collector) Add(d Death) {
	if c.seen == nil {
		c.seen, c.open, c.booted = map[fingerprint][]telling{}, map[place]*occasion{}, map[int]float64{}
		c.machines = map[string]bool{}
	}
	if d.Machine != "" {
		c.machines[d.Machine] = true
	}
	this := telling{machine: d.Machine, time: d.Time, uptime: d.Uptime, hasUptime: d.HasUptime}
	for i := range c.seen[d.print()] {
		if old := &c.seen[d.print()][i]; old.same(&this) {
			c.Repeated++
			if old.at.clock > calendar && d.Time.IsZero() {
				c.boot, c.last, c.began = old.at.clock, d.Uptime, false
			}
			c.tie(old, &d)
			return
		}
	}
	if len(c.seen) >= maxPrints {
		clear(c.seen)
	}
	at := c.moment(&d)
	this.at = at
	c.seen[d.print()] = append(c.seen[d.print()], this)
	p := place{owner: d.owner(), comm: d.Comm, machine: d.Machine, scope: d.Scope, host: d.Scope == HostMemory}
	if p.host {
		p = place{machine: d.Machine, host: true} // the kernel may kill another than the one that grew
	}
	if o := c.open[p]; o != nil && !d.SysRq && at.clock != unstamped && o.at.clock == at.clock && at.seconds >= o.at.seconds && at.seconds-o.end.seconds < burst.Seconds() {
		o.end = at
		o.kills++
		if p.host {
			o.comms[d.Comm]++
		}
		if !d.Along {
			o.picks++
		}
		if p.host && d.Hog == o.Hog {
			o.HogLost += d.HogLost
		}
		if d.RSS > o.RSS && !p.host || d.HogHeld > o.HogHeld {
			kept := o.Death
			o.Death = d
			o.Death.Time, o.Death.Uptime = kept.Time, kept.Uptime
			if p.host && d.Hog == kept.Hog {
				o.HogLost = kept.HogLost
			}
		}
		return
	}
	o := &occasion{Death: d, at: at, end: at, kills: 1, picks: 1}
	if p.host {
		o.comms = map[string]int{d.Comm: 1}
	}
	c.open[p] = o
	c.all = append(c.all, o)
	if len(c.all) > 2*maxOccasions {
		c.Dropped += len(c.all) - maxOccasions
		c.all = slices.Clone(c.all[len(c.all)-maxOccasions:])
	}
}

func (c *Collector) moment(d *Death) moment {
	if !d.Time.IsZero() {
		return moment{calendar, float64(d.Time.UnixNano()) / 1e9}
	}
	if !d.HasUptime {
		return moment{clock: unstamped}
	}
	if c.boots == 0 || c.began || d.Uptime < c.last-time.Second {
		c.boots++
		c.boot = c.boots
	}
	c.last, c.began = d.Uptime, false
	return moment{c.boot, c.last.Seconds()}
}

// machine is the machine of an occasion where the logs are of several.
func (c *Collector) machine(o *occasion) string {
	if len(c.machines) < 2 {
		return ""
	}
	return o.Machine
}

// hostOccasions are the kills for want of a host's memory, a chain for each host.
func (c *Collector) hostOccasions() []*chain {
	of := map[string]*chain{}
	var out []*chain
	for _, o := range c.all {
		if o.Scope != HostMemory {
			continue
		}
		m := c.machine(o)
		if of[m] == nil {
			of[m] = &chain{owners: map[string]bool{}, stride: 1, machine: m}
			out = append(out, of[m])
		}
		of[m].occasions = append(of[m].occasions, o)
	}
	for _, ch := range out {
		ch.mergeBursts()
	}
	return out
}
