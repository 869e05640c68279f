package triage

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

const pod = "/kubepods/burstable/pod11112222-3333-4444-5555-666677778888"

func inPod(n int) string { return fmt.Sprintf("%s/%064x", pod, 0xabc0ffee0000+n*7919) }

// TestGrouping tells services, replicas and the containers of a pod apart.
func TestGrouping(t *testing.T) {
	hour, minute := time.Hour, time.Minute
	node := victim{comm: "node", path: docker(1), limit: 512, rss: 500}
	other := node
	other.path, other.at = docker(2), newYear.Add(7*hour+23*minute)
	big := victim{comm: "java", path: inPod(1), limit: 512, rss: 500}
	small := victim{comm: "java", path: inPod(2), limit: 256, rss: 240}
	cut := big
	cut.at, cut.nosize = newYear.Add(50*minute), true
	bare := node
	bare.at, bare.bare = newYear.Add(50*minute), true
	turns := func(gap time.Duration, period time.Duration) []victim {
		var out []victim
		for i := range 6 {
			for k := range 2 {
				v := node
				v.path, v.at = docker(10*i+k), newYear.Add(time.Duration(i)*period+time.Duration(k)*(gap+time.Duration(i)*time.Second))
				out = append(out, v)
			}
		}
		return out
	}
	even := 750 * time.Second // no timer's beat
	gaps := []time.Duration{even, even, even}
	shared := victim{comm: "app", path: inPod(1), above: pod, limit: 512, rss: 100}
	workers := victim{comm: "php-fpm", path: docker(1), limit: 512, rss: 60, others: repeatString("php-fpm", 7), othersHeld: 60}
	for _, c := range []struct {
		name  string
		kills []victim
		want  []string // class, confidence, MiB/min, limit in MiB; by rank
		words string   // in the first's name or reasons
	}{
		{"another service of that name", append(series(node, newYear, gaps...), other), []string{"leak likely 40 512", "not_enough_data  0 512"}, ""},
		{"two containers of a pod", append(series(big, newYear, gaps...), series(small, newYear.Add(3*minute), gaps...)...), []string{"leak likely 40 512", "leak likely 19 256"}, ""},
		{"two replicas, seconds apart", turns(8*time.Second, even), []string{"leak possible 40 512"}, "may be two replicas"},
		{"two replicas, minutes apart", turns(3*minute, even), []string{"leak possible 40 512"}, "(12 containers, maybe two replicas)"},
		{"a size is missing", append(series(big, newYear, gaps...), cut), []string{"leak likely 40 512"}, "12 min 30 s apart"},
		{"the last without its cgroup", append(series(node, newYear, gaps...), bare), []string{"leak possible 40 512"}, "node (container"},
		{"two workers on one occasion", series(workers, newYear, 10*time.Second), []string{"not_enough_data  0 512"}, "one interval is no pattern"},
		{"again and again in a limit above", series(shared, newYear, 8*time.Second, 8*time.Second), []string{"not_enough_data  0 512"}, "whoever fills it"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := logWriter{form: "iso", boot: newYear.Add(-hour)}
			slices.SortStableFunc(c.kills, func(a, b victim) int { return a.at.Compare(b.at) })
			for _, v := range c.kills {
				w.kill(v)
			}
			list := collect(t, w.b.String()).Services()
			var got []string
			for _, s := range list {
				var rate float64
				if s.Rate != nil {
					rate = math.Round(*s.Rate * 60 / mib)
				}
				got = append(got, fmt.Sprintf("%s %s %v %d", s.Class, s.Confidence, rate, *s.Limit/mib))
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%q, want %q: %+v", got, c.want, list)
			}
			if told := list[0].Service + strings.Join(list[0].Reasons, "\n"); !strings.Contains(told, c.words) {
				t.Errorf("%q is not in %q", c.words, told)
			}
		})
	}
}

// TestManyServices says that it is the number of services that makes two like
// intervals worth nothing.
func TestManyServices(t *testing.T) {
	var c Collector
	for _, d := range died("leaker", newYear, newYear.Add(10*time.Minute), newYear.Add(20*time.Minute+30*time.Second)) {
		c.Add(d)
	}
	for i := range 12 {
		times := []time.Time{newYear, newYear.Add(time.Duration(5+i) * time.Hour), newYear.Add(time.Duration(6+i) * time.Hour)}
		for _, d := range died(fmt.Sprint("other", i), times...) {
			d.PID += 100 * (i + 1)
			c.Add(d)
		}
	}
	for _, s := range c.Services() {
		if s.Containers[0] == "leaker" && (s.Class != NotEnoughData || strings.Contains(s.Reasons[0], "unlike") || !strings.Contains(s.Reasons[0], "by chance")) {
			t.Errorf("%s %s: %q", s.Class, s.Confidence, s.Reasons)
		}
	}
}

// manyContainers are n containers of one program, as the log of a large cluster holds
// them: killed at the same time, and again.
func manyContainers(n int) *Collector {
	c := new(Collector)
	for round := range 2 {
		for i := range n {
			at := newYear.Add(time.Duration(round)*1000*time.Second + time.Duration(i)*10*time.Millisecond)
			c.Add(Death{Time: at, PID: round*n + i + 1, Comm: "job", Container: fmt.Sprint("c", i), Pattern: "/docker/*", Scope: OwnLimit, Limit: mib, RSS: mib})
		}
	}
	return c
}

// TestManyContainers: who is killed again under the same id is nobody else's next life.
func TestManyContainers(t *testing.T) {
	const n = 2000
	if chains := manyContainers(n).chains(); len(chains) != n {
		t.Errorf("%d services of %d containers", len(chains), n)
	}
}

// BenchmarkChains may not take the number of containers squared.
func BenchmarkChains(b *testing.B) {
	for _, n := range []int{1000, 10_000} {
		c := manyContainers(n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				c.chains()
			}
		})
	}
}
