package trace

import "time"

// pace bounds how often the buffers are read. Anybody on the host can send
// signals without end; one at a time they would keep a processor busy with
// waking up. As a rule a round comes at once, because who sent a signal may be
// gone a millisecond later; after a hundred in a row they come a hundred a second.
type pace struct {
	next time.Time // when the next round would come, were there no burst
}

const (
	roundGap   = 10 * time.Millisecond
	roundBurst = 100
)

// take asks for a round at now and returns how long to wait for it.
func (p *pace) take(now time.Time) time.Duration {
	if p.next.Before(now.Add(-roundBurst * roundGap)) {
		p.next = now.Add(-roundBurst * roundGap)
	}
	wait := max(0, p.next.Sub(now))
	p.next = p.next.Add(roundGap)
	return wait
}
