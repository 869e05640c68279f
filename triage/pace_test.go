package triage

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/incident"
)

// gaps are intervals, given in seconds.
func gaps(seconds ...float64) []time.Duration {
	out := make([]time.Duration, len(seconds))
	for i, s := range seconds {
		out[i] = time.Duration(s * float64(time.Second))
	}
	return out
}

// TestPace holds the paces that are no leak's against those that are.
func TestPace(t *testing.T) {
	own := victim{comm: "java", path: docker(1), limit: 512, rss: 500}
	workers := victim{comm: "php-fpm", path: docker(1), limit: 512, rss: 60, others: repeatString("php-fpm", 7), othersHeld: 60}
	leaky := workers
	leaky.rss, leaky.others, leaky.othersHeld = 160, repeatString("php-fpm", 5), 68
	var apart, prefork, shifts []time.Duration
	for burst := range 5 {
		if burst > 0 {
			apart = append(apart, time.Duration(4+burst)*time.Hour)
			prefork = append(prefork, time.Hour-40*time.Second)
			shifts = append(shifts, 16*time.Hour)
		}
		apart = append(apart, gaps(70, 71, 72)...)
		prefork = append(prefork, gaps(6, 6, 6, 6, 6, 6, 6)...)
		shifts = append(shifts, gaps(3700, 3650, 3720, 3690, 3680, 3710)...)
	}
	restarts := gaps(300, 300, 300, 300, 300, 300, 150, 300, 300, 300, 150, 300, 300, 300, 150, 300, 300, 300, 300)
	var random []time.Duration
	r := rand.New(rand.NewPCG(5, 1))
	for range 40 {
		random = append(random, time.Duration((20+100*r.ExpFloat64())*float64(time.Second)))
	}
	for _, c := range []struct {
		name  string
		kills []victim
		class Class
		sure  incident.Confidence
		words string
	}{
		{"bursts of kills 71 s apart", series(own, newYear, apart...), Spike, incident.Possible, "bursts of work"},
		{"eight workers, every hour", series(workers, newYear, prefork...), LimitTooSmall, incident.Possible, "8 processes called php-fpm held 480 MiB"},
		{"six workers, the largest of them each time", series(leaky, newYear, gaps(752, 748, 761, 745, 750, 757)...), Leak, incident.Possible, "about 6 processes called php-fpm fill the limit together; the kernel kills the largest, and until the next kill the others take what it held, 160 MiB: together they grow by 12.8 MiB/min"},
		{"a leak of an hour, at work only", series(own, newYear, shifts...), Leak, incident.Likely, "too regular"},
		{"a leak that was restarted early three times", series(own, newYear, restarts...), Leak, incident.Likely, "too regular"},
		{"doublings by chance", series(own, newYear, random...), LimitTooSmall, incident.Possible, "irregular"},
		{"docker's pause", series(own, newYear, gaps(8.4, 14.8, 27.6, 53.2, 62, 62.5, 62)...), LimitTooSmall, incident.Likely, "growing pause"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := logWriter{form: "iso", boot: newYear.Add(-time.Hour)}
			for _, v := range c.kills {
				w.kill(v)
			}
			list := collect(t, w.b.String()).Services()
			if len(list) != 1 {
				t.Fatalf("%d services, want 1: %+v", len(list), list)
			}
			s := list[0]
			if s.Class != c.class || s.Confidence != c.sure || !strings.Contains(strings.Join(s.Reasons, "\n"), c.words) {
				t.Errorf("%s %s, want %s %s %q: %q", s.Class, s.Confidence, c.class, c.sure, c.words, s.Reasons)
			}
		})
	}
}

// TestGroup kills a leaking container whole each time (memory.oom.group): its
// processes are no burst of work.
func TestGroup(t *testing.T) {
	var c Collector
	at := newYear
	for i := range 5 {
		at = at.Add(9*time.Hour + time.Duration(i)*time.Minute)
		for k := range 4 {
			c.Add(Death{Time: at, PID: 100*i + k + 1, Comm: "java", Container: "c", Pattern: "/docker/*", Scope: OwnLimit, Limit: 512 << 20, RSS: int64(400>>k) << 20, Along: k > 0})
		}
	}
	if s := c.Services()[0]; s.Class != Leak || s.Kills.Count != 20 || s.Kills.Times != 5 {
		t.Errorf("%+v", s)
	}
}
