package months

import (
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/triage"
)

// every is how many hours lie between two looks: a day is what the bars are of, six hours
// is how often the daemon looks.
var every = flag.Float64("every", 24, "hours between two looks")

var show = flag.String("show", "", "print every wrong look of kinds that contain this")

func sortFloats(v []float64) { slices.Sort(v) }

// generate makes the months of one round.
func generate(kinds []kind, seed uint64, share float64) []*month {
	var out []*month
	for i, k := range kinds {
		n := max(1, int(float64(k.n)*share+0.5))
		for j := range n {
			m := maker{rand.New(rand.NewPCG(seed, uint64(i*1000+j)))}
			x := &month{kind: k.name, leaks: k.leaks}
			spec := m.usual()
			k.make(m, spec, x)
			m.run(spec, x)
			if k.after != nil {
				k.after(m, x)
			}
			out = append(out, x)
		}
	}
	return out
}

// until is a history as of a time.
func until(h *triage.History, at float64) *triage.History {
	out := &triage.History{Service: h.Service}
	for _, r := range h.Runs {
		if len(r.Readings) == 0 || r.Readings[0].At > at {
			break
		}
		n, _ := slices.BinarySearchFunc(r.Readings, at, func(q triage.Reading, t float64) int {
			if q.At <= t {
				return -1
			}
			return 1
		})
		if n < len(r.Readings) {
			r.Readings, r.OOM = r.Readings[:n], false
		}
		out.Runs = append(out.Runs, r)
	}
	return out
}

// looks are when a month is looked at: after each day, and a while after each start.
func (x *month) looks() []float64 {
	var out []float64
	for at := *every * hour; at <= span; at += *every * hour {
		out = append(out, zero+at)
	}
	if len(x.h.Runs) < 40 {
		for i, r := range x.h.Runs[1:] {
			for _, after := range []float64{40 * minute, 3 * hour, 8 * hour} {
				at := r.Readings[0].At + after
				if at < zero+span && (i+2 >= len(x.h.Runs) || at < x.h.Runs[i+2].Readings[0].At) {
					out = append(out, at)
				}
			}
		}
	}
	slices.Sort(out)
	return out
}

// tally counts what came out.
type tally struct {
	months                             int
	last, ever, lastLikely, everLikely int
	likelyLast                         int
	ooms, looked, before               int // looked at once before the first
	rates, rateIn, times, timeIn       int
	classes                            map[string]int
}

func (t *tally) add(o *tally) {
	t.months += o.months
	t.last += o.last
	t.ever += o.ever
	t.lastLikely += o.lastLikely
	t.everLikely += o.everLikely
	t.ooms += o.ooms
	t.before += o.before
	t.looked += o.looked
	t.rates += o.rates
	t.rateIn += o.rateIn
	t.times += o.times
	t.timeIn += o.timeIn
	for k, n := range o.classes {
		if t.classes == nil {
			t.classes = map[string]int{}
		}
		t.classes[k] += n
	}
}

// look looks at a month again and again.
func (x *month) look(t *testing.T, say bool) tally {
	c := tally{months: 1, classes: map[string]int{}}
	found := false
	looks := x.looks()
	for i, at := range looks {
		// A leak says nothing of the time before it began.
		s := triage.JudgeHistory(until(&x.h, at))
		leak := s.Class == triage.Leak
		early := x.leaks && at <= zero+x.begin
		if leak {
			if !early {
				c.ever = 1
			}
			if s.Confidence == incident.Likely {
				c.everLikely = 1
			}
			if !found && (x.firstOOM == 0 || at < x.firstOOM) && !early {
				found = true
			}
			if x.leaks && !early {
				x.intervals(&s, at, &c)
			}
			if say && (!x.leaks || early) {
				t.Logf("%s: day %.2f: %s %s %q (runs %d)", x.kind, (at-zero)/day, s.Class, s.Confidence, s.Reasons, len(x.h.Runs))
			}
		}
		if i == len(looks)-1 {
			c.classes[string(s.Class)]++
			if leak {
				c.last = 1
				if s.Confidence == incident.Likely {
					c.lastLikely = 1
				}
			} else if say && x.leaks {
				t.Logf("MISSED %s: %s %q; rate %.3g MiB/d of %.3g, begin %.1f, first OOM %.1f, %d runs", x.kind, s.Class, s.Reasons, x.rate*day/mib, x.h.Runs[len(x.h.Runs)-1].Readings[0].Held/mib, x.begin/day, (x.firstOOM-zero)/day, len(x.h.Runs))
			}
		}
	}
	if x.leaks && x.firstOOM > 0 {
		c.ooms = 1
		if slices.ContainsFunc(looks, func(at float64) bool { return at > zero+x.begin && at < x.firstOOM }) {
			c.looked = 1
		}
		if say && !found {
			t.Logf("LATE %s: begin %.2f, first OOM %.2f, rate %.3g MiB/d, runs %d, looks %v", x.kind, x.begin/day, (x.firstOOM-zero)/day, x.rate*day/mib, len(x.h.Runs), x.course())
		}
		if found {
			c.before = 1
		}
	}
	return c
}

