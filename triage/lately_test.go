package triage

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/oomwatch/oomwatch/incident"
)

// runsOf makes n runs, one every so many seconds, each of so many readings step
// seconds apart; f is what is held, in MiB, from the part of the run that is over.
func runsOf(n int, every, readings, step, limit float64, oom bool, f func(part float64) float64) []Run {
	r := rand.New(rand.NewPCG(1, 2))
	var out []Run
	for k := range n {
		run := Run{Limit: limit * mib, OOM: oom}
		for i := range int(readings) {
			v := (f(float64(i)/readings) + r.NormFloat64()) * mib
			run.Readings = append(run.Readings, Reading{At: 1e9 + float64(k)*every + float64(i)*step, Used: v, Held: v})
		}
		out = append(out, run)
	}
	return out
}

// TestJobs tells what grows while it runs, and ends, from a leak.
func TestJobs(t *testing.T) {
	line := func(to float64) func(float64) float64 {
		return func(part float64) float64 { return 20 + (to-20)*part }
	}
	long := append(runsOf(5, 3600, 60, 10, 1024, false, line(300)), runsOf(1, 0, 360, 10, 1024, false, line(1600))...)
	for i := range long[5].Readings {
		long[5].Readings[i].At += 5 * 3600
	}
	for _, c := range []struct {
		name  string
		runs  []Run
		class Class
		sure  incident.Confidence
		words string
	}{
		{"a job every hour", runsOf(5, 3600, 60, 10, 1024, false, line(300)), Steady, incident.Possible, "grows while it runs, and each run starts low again"},
		{"a backup every night", runsOf(7, day, 90, 60, 4096, false, line(1000)), Steady, incident.Possible, "grows while it runs, and each run starts low again"},
		{"a job that is killed every time", runsOf(5, 3600, 60, 10, 310, true, line(300)), Leak, incident.Likely, ""},
		{"a job whose limit is near", runsOf(5, 3600, 60, 10, 330, false, line(300)), Steady, incident.Possible, "grows while it runs"},
		{"a job that does not end this time", long, Leak, incident.Possible, ""},
		{"a load that is deployed every morning", runsOf(6, day, 720, 60, 4096, false, func(part float64) float64 { return 200 + 400*part*(1.6-part) }), Filling, incident.Likely, "slows down"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := JudgeHistory(&History{Service: "s", Runs: c.runs})
			told := strings.Join(s.Reasons, "\n")
			if s.Class != c.class || s.Confidence != c.sure || !strings.Contains(told, c.words) {
				t.Errorf("%s %s, want %s %s, %q: %q", s.Class, s.Confidence, c.class, c.sure, c.words, told)
			}
			if s.Class != Leak && (s.Rate != nil || strings.Contains(told, "fell back")) {
				t.Errorf("rate %v: %q", s.Rate, told)
			}
		})
	}
}

// TestNewLeak has a leak that is younger than the longest window.
func TestNewLeak(t *testing.T) {
	grows := func(hours float64) []Run {
		share := 1 - hours/168
		return runsOf(1, 0, 7*1440, 60, 1024, false, func(part float64) float64 {
			if part < share {
				return 200
			}
			return 200 + 700*(part-share)/(1-share)
		})
	}
	s := JudgeHistory(&History{Service: "s", Runs: grows(20)})
	if s.Class != Leak || s.Confidence != incident.Possible || len(s.Advice) == 0 || *s.Rate*3600/mib < 30 || *s.Rate*3600/mib > 40 {
		t.Errorf("for 20 h: %s %s %v, %q", s.Class, s.Confidence, s.Rate, s.Reasons)
	}
	s = JudgeHistory(&History{Service: "s", Runs: grows(60)})
	if s.Class != Leak || !strings.Contains(strings.Join(s.Reasons, " "), "at the most") {
		t.Errorf("for 60 h: %s %s, %q", s.Class, s.Confidence, s.Reasons)
	}
	// What was as high before is no new leak.
	peak := func(part float64) float64 {
		if part > 0.2 && part < 0.3 {
			return 1000
		}
		return 200 + 700*max(0, part-0.881)/0.119
	}
	if s := JudgeHistory(&History{Service: "s", Runs: runsOf(1, 0, 7*1440, 60, 2048, false, peak)}); s.Class == Leak {
		t.Errorf("as high before: %s %s, %q", s.Class, s.Confidence, s.Reasons)
	}
}
