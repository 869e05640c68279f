package triage

import (
	"cmp"
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
	seen map[fingerprint]Death
	open map[place]*occasion // the newest of each place
	all  []*occasion
	boot int
	last time.Duration

	// Repeated counts kills that had been told before, Dropped occasions that
	// were too many to keep.
	Repeated, Dropped int
}

// place is what tells one program in one container, pod or unit from all others.
type place struct {
	owner, comm string
	scope       Scope
	host        bool
}

// occasion is one or more kills of one program at one place and time.
type occasion struct {
	Death
	at, end moment // of its first and last kill
	kills   int
	picks   int // kills less those that died along with another
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

// Add takes one kill. Kills of one log come in its order; those with nothing
// but an uptime are taken to be of a new boot where it falls.
func (c *Collector) Add(d Death) {
	if c.seen == nil {
		c.seen, c.open = map[fingerprint]Death{}, map[place]*occasion{}
	}
	if old, ok := c.seen[d.print()]; ok && sameKill(&old, &d) {
		c.Repeated++
		return
	}
	if len(c.seen) >= maxPrints {
		clear(c.seen)
	}
	c.seen[d.print()] = Death{Time: d.Time, Uptime: d.Uptime, HasUptime: d.HasUptime}
	at := c.moment(&d)
	p := place{owner: d.owner(), comm: d.Comm, scope: d.Scope, host: d.Scope == HostMemory}
	if p.host {
		p = place{host: true} // whom the kernel kills need not be who grew
	}
	if o := c.open[p]; o != nil && at.clock != unstamped && o.at.clock == at.clock && at.seconds >= o.at.seconds && at.seconds-o.end.seconds < burst.Seconds() {
		o.end = at
		o.kills++
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
	c.open[p] = o
	c.all = append(c.all, o)
	if len(c.all) > 2*maxOccasions {
		c.Dropped += len(c.all) - maxOccasions
		c.all = slices.Clone(c.all[len(c.all)-maxOccasions:])
	}
}

// sameKill tells whether two kills that look alike are one. Where they are not
// dated alike they are: two logs of the same machine.
func sameKill(a, b *Death) bool {
	switch {
	case a.HasUptime && b.HasUptime:
		d := a.Uptime - b.Uptime
		return d > -2*time.Second && d < 2*time.Second
	case !a.Time.IsZero() && !b.Time.IsZero():
		d := a.Time.Sub(b.Time)
		return d > -twice && d < twice
	}
	return true
}

func (c *Collector) moment(d *Death) moment {
	if !d.Time.IsZero() {
		return moment{calendar, float64(d.Time.UnixNano()) / 1e9}
	}
	if !d.HasUptime {
		return moment{clock: unstamped}
	}
	if c.boot == 0 || d.Uptime < c.last-time.Second {
		c.boot++
	}
	c.last = d.Uptime
	return moment{c.boot, c.last.Seconds()}
}

// chain is the occasions of one service, oldest first.
type chain struct {
	occasions []*occasion
	owners    map[string]bool

	// The seconds from one occasion to the next, and the bytes held at its end.
	seconds, held []float64
	// spread is their variation, chance how likely that is at random times (0:
	// not known), adjusted the same with regard to how many chains there are.
	spread, chance, adjusted float64
}

func (c *chain) first() *occasion { return c.occasions[0] }
func (c *chain) last() *occasion  { return c.occasions[len(c.occasions)-1] }

// chains puts occasions together that are of one service: the same container,
// pod, unit or service, and containers that were made anew, one after another,
// for the same program with the same limit in the same place. What runs at the
// same time is two services, or two replicas of one.
func (c *Collector) chains() []*chain {
	slices.SortStableFunc(c.all, earlier)
	type key struct{ owner, comm string }
	byOwner := map[key]*chain{}
	var order []*chain
	var bare []*occasion
	for _, o := range c.all {
		switch {
		case o.Scope == HostMemory:
			continue
		case o.owner() == "":
			bare = append(bare, o)
			continue
		}
		k := key{o.owner(), o.Comm}
		ch := byOwner[k]
		if ch == nil {
			ch = &chain{owners: map[string]bool{k.owner: true}}
			byOwner[k] = ch
			order = append(order, ch)
		}
		ch.occasions = append(ch.occasions, o)
	}
	order = addBare(joinAnew(order), bare)
	for _, ch := range order {
		ch.mergeBursts()
	}
	return order
}

// joinAnew joins the chains of containers that follow one another.
func joinAnew(order []*chain) []*chain {
	type alike struct {
		pattern, comm string
		limit         int64
	}
	last := map[alike][]*chain{}
	var out []*chain
	for _, ch := range order {
		o := ch.first()
		if o.Pattern == "" || o.Service != "" || o.Unit != "" && o.Container == "" {
			out = append(out, ch)
			continue
		}
		k := alike{o.Pattern, o.Comm, o.Limit}
		// The one that ended last before this began.
		best := -1
		for i, prev := range last[k] {
			l := prev.last()
			if before(l.end, o.at) && (best < 0 || before(last[k][best].last().end, l.end)) {
				best = i
			}
		}
		if best < 0 {
			last[k] = append(last[k], ch)
			out = append(out, ch)
			continue
		}
		prev := last[k][best]
		prev.occasions = append(prev.occasions, ch.occasions...)
		for owner := range ch.owners {
			prev.owners[owner] = true
		}
	}
	return out
}

func earlier(a, b *occasion) int {
	return cmp.Or(cmp.Compare(a.at.clock, b.at.clock), cmp.Compare(a.at.seconds, b.at.seconds))
}

func before(a, b moment) bool {
	return a.clock == b.clock && a.clock != unstamped && a.seconds < b.seconds
}

// addBare gives kills that the kernel printed without their cgroup (it names it
// for ten kills in five seconds) to the only service whose program has that
// name, else they stand for themselves.
func addBare(order []*chain, bare []*occasion) []*chain {
	named := map[string][]*chain{}
	for _, ch := range order {
		named[ch.first().Comm] = append(named[ch.first().Comm], ch)
	}
	alone := map[string]*chain{}
	for _, o := range bare {
		ch := alone[o.Comm]
		if only := named[o.Comm]; len(only) == 1 {
			ch = only[0]
		}
		if ch == nil {
			ch = &chain{owners: map[string]bool{}}
			alone[o.Comm] = ch
			order = append(order, ch)
		}
		ch.occasions = append(ch.occasions, o)
	}
	if len(bare) > 0 {
		for _, ch := range order {
			slices.SortStableFunc(ch.occasions, earlier)
		}
	}
	return order
}

// hostOccasions are the kills for want of the host's memory, as one chain.
func (c *Collector) hostOccasions() *chain {
	ch := &chain{owners: map[string]bool{}}
	for _, o := range c.all {
		if o.Scope == HostMemory {
			ch.occasions = append(ch.occasions, o)
		}
	}
	if len(ch.occasions) == 0 {
		return nil
	}
	ch.mergeBursts()
	return ch
}
