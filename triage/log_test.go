package triage

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/kmsg"
)

// logWriter writes a kernel log as rsyslog keeps it.
type logWriter struct {
	b    strings.Builder
	form string // "iso", "syslog" (without a year), "uptime"
	boot time.Time
	pid  int
}

// victim is one kill to write. Sizes are MiB.
type victim struct {
	at         time.Time
	comm, path string
	limit, rss int
	host       int // MiB of the host, for a kill for want of its memory
	others     []string
	othersHeld int
	othersPID  int // of those that live on; 0 for new ones at each kill
	bare       bool
	nosize     bool   // the kill line was cut off, and there is no table
	above      string // the cgroup whose limit it was, where it is not path
}

func (w *logWriter) line(at time.Time, format string, args ...any) {
	up := at.Sub(w.boot).Seconds()
	switch w.form {
	case "iso":
		fmt.Fprintf(&w.b, "%s node7 kernel: [%12.6f] ", at.Format("2006-01-02T15:04:05.000000+00:00"), up)
	case "syslog":
		fmt.Fprintf(&w.b, "%s node7 kernel: [%12.6f] ", at.Format("Jan _2 15:04:05"), up)
	default:
		fmt.Fprintf(&w.b, "[%12.6f] ", up)
	}
	fmt.Fprintf(&w.b, format+"\n", args...)
}

func (w *logWriter) kill(v victim) {
	w.pid++
	if w.pid < 1000 {
		w.pid = 1000
	}
	pid := w.pid
	kb := v.rss << 10
	killed := fmt.Sprintf("Killed process %d (%s) total-vm:%dkB, anon-rss:%dkB, file-rss:1024kB, shmem-rss:0kB, UID:0 pgtables:%dkB oom_score_adj:0", pid, v.comm, 2*kb, kb, kb/400)
	if v.bare {
		w.line(v.at, "Memory cgroup out of memory: %s", killed)
		return
	}
	if v.above == "" {
		v.above = v.path
	}
	w.line(v.at, "%s invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0", v.comm)
	w.line(v.at, "CPU: 0 PID: %d Comm: %s Not tainted 5.15.0-91-generic #101-Ubuntu", pid, v.comm)
	if v.host == 0 {
		w.line(v.at, "memory: usage %dkB, limit %dkB, failcnt 100", v.limit<<10, v.limit<<10)
		w.line(v.at, "Memory cgroup stats for %s:", v.above)
	} else {
		w.line(v.at, "Mem-Info:")
		w.line(v.at, "%d pages RAM", v.host<<8)
	}
	if v.nosize {
		w.line(v.at, "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=x,mems_allowed=0,oom_memcg=%s,task_memcg=%s,task=%s,pid=%d,uid=0", v.above, v.path, v.comm, pid)
		w.line(v.at, "Memory cgroup out of memory: Killed process %d (%s) total-vm:15", pid, v.comm)
		return
	}
	w.line(v.at, "Tasks state (memory values in pages):")
	w.line(v.at, "[  pid  ]   uid  tgid total_vm      rss pgtables_bytes swapents oom_score_adj name")
	row := func(pid int, mib int, comm string) {
		w.line(v.at, "[%7d]     0 %5d %8d %8d   110592        0             0 %s", pid, pid, mib<<9, mib<<8, comm)
	}
	row(pid, v.rss, v.comm)
	for i, comm := range v.others {
		first := pid + 100000
		if v.othersPID > 0 {
			first = v.othersPID
		}
		row(first+i, v.othersHeld, comm)
	}
	if v.host == 0 {
		w.line(v.at, "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=x,mems_allowed=0,oom_memcg=%s,task_memcg=%s,task=%s,pid=%d,uid=0", v.above, v.path, v.comm, pid)
		w.line(v.at, "Memory cgroup out of memory: %s", killed)
		return
	}
	w.line(v.at, "oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=x,mems_allowed=0,global_oom,task_memcg=%s,task=%s,pid=%d,uid=0", v.path, v.comm, pid)
	w.line(v.at, "Out of memory: %s", killed)
}

