package notify

import (
	"slices"
	"time"
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
)

// pace decides which messages are told alone and which become a digest, by how
// many a receiver was told of late.
type pace struct {
	perMinute int         // lone alerts in a stormWindow; 0 is no bound
	budget    int         // messages in a budgetWindow; 0 is no bound
	alone     []time.Time // lone alerts of the last stormWindow
	all       []time.Time // messages of the last budgetWindow
	at        time.Time   // when what waits is told as a digest; zero when nothing waits
	last      time.Time   // the last digest
	every     time.Duration
}

// room is how many may be told alone now, and how many ever at once.
func (p *pace) room(now time.Time) (room, most int) {
	p.alone = slices.DeleteFunc(p.alone, func(t time.Time) bool { return now.Sub(t) >= stormWindow })
	p.all = slices.DeleteFunc(p.all, func(t time.Time) bool { return now.Sub(t) >= budgetWindow })
	room, most = 1<<30, 1<<30
	if p.perMinute > 0 {
		room, most = p.perMinute-len(p.alone), p.perMinute
	}
	if p.budget > 0 {
		room, most = min(room, p.budget-len(p.all)), min(most, p.budget)
	}
	return max(room, 0), most
}

// sort returns what is told now, in order. What it leaves out stays in the queue
// until p.at, unless there is room for it before. all is what is due; hurry is
// true when there is no later. What is single is not counted: a storm that ends
// must not make a digest of what begins.
func (p *pace) sort(all []message, now time.Time, hurry bool) []message {
	if len(all) == 0 {
		return all
	}
	counted := 0
	for _, m := range all {
		if !m.single {
			counted++
		}
	}
	room, most := p.room(now)
	if counted <= room {
		p.at, p.every = time.Time{}, digestEvery
		return all
	}
	if counted > most {
		room = 0 // they came together and are told together
		if p.at.IsZero() {
			p.at = now
		}
	}
	if p.at.IsZero() {
		p.at = now.Add(digestGather)
	}
	if earliest := p.last.Add(p.every); !p.last.IsZero() && p.at.Before(earliest) {
		p.at = earliest
	}
	var out, late []message
	rest := message{digest: true, gathered: true}
	waiting := map[string]bool{} // lanes: what is single there waits as well
	for _, m := range all {
		switch {
		case m.single && m.behind(waiting):
			late = append(late, m)
		case m.single:
			out = append(out, m)
		case room > 0:
			room--
			out = append(out, m)
		case now.Before(p.at) && !hurry:
			m.mark(waiting)
		case m.mayHaveCome():
			out = append(out, m)
		default:
			m.mark(waiting)
			rest.deliveries = append(rest.deliveries, m.deliveries...)
			rest.late = max(rest.late, m.late)
		}
	}
	if now.Before(p.at) && !hurry {
		return out
	}
	p.at = time.Time{}
	switch len(rest.deliveries) {
	case 0:
		return out
	case 1:
		rest.digest = false
	}
	return append(append(out, rest), late...)
}

// sent notes that a message was delivered.
func (p *pace) sent(m message, now time.Time) {
	if m.single {
		return
	}
	p.all = append(p.all, now)
	if !m.gathered && !m.digest {
		p.alone = append(p.alone, now)
		return
	}
	if p.last = now; p.every < digestEvery {
		p.every = digestEvery
	} else {
		p.every = min(2*p.every, digestRarest)
	}
}
