package sampler

import "time"

const (
	// sampleEvery is the time between two readings of a container, as long as
	// that costs no more than one part in sampleShare of a core.
	sampleEvery = time.Second
	sampleShare = 120
	// reportRounds is over how many rounds the reported period is averaged: a few
	// slow rounds, on a host that is busy with something else, are not reported.
	reportRounds = 60
)

// period is the time between two rounds of readings, found from what a round costs.
type period struct {
	cost     time.Duration // processor time of a round, smoothed
	now      time.Duration
	reported time.Duration // the mean that was reported last
	sum      time.Duration // of the periods of the rounds since then
	rounds   int
}

func newPeriod() period { return period{now: sampleEvery, reported: sampleEvery} }

// took takes what a round cost in processor time. It is true where the mean period
// has moved away from what was reported.
func (p *period) took(cost time.Duration) (changed bool) {
	p.cost += (cost - p.cost) / 4
	p.now = max(sampleEvery, sampleShare*p.cost)
	p.sum += p.now
	if p.rounds++; p.rounds < reportRounds {
		return false
	}
	mean := p.sum / reportRounds
	p.sum, p.rounds = 0, 0
	if mean < sampleEvery*5/4 {
		mean = sampleEvery
	}
	if now, was := mean.Seconds(), p.reported.Seconds(); mean != p.reported && (now >= 1.25*was || now <= 0.8*was) {
		p.reported = mean
		return true
	}
	return false
}