// collect reads the logs one after another, as the command does.
func collect(t *testing.T, logs ...string) *Collector {
	t.Helper()
	c := new(Collector)
	for _, log := range logs {
		_, err := kmsg.Scan(t.Context(), strings.NewReader(log), "test", kmsg.ScanOptions{Location: time.UTC, Now: newYear.AddDate(0, 0, 30)}, func(ev *kmsg.Event) error {
			if ev.Boot != nil {
				c.Boot()
			}
			if ev.Episode != nil {
				for i := range ev.Episode.Kills {
					c.Add(FromEpisode(ev.Episode, i))
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return c
}

var newYear = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func docker(n int) string { return fmt.Sprintf("/docker/%064x", 0xabc0ffee0000+n*7919) }

// series is kills of one service, one after each gap.
func series(v victim, start time.Time, gaps ...time.Duration) []victim {
	v.at = start
	out := []victim{v}
	for _, g := range gaps {
		v.at = v.at.Add(g)
		out = append(out, v)
	}
	return out
}

func repeat(n int, d time.Duration, jitter time.Duration, r *rand.Rand) []time.Duration {
	out := make([]time.Duration, n)
	for i := range out {
		out[i] = d + time.Duration((r.Float64()*2-1)*float64(jitter))
	}
	return out
}

// TestPatterns judges one service of a log each.
func TestPatterns(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	own := victim{comm: "java", path: docker(1), limit: 512, rss: 505}
	workers := victim{comm: "php-fpm", path: docker(1), limit: 1024, rss: 21, others: repeatString("php-fpm", 47), othersHeld: 21}
	full := victim{comm: "java", path: "/system.slice/a.service", rss: 900, host: 4096, othersHeld: 700, others: []string{"mysqld", "redis", "node", "ruby"}}
	hog := victim{comm: "batch", path: "/system.slice/b.service", rss: 3600, host: 4096, others: []string{"sshd"}, othersHeld: 8}
	hour, minute := time.Hour, time.Minute
	random := []time.Duration{3 * hour, 100 * hour, 9 * hour, 41 * hour, 2 * hour, 160 * hour, 30 * hour}
	pod := victim{comm: "node", path: "/kubepods/burstable/pod11112222-3333-4444-5555-666677778888/" + strings.Repeat("ab", 32), limit: 256, rss: 250}

	var bursts []victim
	for i, gap := range random {
		at := newYear.Add(time.Duration(i)*20*hour + gap)
		for k := range 6 {
			v := own
			v.rss, v.at = 80+k, at.Add(time.Duration(k*k)*time.Second)
			bursts = append(bursts, v)
		}
	}
	recreated := series(own, newYear, repeat(6, 9*hour, 15*minute, r)...)
	for i := range recreated {
		recreated[i].path = docker(i)
	}
	raised := series(own, newYear, 8*hour, 8*hour, 16*hour, 16*hour)
	for i := 3; i < len(raised); i++ {
		raised[i].limit, raised[i].rss = 1024, 1010
	}
	down := series(own, newYear, 9*hour, 9*hour+4*minute, 9*hour-7*minute, 70*hour, 9*hour+2*minute, 9*hour, 9*hour-3*minute)

	for _, c := range []struct {
		name  string
		kills []victim
		class Class
		sure  incident.Confidence
		// rate in MiB per hour, 0 for none
		rate float64
	}{
		{"leak, every 9 hours", series(own, newYear, repeat(6, 9*hour, 15*minute, r)...), Leak, incident.Likely, 505.0 / 9},
		{"leak, half a minute apart", series(own, newYear, 31*time.Second, 31500*time.Millisecond), Leak, incident.Likely, 505 * 3600 / 31.25},
		{"cannot start", series(own, newYear, 9*time.Second, 8*time.Second, 9*time.Second, 9*time.Second), LimitTooSmall, incident.Likely, 0},
		{"leak, three kills, minutes apart", series(own, newYear, 11*minute, 11*minute+6*time.Second), Leak, incident.Likely, 505 * 60 / 11.05},
		{"leak, containers made anew", recreated, Leak, incident.Likely, 505.0 / 9},
		{"leak, the limit was raised", raised, Leak, incident.Likely, 505.0 / 8},
		{"leak, the host was down for three days", down, Leak, incident.Likely, 505.0 / 9},
		{"leak of the host", series(hog, newYear, repeat(5, 30*hour, hour, r)...), Leak, incident.Likely, 3600.0 / 30},
		{"one kill", series(own, newYear), NotEnoughData, "", 0},
		{"two kills", series(own, newYear, 9*hour), NotEnoughData, "", 0},
		{"three kills, unlike", series(own, newYear, 9*hour, 2*hour), NotEnoughData, "", 0},
		{"random times", series(own, newYear, random...), Spike, incident.Possible, 0},
		{"bursts", bursts, Spike, incident.Possible, 0},
		{"many workers", series(workers, newYear, random...), LimitTooSmall, incident.Likely, 0},
		{"often, irregular", series(own, newYear, 5*minute, 40*minute, 3*minute, 2*minute, 90*minute, 12*minute, 2*minute), LimitTooSmall, incident.Possible, 0},
		{"kubelet backs off", series(pod, newYear, 70*time.Second, 90*time.Second, 170*time.Second, 310*time.Second, 311*time.Second, 309*time.Second), LimitTooSmall, incident.Likely, 0},
		{"kubelet, at its longest", series(pod, newYear, 310*time.Second, 312*time.Second, 309*time.Second, 310*time.Second), LimitTooSmall, incident.Likely, 0},
		{"the host, by many", series(full, newYear, random...), HostOvercommitted, incident.Likely, 0},
		{"the host, by one, at random times", series(hog, newYear, random...), HostOvercommitted, incident.Likely, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := logWriter{form: "iso", boot: newYear.Add(-1000 * hour)}
			for _, v := range c.kills {
				w.kill(v)
			}
			list := collect(t, w.b.String()).Services()
			if len(list) != 1 {
				t.Fatalf("%d services, want 1: %+v", len(list), list)
			}
			s := list[0]
			if s.Class != c.class || s.Confidence != c.sure {
				t.Errorf("%s %s, want %s %s: %q", s.Class, s.Confidence, c.class, c.sure, s.Reasons)
			}
			if c.rate != 0 && (s.Rate == nil || math.Abs(*s.Rate*3600/(1<<20)/c.rate-1) > 0.05) {
				t.Errorf("rate %v, want %v MiB/h", s.Rate, c.rate)
			}
			if c.rate == 0 && s.Rate != nil {
				t.Errorf("rate %v, want none", *s.Rate)
			}
			if s.Class == Leak && s.Suggested != nil || s.Class == LimitTooSmall && (s.Suggested == nil || *s.Suggested > 2**s.Limit) {
				t.Errorf("suggested limit %v", s.Suggested)
			}
			if len(s.Reasons) == 0 {
				t.Error("no reasons")
			}
		})
	}
}

func repeatString(s string, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = s
	}
	return out
}

// TestSameAnswer gives the same kills in other forms, other orders and told
// twice: the judgement stays the same.
func TestSameAnswer(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 1))
	leak := series(victim{comm: "java", path: docker(1), limit: 512, rss: 505}, newYear, repeat(5, 9*time.Hour, 10*time.Minute, r)...)
	write := func(form string, kills []victim) string {
		w := logWriter{form: form, boot: newYear.Add(-5 * time.Hour)}
		for i, v := range kills {
			w.pid = 2000 + 10*int(v.at.Unix()%1000) + i*0
			w.kill(v)
		}
		return w.b.String()
	}
	whole := write("iso", leak)
	for name, logs := range map[string][]string{
		"iso":               {whole},
		"no year":           {write("syslog", leak)},
		"uptime only":       {write("uptime", leak)},
		"rotated":           {write("iso", leak[:2]), write("iso", leak[2:])},
		"newest file first": {write("iso", leak[2:]), write("iso", leak[:2])},
		"told twice":        {whole, whole},
		"overlapping":       {write("iso", leak[:4]), write("iso", leak[2:])},
		"two programs":      {write("syslog", leak), write("uptime", leak)},
	} {
		t.Run(name, func(t *testing.T) {
			list := collect(t, logs...).Services()
			if len(list) != 1 || list[0].Class != Leak || list[0].Kills.Count != 6 || list[0].Kills.Times != 6 {
				t.Fatalf("%+v", list)
			}
			if rate := *list[0].Rate * 3600 / (1 << 20); math.Abs(rate/(505.0/9)-1) > 0.05 {
				t.Errorf("rate %v MiB/h", rate)
			}
		})
	}
}

// TestBoots knows uptimes only: what lies between two boots is no interval, and a
// boot that is told twice is one.
func TestBoots(t *testing.T) {
	const banner = "Linux version 6.1.0-18-amd64 (debian-kernel@lists.debian.org) (gcc-12 (Debian 12.2.0-14) 12.2.0) #1 SMP"
	every := []time.Duration{9 * time.Hour, 9 * time.Hour}
	// boot is what one boot printed: its first kill so long after it, then the others.
	boot := func(pid int, first time.Duration, banner string, gaps ...time.Duration) string {
		w := logWriter{form: "uptime", boot: newYear, pid: pid}
		if banner != "" {
			w.line(newYear, "%s", banner)
		}
		for _, v := range series(victim{comm: "java", path: docker(1), limit: 512, rss: 505}, newYear.Add(first), gaps...) {
			w.kill(v)
		}
		return w.b.String()
	}
	for _, c := range []struct {
		name  string
		logs  []string
		times int
	}{
		{"the uptime falls", []string{boot(2000, time.Hour, "", every...) + boot(2100, time.Hour, "", every...)}, 6},
		{"it begins anew and goes further", []string{boot(2000, time.Hour, banner, every...) + boot(2100, 20*time.Hour, banner, every...)}, 6},
		{"so does the next file", []string{boot(2000, time.Hour, banner, every...), boot(2100, 20*time.Hour, banner, every...)}, 6},
		{"one boot in two files, the second longer", []string{boot(2000, time.Hour, banner, every...), boot(2000, time.Hour, banner, append(every, every...)...)}, 5},
		{"and then another", []string{boot(2000, time.Hour, banner, every...), boot(2000, time.Hour, banner, append(every, every...)...),
			boot(2100, 40*time.Hour, banner, every...)}, 8},
	} {
		t.Run(c.name, func(t *testing.T) {
			list := collect(t, c.logs...).Services()
			if len(list) != 1 || list[0].Class != Leak || list[0].Kills.Times != c.times {
				t.Fatalf("%+v", list)
			}
			if k := list[0].Kills; *k.IntervalMin != 9*3600 || *k.IntervalMax != 9*3600 || k.FirstUptime == nil || !k.First.IsZero() {
				t.Errorf("%+v", k)
			}
		})
	}
}

// TestReplicas leak side by side, each container on its own; with them a bare
// kill that can only be of another program.
func TestReplicas(t *testing.T) {
	var all []victim
	for i := range 3 {
		v := victim{comm: "java", path: docker(i), limit: 512, rss: 505}
		all = append(all, series(v, newYear.Add(time.Duration(i)*2*time.Hour), 9*time.Hour, 9*time.Hour, 9*time.Hour)...)
	}
	all = append(all, victim{at: newYear.Add(50 * time.Hour), comm: "cron", rss: 3, bare: true})
	w := logWriter{form: "iso", boot: newYear.Add(-time.Hour)}
	for _, v := range all {
		w.kill(v)
	}
	list := collect(t, w.b.String()).Services()
	if len(list) != 4 {
		t.Fatalf("%d services, want 4", len(list))
	}
	for i, s := range list {
		want, times := Leak, 4
		if i == 3 {
			want, times = NotEnoughData, 1
		}
		if s.Class != want || s.Kills.Times != times || s.Rank != i+1 {
			t.Errorf("%d: %s %s, %d times", s.Rank, s.Service, s.Class, s.Kills.Times)
		}
	}
}

// TestRandomIsNoLeak holds the chance to its word: of kills at random times no
// more are called a leak than chance allows.
func TestRandomIsNoLeak(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 1))
	d := dice{}
	likely, possible := 0, 0
	const rounds = 1000
	var chances []float64
	for range rounds {
		v := make([]float64, 2+r.IntN(12))
		for i := range v {
			v[i] = r.ExpFloat64()
		}
		p := d.regular(v)
		chances = append(chances, p)
		switch {
		case p <= chanceLikely:
			likely++
		case p <= chancePossible:
			possible++
		}
	}
	t.Logf("of %d services killed at random times, %d alone would be a likely leak, %d a possible one", rounds, likely, possible)
	if likely > rounds*chanceLikely*3/2 || likely+possible > rounds*chancePossible*3/2 {
		t.Errorf("likely %d, possible %d of %d", likely, possible, rounds)
	}
	leaks := 0
	for _, q := range adjusted(chances) {
		if q <= chancePossible {
			leaks++
		}
	}
	t.Logf("all %d together: %d", rounds, leaks)
	if leaks > 2 {
		t.Errorf("%d of %d services killed at random times are called a leak", leaks, rounds)
	}
}

