package triage

import (
	"cmp"
	"math"
	"slices"
)

// chain is the occasions of one service, oldest first.
type chain struct {
	occasions []*occasion
	owners    map[string]bool
	// stride is of how many replicas the occasions are, in turns.
	stride int
	// machine is where it ran, in logs of several.
	machine string
	// shared is true where the victims are workers of one container that lives on.
	shared bool

	// The seconds from one occasion to the next, and the bytes taken in them.
	seconds, held []float64
	// spread is their variation, chance how likely that is at random times (0:
	// not known), adjusted the same with regard to how many chains there are.
	// mild is the chance where times are mildly regular anyway.
	spread, chance, adjusted, mild float64
}

func (c *chain) first() *occasion { return c.occasions[0] }
func (c *chain) last() *occasion  { return c.occasions[len(c.occasions)-1] }

// known is the newest occasion that tells where it was: the kernel does not print
// the cgroup of every kill.
func (c *chain) known() *occasion {
	for _, o := range slices.Backward(c.occasions) {
		if o.owner() != "" {
			return o
		}
	}
	return c.last()
}

// chains puts occasions together that are of one service: the same container,
// pod, unit or service, and containers that were made anew, one after another,
// for the same program with the same limit in the same place. What runs at the
// same time is two services, or two replicas of one.
func (c *Collector) chains() []*chain {
	c.date()
	slices.SortStableFunc(c.all, earlier)
	type key struct{ owner, comm string }
	byOwner := map[key]*chain{}
	ofPod := map[key][]*chain{}
	var order []*chain
	var bare, loose []*occasion
	add := func(o *occasion) {
		k := key{o.owner(), o.Comm}
		if o.local() {
			k.owner += " " + c.machine(o)
		}
		ch := byOwner[k]
		if ch == nil {
			ch = &chain{owners: map[string]bool{k.owner: true}, stride: 1, machine: c.machine(o)}
			byOwner[k] = ch
			order = append(order, ch)
			if o.Pod != "" {
				ofPod[key{o.Pod, o.Comm}] = append(ofPod[key{o.Pod, o.Comm}], ch)
			}
		}
		ch.occasions = append(ch.occasions, o)
	}
	for _, o := range c.all {
		switch {
		case o.Scope == HostMemory:
		case o.owner() == "":
			bare = append(bare, o)
		case o.Pod != "" && o.Limit == 0:
			loose = append(loose, o)
		default:
			add(o)
		}
	}
	// Of a pod's containers it is the limit that tells one from another.
	for _, o := range loose {
		if list := ofPod[key{o.Pod, o.Comm}]; len(list) == 1 {
			list[0].occasions = append(list[0].occasions, o)
		} else {
			add(o)
		}
	}
	if len(loose) > 0 {
		for _, ch := range order {
			slices.SortStableFunc(ch.occasions, earlier)
		}
		slices.SortStableFunc(order, func(a, b *chain) int { return earlier(a.first(), b.first()) })
	}
	order = c.addBare(joinAnew(order), bare)
	for _, ch := range order {
		if ch.stride = ch.replicas(c.chance()); ch.stride == 1 {
			ch.mergeBursts()
		}
	}
	return order
}

// alike is what containers of one service have in common.
type alike struct {
	pattern, comm, machine string
	limit                  int64
}

// lookBack is how many of the newest chains alike are asked for one that a new
// container may follow: those that ended at the very same time are skipped.
const lookBack = 64

// joinAnew joins the chains of containers that follow one another, each killed
// once. One that is killed again and again where it is was not made anew: what
// follows it is another service.
func joinAnew(order []*chain) []*chain {
	open := map[alike][]*chain{} // by when they ended, but for bursts
	var out []*chain
	for _, ch := range order {
		o := ch.first()
		if o.Pattern == "" || o.Service != "" || o.Unit != "" && o.Container == "" || ch.inPlace() {
			out = append(out, ch)
			continue
		}
		k := alike{o.Pattern, o.Comm, ch.machine, o.Limit}
		list := open[k]
		at := len(list) - 1
		for at >= 0 && at >= len(list)-lookBack && !before(list[at].last().end, o.at) {
			at--
		}
		if at < 0 || at < len(list)-lookBack {
			open[k] = append(list, ch)
			out = append(out, ch)
			continue
		}
		prev := list[at]
		prev.occasions = append(prev.occasions, ch.occasions...)
		for owner := range ch.owners {
			prev.owners[owner] = true
		}
		copy(list[at:], list[at+1:])
		list[len(list)-1] = prev
	}
	return out
}

