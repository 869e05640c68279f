package notify

import (
	"cmp"
	"slices"
	"time"

	"github.com/oomwatch/oomwatch/incident"
)

const (
	// stormWindow is the stretch in which StormPerMinute counts, budgetWindow
	// that of Budget.
	stormWindow  = time.Minute
	budgetWindow = 10 * time.Minute
	// digestGather is how long what comes after the last lone alert is
	// gathered. Two digests are digestEvery apart, twice as far each time while
	// it goes on, up to digestRarest.
	digestGather = 5 * time.Second
	digestEvery  = 30 * time.Second
	digestRarest = 2 * time.Minute
	// The same where something waits that its receiver never had.
	urgentGather = 2 * time.Second
	urgentEvery  = 10 * time.Second
)

// pace decides which messages are sent alone and which become a digest, by how
// many a receiver got of late. What a receiver never had of a container goes alone
// as long as there is room at all: repeats have the smaller share, and neither one
// container nor one tenant can use up what others need.
type pace struct {
	perMinute int // lone alerts in a stormWindow; 0 is no bound
	budget    int // messages in a budgetWindow, which hold repeats back; 0 is no bound
	alone     []lone
	all       []time.Time // messages of the last budgetWindow
	at        time.Time   // when what waits is sent as a digest; zero when nothing waits
	last      time.Time   // the last digest
	every     time.Duration
}

// lone is an alert that was sent by itself.
type lone struct {
	at                time.Time
	container, tenant string
	repeat            bool
}

// lone is what a message counts as, sent by itself.
func (m message) lone(at time.Time) lone {
	d := &m.deliveries[0]
	return lone{at: at, container: d.Host + "\x00" + d.Incident.Subject(), tenant: tenantOf(d), repeat: !m.firstEver()}
}

// firstEver is true for what the receiver never had: a container's first death of a
// cause, say. What was asked for, and is information only, is nothing to hurry for.
func (m message) firstEver() bool {
	d := &m.deliveries[0]
	return d.Rev == 0 && d.Last.At.IsZero() && d.Incident.Severity != incident.Info
}

// tenantOf names whose container it is: the compose project, else the pod's namespace,
// else the image, as jobs have a name each; else the container's lane.
func tenantOf(d *incident.Delivery) string {
	c := d.Incident.Container
	if c == nil {
		return laneOf(d)
	}
	switch {
	case c.Compose != nil && c.Compose.Project != "":
		return d.Host + "\x00project:" + c.Compose.Project
	case c.Pod != nil && c.Pod.Namespace != "":
		return d.Host + "\x00namespace:" + c.Pod.Namespace
	}
	return d.Host + "\x00" + cmp.Or(c.Image, d.Lane)
}

// forget drops what is outside the windows.
func (p *pace) forget(now time.Time) {
	p.alone = slices.DeleteFunc(p.alone, func(l lone) bool { return now.Sub(l.at) >= stormWindow })
	p.all = slices.DeleteFunc(p.all, func(t time.Time) bool { return now.Sub(t) >= budgetWindow })
}

// room counts down what may be sent alone now.
type room struct {
	p       *pace
	alone   []lone
	repeats int // repeats among alone
	all     int
	tenants map[string]int
	lanes   map[string]int
}

func (p *pace) room() *room {
	r := &room{p: p, all: len(p.all), tenants: map[string]int{}, lanes: map[string]int{}}
	for _, l := range p.alone {
		r.take(l)
	}
	return r
}

func (r *room) take(l lone) {
	r.alone = append(r.alone, l)
	r.tenants[l.tenant]++
	if l.repeat {
		r.repeats++
		r.lanes[l.container]++
	}
}

// admit says whether one more may be sent alone, and counts it where it may. A third
// of what a minute has room for is kept for first-ever alerts of other tenants; a
// container has a tenth for its repeats.
func (r *room) admit(l lone) bool {
	if n := r.p.perMinute; n > 0 {
		share := n - n/3
		if len(r.alone) >= n || r.tenants[l.tenant] >= share || l.repeat && (r.repeats >= share || r.lanes[l.container] >= max(n/10, 1)) {
			return false
		}
	}
	if l.repeat && r.p.budget > 0 && r.all >= r.p.budget {
		return false
	}
	r.all++
	r.take(l)
	return true
}

// burst says which of the messages came in such number that they are sent together:
// the first-ever ones, and the repeats.
func (p *pace) burst(all []message) (firsts, repeats bool) {
	var first, repeat int
	for _, m := range all {
		switch {
		case m.single:
		case m.firstEver():
			first++
		default:
			repeat++
		}
	}
	over := func(n int) bool { return p.perMinute > 0 && n > p.perMinute }
	return over(first), over(repeat) || p.budget > 0 && repeat > p.budget
}

// sort returns what is sent now, in order. What it leaves out stays in the queue
// until p.at, unless there is room for it before. all is what is due; hurry is
// true when there is no later. What is single is not counted: a storm that ends
// must not make a digest of what begins.
func (p *pace) sort(all []message, now time.Time, hurry bool) []message {
	if len(all) == 0 {
		return all
	}
	p.forget(now)
	firsts, repeats := p.burst(all)
	room := p.room()
	var out, late []message
	gathered := message{digest: true, gathered: true}
	var waits []message
	behind := map[string]bool{} // lanes: what comes later there waits as well
	for _, m := range all {
		stays := m.behind(behind)
		switch {
		case m.single && stays:
			late = append(late, m)
			continue
		case m.single:
			out = append(out, m)
			continue
		case !stays && !(m.firstEver() && firsts || !m.firstEver() && repeats) && room.admit(m.lone(now)):
			out = append(out, m)
			continue
		}
		waits = append(waits, m)
		m.mark(behind)
	}
	if len(waits) == 0 {
		p.at, p.every = time.Time{}, digestEvery
		return out
	}
	p.plan(waits, now, firsts || repeats)
	if now.Before(p.at) && !hurry {
		return out
	}
	p.at = time.Time{}
	for _, m := range waits {
		if m.mayHaveCome() {
			out = append(out, m)
			continue
		}
		gathered.deliveries = append(gathered.deliveries, m.deliveries...)
		gathered.late = max(gathered.late, m.late)
	}
	switch len(gathered.deliveries) {
	case 0:
		return append(out, late...)
	case 1:
		gathered.digest = false
	}
	return append(append(out, gathered), late...)
}

// plan sets when what waits is sent as a digest.
func (p *pace) plan(waits []message, now time.Time, together bool) {
	gather, every := digestGather, p.every
	if slices.ContainsFunc(waits, message.firstEver) {
		gather, every = urgentGather, urgentEvery
	}
	if together {
		gather = 0 // they came together and are sent together
	}
	at := now.Add(gather)
	if earliest := p.last.Add(every); !p.last.IsZero() && at.Before(earliest) {
		at = earliest
	}
	if p.at.IsZero() || at.Before(p.at) {
		p.at = at
	}
}

// sent notes that a message was delivered.
func (p *pace) sent(m message, now time.Time) {
	if m.single {
		return
	}
	p.all = append(p.all, now)
	if !m.gathered && !m.digest {
		p.alone = append(p.alone, m.lone(now))
		return
	}
	if p.last = now; p.every < digestEvery {
		p.every = digestEvery
	} else {
		p.every = min(2*p.every, digestRarest)
	}
}
