package notify

import "time"

const (
	// suspectAfter is how many failures in a row, without one success between them,
	// mean that more is wrong than one message: then one at a time is tried.
	suspectAfter = 5
	// downAfter is how long nothing must succeed until the receiver counts as down.
	downAfter = time.Minute
	// suspectWait is the least time between two attempts at a suspect receiver.
	suspectWait = time.Second
	// overdue is how late a delivery is folded into a digest with the others
	// that are; shortOutage is how long an outage may be without that.
	overdue     = 2 * time.Hour
	shortOutage = 5 * time.Minute
)

// outage is what a worker knows of its receiver's being out of reach. After some
// failures in a row one delivery is tried at a time, the rarer the longer it lasts,
// and the others wait for that; one success ends it. A receiver that fails now and
// then is no outage: there each message has its own backoff.
type outage struct {
	fails  int
	lane   string    // of the first that failed
	many   bool      // others have failed too: it is not one bad message
	since  time.Time // the first failure of this row
	until  time.Time // the next attempt
	reason string
	// refusing is since when it has only asked to be left alone (Retry-After).
	refusing time.Time
	// ended is when the last outage that was long ended, lasted how long it was.
	ended  time.Time
	lasted time.Duration
}

// suspect is true while one delivery at a time is tried.
func (o *outage) suspect() bool { return o.fails >= suspectAfter }

// quietUntil is when the next attempt may be made; zero while all may be tried.
func (o *outage) quietUntil() time.Time {
	if !o.suspect() {
		return time.Time{}
	}
	return o.until
}

// failed notes a failure and returns when to try again: at, or with all others.
func (o *outage) failed(now, at time.Time, m message, err error) time.Time {
	lane := laneOf(&m.deliveries[0])
	if o.fails == 0 {
		o.since, o.lane, o.many = now, lane, false
	}
	o.many = o.many || lane != o.lane
	o.fails++
	if !o.suspect() {
		return at
	}
	lasts := now.Sub(o.since)
	if lasts >= downAfter {
		o.reason = err.Error()
	}
	if !o.until.After(now) {
		o.until = now.Add(spread(min(max(lasts/2, suspectWait), longestWait)))
	}
	return o.until
}

// refused notes that the receiver asks to be left alone: it is there, and takes nothing.
func (o *outage) refused(now time.Time, err error) {
	since := o.refusing
	o.over(now)
	if o.refusing = since; since.IsZero() {
		o.refusing = now
	}
	o.reason = err.Error()
}

// refusesFor is how long it has taken nothing and only asked to be left alone.
func (o *outage) refusesFor(now time.Time) time.Duration {
	if o.refusing.IsZero() {
		return 0
	}
	return now.Sub(o.refusing)
}

// over notes that the receiver has answered.
func (o *outage) over(now time.Time) {
	if o.suspect() && now.Sub(o.since) >= shortOutage {
		o.ended, o.lasted = now, now.Sub(o.since)
	}
	o.fails, o.until, o.refusing, o.reason = 0, time.Time{}, time.Time{}, ""
}

// mayTry says whether a message may be sent now: while the receiver is suspect one
// that is due, and as long as only one lane has failed any that was never tried.
func (o *outage) mayTry(m message, now time.Time) bool {
	if !o.suspect() || !o.until.After(now) {
		return true
	}
	return !o.many && laneOf(&m.deliveries[0]) != o.lane && m.deliveries[0].Attempts == 0
}

// fold joins what is told late into one message: what came while the receiver was
// down, and whatever is long overdue. One that is alone stays as it is. While the
// receiver is suspect nothing is folded: one message is enough to find out.
func (o *outage) fold(all []message, now time.Time) []message {
	if o.suspect() {
		return all
	}
	late := func(m message) bool {
		d := &m.deliveries[0]
		return !m.single && !m.mayHaveCome() && (d.KeptAt.Before(o.ended) || now.Sub(d.KeptAt) > overdue)
	}
	n := 0
	for _, m := range all {
		if late(m) {
			n++
		}
	}
	if n < 2 {
		return all
	}
	out := all[:0:0]
	var sum message
	at := -1
	for _, m := range all {
		if !late(m) {
			out = append(out, m)
			continue
		}
		if at < 0 {
			at = len(out)
			out = append(out, message{})
			sum.digest, sum.late = true, o.lasted
		}
		sum.deliveries = append(sum.deliveries, m.deliveries...)
	}
	out[at] = sum
	return out
}