// inPlace tells a container that lived on after a kill, or was started again
// under its own id.
func (c *chain) inPlace() bool {
	return len(c.occasions) > 1 && !(c.last().at.clock == c.first().at.clock && c.last().at.seconds-c.first().end.seconds < longBurst.Seconds())
}

// inTurns tells the kills of two replicas, as an engine keeps them that makes each
// container anew: one interval is short and the next long, and what two of them
// take together is always the same.
func (c *chain) inTurns() bool {
	seconds, _ := c.intervals()
	n := len(seconds)
	if n < 5 || n != len(c.occasions)-1 {
		return false
	}
	var both []float64
	var turn [2][]float64
	for i, d := range seconds {
		if a, b := c.occasions[i].Container, c.occasions[i+1].Container; a == "" || a == b {
			return false
		}
		turn[i%2] = append(turn[i%2], d)
		if i > 0 {
			both = append(both, d+seconds[i-1])
		}
	}
	apart := slices.Max(turn[0])*1.5 < slices.Min(turn[1]) || slices.Max(turn[1])*1.5 < slices.Min(turn[0])
	return apart && variation(both) < 0.1
}

const (
	// mostReplicas is of how many replicas the kills are told apart.
	mostReplicas = 8
	// sameTurn is how much the time from one kill of a replica to its next may vary,
	// byTurns how seldom the sums of mildly regular intervals vary as little.
	sameTurn, byTurns = 0.12, 0.002
)

// replicas is of how many replicas, each made anew after its kill, these are the kills in
// turns; 1 where nothing tells of several. In any order of theirs it takes the same time
// until as many kills are over as there are replicas.
func (c *chain) replicas(d dice) int {
	if c.inTurns() {
		return 2
	}
	seconds, _ := c.intervals()
	n := len(seconds)
	if n != len(c.occasions)-1 || n < 7 || variation(seconds) < sameTurn {
		return 1
	}
	for i := range n {
		if a, b := c.occasions[i].Container, c.occasions[i+1].Container; a == "" || a == b {
			return 1
		}
	}
	// Twice as many kills take a time that is alike, too: it is the fewest.
	var vary [mostReplicas + 1]float64
	least := math.Inf(1)
	for k := 2; k <= mostReplicas && n >= 4*k-1; k++ {
		vary[k] = deviates(sums(seconds, k)) * math.Sqrt(float64(k))
		least = min(least, vary[k])
	}
	for k := 2; k <= mostReplicas && n >= 4*k-1; k++ {
		if vary[k] > 1.2*least {
			continue
		}
		if v := mostly(sums(seconds, k)); v < sameTurn && d.inTurns(v, n, k) <= byTurns {
			return k
		}
	}
	return 1
}

// sums are those of each k intervals that follow one another.
func sums(v []float64, k int) []float64 {
	out := make([]float64, 0, len(v))
	for i := k; i <= len(v); i++ {
		sum := 0.0
		for _, x := range v[i-k : i] {
			sum += x
		}
		out = append(out, sum)
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
func (c *Collector) addBare(order []*chain, bare []*occasion) []*chain {
	type key struct{ comm, machine string }
	named := map[key][]*chain{}
	for _, ch := range order {
		k := key{ch.first().Comm, ch.machine}
		named[k] = append(named[k], ch)
	}
	alone := map[key]*chain{}
	for _, o := range bare {
		k := key{o.Comm, c.machine(o)}
		ch := alone[k]
		if only := named[k]; len(only) == 1 {
			ch = only[0]
		}
		if ch == nil {
			ch = &chain{owners: map[string]bool{}, stride: 1, machine: k.machine}
			alone[k] = ch
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
