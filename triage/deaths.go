package triage

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/redact"
)

// What the chance of random times being as regular means, with regard to how many
// services there are. What varies more than widest is called regular in no case.
const (
	chanceLikely   = 0.05
	chancePossible = 0.15
	widest         = 0.5
	// chanceMild and mildPossible are the same for times that are mildly regular, as many
	// things that are no leak are: a load, a queue.
	chanceMild   = 0.002
	mildPossible = 0.005
	// sameTwo is how much two intervals of days may vary to be worth a word.
	sameTwo = 0.02
)

// startUp is how soon after its last kill a program is killed again that cannot
// even start in its limit; engines wait ten seconds and less before they restart.
const startUp = 15

// Services judges what was collected and joins it with what the readings of the
// same services showed (JudgeHistory), best evidence of a leak first.
func (c *Collector) Services(read ...Service) []Service {
	var out []Service
	d := c.chance()
	byName := map[string]int{}
	chains := c.chains()
	for _, ch := range chains {
		ch.measure(d)
	}
	adjust(chains)
	for _, ch := range chains {
		s := judge(ch)
		if name := redact.Sanitize(ch.known().Service); name != "" {
			if i, ok := byName[name]; ok && out[i].Kills.Times >= s.Kills.Times {
				continue // another of its programs died more often
			} else if ok {
				out[i] = s
				continue
			}
			byName[name] = len(out)
		}
		out = append(out, s)
	}
	for _, host := range c.hostOccasions() {
		if host.machine == "" {
			byName[HostName] = len(out)
		}
		out = append(out, judgeHost(host, d))
	}
	for _, h := range read {
		if at, ok := byName[h.Service]; ok {
			out[at] = join(h, out[at])
		} else {
			out = append(out, h)
		}
	}
	rank(out)
	return out
}

// join makes one of what the readings and the kills of a service say. The
// readings decide, where they say anything: they show how it grew, the kills
// only when it had.
func join(h, d Service) Service {
	h.Kills, h.Program, h.Unit, h.Pod = d.Kills, d.Program, d.Unit, d.Pod
	if h.Limit == nil {
		h.Limit = d.Limit
	}
	if len(h.Containers) == 0 {
		h.Containers = d.Containers
	}
	switch {
	case h.Service == HostName, h.Class == NotEnoughData, h.Class == Steady:
		if d.Class == NotEnoughData {
			h.Advice = append(h.Advice, d.Advice...)
			break
		}
		h.Service = d.Service // a program that fills the host has its own
		h.Class, h.Confidence, h.Advice = d.Class, d.Confidence, d.Advice
		h.Rate, h.RateLow, h.RateHigh, h.Suggested = d.Rate, d.RateLow, d.RateHigh, d.Suggested
		h.Reasons = append(d.Reasons, h.Reasons...)
		return h
	case h.Class == Leak && d.Class == Leak:
		h.Confidence = incident.Likely
	}
	h.Reasons = append(h.Reasons, d.Reasons...)
	return h
}

// rank orders services by class, how sure it is, and how often they died.
func rank(list []Service) {
	for i := range list {
		list[i].score = list[i].weight()
	}
	slices.SortStableFunc(list, func(a, b Service) int {
		switch {
		case a.score > b.score:
			return -1
		case a.score < b.score:
			return 1
		}
		return strings.Compare(a.Service, b.Service)
	})
	for i := range list {
		list[i].Rank = i + 1
	}
}

// weight is what orders services.
func (s *Service) weight() float64 {
	score := float64(len(Classes)-slices.Index(Classes, s.Class)) * 1000
	switch s.Confidence {
	case incident.Certain:
		score += 600
	case incident.Likely:
		score += 400
	}
	if s.Unverified {
		score -= 500
	}
	if s.Kills != nil {
		score += min(float64(s.Kills.Times), 199)
	}
	return score
}

// intervals are the seconds from the end of one occasion to the next of the same
// clock, and what was taken in each: all that was held at its end, or what the kill
// before had freed.
func (c *chain) intervals() (seconds, held []float64) {
	for i := c.stride; i < len(c.occasions); i++ {
		a, b := c.occasions[i-c.stride], c.occasions[i]
		if !before(a.end, b.at) {
			continue
		}
		seconds = append(seconds, b.at.seconds-a.end.seconds)
		if c.shared {
			held = append(held, float64(a.RSS)) // was free after a, and is full again
		} else {
			held = append(held, float64(b.held()))
		}
	}
	return seconds, held
}

// measure notes how regular the intervals are: it is the time for each byte that
// was held that a leak makes alike, whatever its limit was.
func (c *chain) measure(d dice) {
	mildly := gammaOf(d)
	c.shared = c.sharing()
	c.seconds, c.held = c.intervals()
	c.chance, c.mild, c.adjusted = 0, 1, 1
	each := c.seconds
	if len(each) < 2 {
		return
	}
	// Where a size is not known it is the times alone.
	if rates := c.rates(); len(rates) == len(each) {
		each = make([]float64, len(rates))
		for i, r := range rates {
			each[i] = 1 / r
		}
	}
	c.spread, c.chance = variation(each), d.regular(each)
	// Two intervals cannot pass it; of minutes they are asked no more than before.
	if c.mild = mildly.regular(each); len(each) == 2 && max(c.seconds[0], c.seconds[1]) < 3600 {
		c.mild = 0
	}
}

// rates are the bytes per second that were taken in each interval.
func (c *chain) rates() []float64 {
	var out []float64
	for i, d := range c.seconds {
		if c.held[i] > 0 {
			out = append(out, c.held[i]/d)
		}
	}
	return out
}

