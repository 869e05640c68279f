package triage

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/incident"
)

// died is a container that was killed at these times.
func died(id string, times ...time.Time) []Death {
	var out []Death
	for i, at := range times {
		out = append(out, Death{Time: at, PID: 1000 + i, Comm: "web", Container: id, Pattern: "/docker/*", Scope: OwnLimit, Limit: 512 * mib, RSS: 500 * mib})
	}
	return out
}

func every(n int, gap time.Duration, off func(i int) time.Duration) []time.Time {
	var out []time.Time
	for i := range n {
		out = append(out, newYear.Add(2*time.Hour+time.Duration(i)*gap+off(i)))
	}
	return out
}

// TestClock tells what comes by the clock from a leak, whose phase drifts.
func TestClock(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 1))
	few := func(int) time.Duration { return time.Duration(r.Float64() * 4e9) }
	walk := time.Duration(0)
	drift := func(int) time.Duration {
		walk += time.Duration(r.NormFloat64() * float64(5*time.Minute))
		return walk
	}
	slow := func(i int) time.Duration { return time.Duration(i) * 10 * time.Minute }
	none := func(int) time.Duration { return 0 }
	jitter := func(int) time.Duration { return time.Duration(r.NormFloat64() * 2e11) }
	weekdays := every(5, 24*time.Hour, few)
	for _, at := range every(5, 24*time.Hour, few) {
		weekdays = append(weekdays, at.AddDate(0, 0, 7))
	}
	for _, c := range []struct {
		name  string
		times []time.Time
		class Class
	}{
		{"every night", every(7, 24*time.Hour, few), Spike},
		{"three nights", every(3, 24*time.Hour, few), Spike},
		{"on weekdays", weekdays, Spike},
		{"every hour", every(8, time.Hour, few), Spike},
		{"every six hours", every(5, 6*time.Hour, few), Spike},
		{"every nine hours is no schedule", every(5, 9*time.Hour, none), Leak},
		{"an hour, and drifts", every(8, time.Hour, drift), Leak},
		{"a day and ten minutes", every(6, 24*time.Hour, slow), Leak},
		{"ten minutes", every(5, 10*time.Minute, few), Spike},
		{"ninety minutes", every(9, 90*time.Minute, few), Spike},
		{"eight hours, with jitter", every(12, 8*time.Hour, jitter), Spike},
		{"eleven minutes and a half", every(6, 690*time.Second, none), Leak},
	} {
		t.Run(c.name, func(t *testing.T) {
			var log Collector
			for _, d := range died("c", c.times...) {
				log.Add(d)
			}
			if s := log.Services()[0]; s.Class != c.class || c.class == Spike && (s.Confidence != incident.Possible || s.Rate != nil) {
				t.Errorf("%s %s %v, want %s: %q", s.Class, s.Confidence, s.Rate, c.class, s.Reasons)
			}
		})
	}
}

// alone judges the kills of one service with dice that were thrown before.
func alone(d dice, list []Death) Service {
	var log Collector
	for _, x := range list {
		log.Add(x)
	}
	chains := log.chains()
	chains[0].measure(d)
	adjust(chains)
	return judge(chains[0])
}

// TestDailyPeak kills at the same peak of every day, more or less.
func TestDailyPeak(t *testing.T) {
	leaks := 0
	const rounds = 200
	d := dice{}
	for seed := range uint64(rounds) {
		r := rand.New(rand.NewPCG(seed, 9))
		peak := func(int) time.Duration { return time.Duration(r.NormFloat64() * float64(90*time.Minute)) }
		if alone(d, died("c", every(6, 24*time.Hour, peak)...)).Class == Leak {
			leaks++
		}
	}
	t.Logf("%d of %d are called a leak", leaks, rounds)
	if leaks > rounds/50 {
		t.Errorf("%d of %d are called a leak", leaks, rounds)
	}
}

// TestFewAtRandom holds three and four kills at random times to one in twenty.
func TestFewAtRandom(t *testing.T) {
	for _, kills := range []int{3, 4} {
		leaks := 0
		const rounds = 400
		d := dice{}
		for seed := range uint64(rounds) {
			r := rand.New(rand.NewPCG(seed, uint64(kills)))
			at, times := newYear, []time.Time(nil)
			for range kills {
				at = at.Add(time.Minute + time.Duration(r.ExpFloat64()*float64(4*time.Hour)))
				times = append(times, at)
			}
			if alone(d, died("c", times...)).Class == Leak {
				leaks++
			}
		}
		if leaks > rounds*7/100 {
			t.Errorf("%d kills at random times: %d of %d are called a leak", kills, leaks, rounds)
		}
	}
}