// Benjamini and Hochberg's procedure, by hand.
func TestAdjusted(t *testing.T) {
	got := adjusted([]float64{0.01, 0.04, 0.03, 0.5})
	for i, want := range []float64{0.04, 0.16 / 3, 0.16 / 3, 0.5} {
		if math.Abs(got[i]-want) > 1e-12 {
			t.Errorf("%v, want %v in place %d", got, want, i)
		}
	}
}

// TestBounded holds millions of kills in bounded memory.
func TestBounded(t *testing.T) {
	var c Collector
	at := newYear
	for i := range 3 * maxOccasions {
		at = at.Add(2 * time.Minute)
		c.Add(Death{Time: at, PID: i, Comm: fmt.Sprintf("p%d", i%5000), Pattern: "/x", Scope: OwnLimit, RSS: 1})
	}
	if len(c.all) > 2*maxOccasions || len(c.seen) > maxPrints || c.Dropped == 0 {
		t.Errorf("%d occasions, %d prints, %d dropped", len(c.all), len(c.seen), c.Dropped)
	}
	if len(c.Services()) != 5000 {
		t.Error("services are missing")
	}
}

func TestPatternOfPath(t *testing.T) {
	for path, want := range map[string]string{
		"":        "",
		docker(1): "/docker/*",
		"/system.slice/docker-" + strings.Repeat("ab1", 21) + "c.scope":                                             "/system.slice/docker-*.scope",
		"/kubepods/burstable/pod0f3c6a2e-51d4-4c1b-9a55-7d2b8f0c4e11/" + strings.Repeat("0a", 32):                   "/kubepods/burstable/pod*/*",
		"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod0f3c6a2e_51d4_4c1b_9a55_7d2b8f0c4e11.slice": "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod*.slice",
		"/user.slice/user-1000.slice/session-12.scope":                                                              "/user.slice/user-*.slice/session-*.scope",
		"/system.slice/nginx.service":                                                                               "/system.slice/nginx.service",
		"/system.slice/feedface.service":                                                                            "/system.slice/feedface.service",
	} {
		if got := pattern(path); got != want {
			t.Errorf("pattern of %q is %q, want %q", path, got, want)
		}
	}
}