// adjust sets the chances right for the number of chains.
func adjust(chains []*chain) {
	var measured []*chain
	var chances []float64
	for _, c := range chains {
		if c.chance > 0 {
			measured, chances = append(measured, c), append(chances, c.chance)
		}
	}
	for i, q := range adjusted(chances) {
		measured[i].adjusted = q
	}
}

// held is what the program held of the limit: the victim, or all its processes
// where the table is of its own limit.
func (o *occasion) held() int64 {
	if o.Scope == HostMemory {
		return o.HogHeld
	}
	held := o.RSS
	if o.Scope == OwnLimit && o.Limit > 0 && 2*(o.Shmem+o.Kernel) > o.Limit {
		return o.Limit // what no process holds filled it, and goes with the container
	}
	if o.Scope == OwnLimit && o.Hog == o.Comm && o.HogTasks > 1 && (o.Limit == 0 || o.HogHeld <= o.Limit+o.Limit/8) {
		held = max(held, o.HogHeld)
	}
	if o.Scope == OwnLimit && o.Limit > 0 {
		held = min(held, o.Limit)
	}
	return held
}

// judge judges the kills of one program at one place.
func judge(c *chain) Service {
	o := c.known()
	s := Service{Schema: Schema, Service: c.name(), Program: o.Comm, Unit: o.Unit, Pod: o.Pod, Containers: c.containers(), Confidence: incident.Possible}
	for _, x := range c.occasions {
		if x.Limit > 0 {
			s.Limit = new(x.Limit)
		}
		s.Unverified = s.Unverified || x.Unverified
	}
	s.Kills = c.kills(c.seconds)
	s.told(c)
	j := verdict{Service: &s, chain: c}
	j.judge()
	if s.Unverified {
		s.Confidence = weaker(s.Confidence)
		s.Reasons = append(s.Reasons, "the log does not say who wrote its lines: a program could have written these")
	}
	return s
}

// weaker is a confidence in what a program could have forged.
func weaker(c incident.Confidence) incident.Confidence {
	if c == "" {
		return ""
	}
	return incident.Possible
}

// kills are the numbers of the occasions.
func (c *chain) kills(seconds []float64) *Kills {
	k := &Kills{Times: len(c.occasions)}
	var rss []float64
	for _, o := range c.occasions {
		k.Count += o.kills
		if r := o.held(); r > 0 {
			rss = append(rss, float64(r))
		}
		if o.at.clock == calendar {
			if k.First.IsZero() {
				k.First = o.Time
			}
			k.Last = o.Time
		} else if o.HasUptime {
			if k.FirstUptime == nil {
				k.FirstUptime = new(o.Uptime.Seconds())
			}
			k.LastUptime = new(o.Uptime.Seconds())
		}
	}
	if len(rss) > 0 {
		k.RSS = new(int64(median(rss)))
	}
	if len(seconds) > 0 {
		k.Interval, k.IntervalMin, k.IntervalMax = new(median(seconds)), new(slices.Min(seconds)), new(slices.Max(seconds))
	}
	return k
}

// told adds the reasons that hold whatever the pattern is.
func (s *Service) told(c *chain) {
	o := c.known()
	if o.Scope == SharedLimit {
		s.Reasons = append(s.Reasons, "the limit is its parent's, which it shares: another below that limit may have grown")
	}
	if o.Scope == NodeMemory {
		s.Reasons = append(s.Reasons, "the memory nodes it may use ran out, not a limit")
	}
}

// containers are the newest of the names and ids it ran as.
func (c *chain) containers() []string {
	var out []string
	for _, o := range slices.Backward(c.occasions) {
		id := o.Container
		if id == "" {
			id = o.Name
		}
		if id != "" && !slices.Contains(out, id) {
			out = append(out, id)
		}
		if len(out) == 5 {
			break
		}
	}
	return out
}

// numbers are those of replicas in words.
var numbers = [mostReplicas + 1]string{2: "two", 3: "three", 4: "four", 5: "five", 6: "six", 7: "seven", 8: "eight"}

// name is what a person would call it.
func (c *chain) name() string {
	if c.machine != "" && c.known().Service == "" {
		return c.place() + " on " + redact.Sanitize(c.machine)
	}
	return c.place()
}

// place is its program, and where that ran.
func (c *chain) place() string {
	o := c.known()
	prog := redact.Sanitize(o.Comm)
	if strings.TrimSpace(prog) == "" {
		prog = fmt.Sprintf("pid %d", o.PID)
	}
	ids := slices.Sorted(maps.Keys(c.owners))
	switch {
	case o.Service != "":
		return redact.Sanitize(o.Service)
	case len(ids) > 1 && c.stride > 1:
		return fmt.Sprintf("%s (%d containers, maybe %s replicas)", prog, len(ids), numbers[c.stride])
	case len(ids) > 1:
		return fmt.Sprintf("%s (%d containers, one after another)", prog, len(ids))
	case o.Name != "":
		return fmt.Sprintf("%s (container %s)", prog, redact.Sanitize(o.Name))
	case o.Pod != "":
		return fmt.Sprintf("%s (pod %.13s)", prog, redact.Sanitize(o.Pod))
	case o.Container != "":
		return fmt.Sprintf("%s (container %.12s)", prog, redact.Sanitize(o.Container))
	case o.Unit != "":
		return fmt.Sprintf("%s (%s)", prog, redact.Sanitize(o.Unit))
	case o.Pattern != "":
		return fmt.Sprintf("%s (%s)", prog, redact.Sanitize(o.Pattern))
	}
	return prog
}