// intervals holds what is said about the rate and the time to the limit against the truth.
func (x *month) intervals(s *triage.Service, at float64, c *tally) {
	if s.Rate != nil {
		c.rates++
		if *s.RateLow <= x.rate && x.rate <= *s.RateHigh {
			c.rateIn++
		} else if *show == "rates" {
			fmt.Printf("RATE %s %.3g [%.3g %.3g]\n", x.kind, *s.Rate/x.rate, *s.RateLow/x.rate, *s.RateHigh/x.rate)
		}
	}
	// The end of the run that is looked at, where it was its limit.
	for i, r := range x.h.Runs {
		end := r.Readings[len(r.Readings)-1].At
		if s.SecondsToLimit == nil || x.ends[i] == 0 || at < r.Readings[0].At || at > end {
			continue
		}
		c.times++
		off := x.ends[i] - at - *s.SecondsToLimit
		if math.Abs(off) <= *s.SecondsError {
			c.timeIn++
		} else if *show == "times" {
			fmt.Printf("TIME %s truth %.2f said %.2f err %.2f age %.2f\n", x.kind, (x.ends[i]-at)/day, *s.SecondsToLimit/day, *s.SecondsError/day, (at-r.Readings[0].At)/day)
		}
	}
}

func percentOf(n, of int) string {
	if of == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f", 100*float64(n)/float64(of))
}

// judgeAll looks at all months on both cores.
func judgeAll(t *testing.T, list []*month) (healthy, leaky tally) {
	byKind := map[string]*tally{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	work := make(chan *month)
	for range 2 {
		wg.Go(func() {
			for x := range work {
				c := x.look(t, *show != "" && strings.Contains(x.kind, *show))
				mu.Lock()
				if byKind[x.kind] == nil {
					byKind[x.kind] = &tally{}
				}
				byKind[x.kind].add(&c)
				if x.leaks {
					leaky.add(&c)
				} else {
					healthy.add(&c)
				}
				mu.Unlock()
			}
		})
	}
	for _, x := range list {
		work <- x
	}
	close(work)
	wg.Wait()
	var names []string
	for k := range byKind {
		names = append(names, k)
	}
	slices.Sort(names)
	var b strings.Builder
	for _, k := range names {
		c := byKind[k]
		fmt.Fprintf(&b, "%-28s %4d: leak at the last look %5s %% (likely %5s), ever %5s (likely %5s), before OOM %5s of %d, rate in %5s of %d, time in %5s of %d, %v\n", k, c.months,
			percentOf(c.last, c.months), percentOf(c.lastLikely, c.months), percentOf(c.ever, c.months), percentOf(c.everLikely, c.months), percentOf(c.before, c.ooms), c.ooms, percentOf(c.rateIn, c.rates), c.rates, percentOf(c.timeIn, c.times), c.times, c.classes)
	}
	t.Logf("\n%s", b.String())
	t.Logf("healthy %d: false at the last look %s %%, ever %s %% (likely: %s, %s)", healthy.months, percentOf(healthy.last, healthy.months), percentOf(healthy.ever, healthy.months), percentOf(healthy.lastLikely, healthy.months), percentOf(healthy.everLikely, healthy.months))
	t.Logf("leaking %d: found %s %% (likely %s), before the first OOM %s %% of %d (%s %% of the %d that were looked at before); rate in its interval %s %%, time %s %%", leaky.months, percentOf(leaky.last, leaky.months), percentOf(leaky.lastLikely, leaky.months), percentOf(leaky.before, leaky.ooms), leaky.ooms, percentOf(leaky.before, leaky.looked), leaky.looked, percentOf(leaky.rateIn, leaky.rates), percentOf(leaky.timeIn, leaky.times))
	return healthy, leaky
}

// course are the first readings of each run and its length, for what is printed.
func (x *month) course() (out []string) {
	for _, r := range x.h.Runs[:min(len(x.h.Runs), 8)] {
		q := r.Readings
		out = append(out, fmt.Sprintf("%.2f+%.2f: %.0f-%.0f/%.0f %v", (q[0].At-zero)/day, (q[len(q)-1].At-q[0].At)/day, q[0].Held/mib, q[len(q)-1].Held/mib, r.Limit/mib, r.OOM))
	}
	return out
}

// TestMonths looks at one round of months: a quick check of what TestLong measures.
// Of about fifty healthy services one may be called a leak.
func TestMonths(t *testing.T) {
	healthy, leaky := judgeAll(t, generate(kinds, 77, 0.5))
	bars(t, &healthy, &leaky, 2, 4)
}

// bars are in percent of healthy services.
func bars(t *testing.T, healthy, leaky *tally, last, ever float64) {
	t.Helper()
	share := func(n, of int) float64 { return 100 * float64(n) / float64(max(of, 1)) }
	if s := share(healthy.last, healthy.months); s > last {
		t.Errorf("%.1f %% of the healthy are called a leak at the last look, at most %.1f may be", s, last)
	}
	if s := share(healthy.ever, healthy.months); s > ever {
		t.Errorf("%.1f %% of the healthy are called a leak at any look, at most %.1f may be", s, ever)
	}
	if s := share(leaky.last, leaky.months); s < 85 {
		t.Errorf("%.1f %% of the leaks are found, at least 85 are to be", s)
	}
	if a, b := share(leaky.rateIn, leaky.rates), share(leaky.timeIn, leaky.times); a < 95 || b < 95 {
		t.Errorf("%.1f %% of the rates and %.1f %% of the times lie in their intervals, at least 95 are to", a, b)
	}
}
