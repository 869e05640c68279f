package watcher

import "time"

const (
	// sampleEvery is the time between two readings of a container, as long as
	// that costs no more than one part in sampleShare of a core.
	sampleEvery = time.Second
	sampleShare = 120
	// paceRounds is over how many rounds the time between readings is told: a
	// few slow rounds, on a host that is busy with something else, are no news.
	paceRounds = 60
)

// pace finds how far apart rounds of readings are, from what they cost.
type pace struct {
	cost   time.Duration // of a round, smoothed
	period time.Duration
	told   time.Duration // the period that was told last
	sum    time.Duration // of the periods of the rounds since then
	rounds int
}

func newPace() pace { return pace{period: sampleEvery, told: sampleEvery} }

// took takes what a round cost in processor time. It is true where the usual period
// is another than was told.
func (p *pace) took(cost time.Duration) (news bool) {
	p.cost += (cost - p.cost) / 4
	p.period = max(sampleEvery, sampleShare*p.cost)
	p.sum += p.period
	if p.rounds++; p.rounds < paceRounds {
		return false
	}
	mean := p.sum / paceRounds
	p.sum, p.rounds = 0, 0
	if mean < sampleEvery*5/4 {
		mean = sampleEvery
	}
	if now, was := mean.Seconds(), p.told.Seconds(); mean != p.told && (now >= 1.25*was || now <= 0.8*was) {
		p.told = mean
		return true
	}
	return false
}
