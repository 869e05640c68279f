package warn

import (
	"fmt"
	"strings"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/redact"
	"github.com/oomwatch/oomwatch/units"
	"github.com/oomwatch/oomwatch/verdict"
)

// told is a sign in words.
type told struct {
	summary    string
	confidence incident.Confidence
	advice     string
	source     string // "" for the engine of the container
	text       string // the numbers
	means      string
}

// tell puts a sign into words.
func (st *state) tell(name string, f *verdict.Facts) told {
	st.about = f.Container
	return signs.named(name).words(st, subject(st, f))
}

func headroomWords(st *state, who string) told {
	limit := st.limit()
	holds := incident.FormatBytes(max(st.held, 0))
	size := incident.FormatBytes(st.limit())
	t := told{confidence: incident.Possible, source: "recorder"}
	left := max(limit-st.held, 0)
	t.text = fmt.Sprintf("%s of %s held, %.1f %%", holds, size, 100*st.share())
	t.means = "little is left, and the kernel can reclaim none of it"
	if st.id == HostID {
		t.summary = fmt.Sprintf("%s has %s of its %s of memory available: when that is gone the kernel kills a process", who, incident.FormatBytes(left), size)
		t.advice = "See who holds the most (oomwatch top), and give containers that have no limit one: without it any of them can take what is left."
		return t
	}
	if a := st.above; a != nil {
		t.text = fmt.Sprintf("%s of %s held at %s, %s of it here", incident.FormatBytes(a.Held), incident.FormatBytes(a.Limit), redact.Sanitize(a.Path), holds)
		t.summary = fmt.Sprintf("%s has %s left: its parent cgroup %s holds %s of its %s limit, %s of it here", who, incident.FormatBytes(left), redact.Sanitize(a.Path),
			incident.FormatBytes(a.Held), incident.FormatBytes(a.Limit), holds)
		t.advice = "The limit is the parent's, and all below it share it: see with oomwatch top who holds the most there, and give that group more, or each member a limit of its own so that their sum stays under it."
		return t
	}
	if n := st.last.Unsplit(); 4*n > st.held {
		t.means = "little is left, but for kernel memory that may be reclaimable: cgroup v1 does not show how much of it is"
		t.summary = fmt.Sprintf("%s has %s of its %s limit left: it holds %s, %s of it kernel memory, which may be reclaimable", who, incident.FormatBytes(left), size, holds, incident.FormatBytes(n))
		t.advice = "Look at what the kernel holds for it: files and directories that are only cached do no harm (slabtop); sockets, pipes and threads whose number keeps growing do (ls /proc/PID/fd, ls /proc/PID/task)."
		return t
	}
	t.summary = fmt.Sprintf("%s has %s of its %s limit left: it holds %s that cannot be reclaimed", who, incident.FormatBytes(left), size, holds)
	t.advice = fmt.Sprintf("Page cache is not counted here, so this is what the program needs: watch it with oomwatch top. If it stays at this level, a limit of %s keeps a fifth free (%s / 0.8); if it still grows, look for a leak first.",
		incident.FormatBytes(roundUp(st.held*5/4)), holds)
	return t
}

func forecastWords(st *state, who string) told {
	limit := st.limit()
	holds := incident.FormatBytes(max(st.held, 0))
	size := incident.FormatBytes(st.limit())
	t := told{confidence: incident.Possible, source: "recorder"}
	ttl, err := seconds(st.forecast.seconds), seconds(st.forecast.err)
	slope := float64(limit-st.held) / max(st.forecast.seconds, 1)
	t.confidence = incident.Likely
	t.text = fmt.Sprintf("%s of %s held, growing %s/s: limit in %s ± %s", holds, size, incident.FormatBytes(int64(slope)), ttl, err)
	t.means = "at the present rate it reaches the limit then; it never held as much before"
	what := "its " + size + " limit"
	switch a := st.above; {
	case st.id == HostID:
		what = "the end of its " + size + " of memory"
	case a != nil:
		what = "the " + incident.FormatBytes(a.Limit) + " limit of its parent cgroup " + redact.Sanitize(a.Path)
	}
	t.summary = fmt.Sprintf("%s reaches %s in about %s (± %s): it holds %s and grows %s/s", who, what, ttl, err, holds, incident.FormatBytes(int64(slope)))
	t.advice = "Take a heap dump or a profile while it still runs; a higher limit only buys time while it grows like this."
	if st.id == HostID {
		t.advice = "See who grows (oomwatch top, sorted by danger): the kernel may kill another than the one that grew."
	}
	return t
}

func hitsWords(st *state, who string) told {
	holds := incident.FormatBytes(max(st.held, 0))
	size := incident.FormatBytes(st.limit())
	span := incident.FormatDuration(recently)
	t := told{confidence: incident.Possible, source: "recorder"}
	_, by := rises(st.counters, func(c *counters) int64 { return c.hits })
	t.source = "cgroup"
	t.text = fmt.Sprintf("limit hit %d times in %s; %s of %s held, %.1f %%", by, span, holds, size, 100*st.share())
	t.means = "each allocation at the limit must first reclaim, and there is little to reclaim"
	t.summary = fmt.Sprintf("%s hit its %s limit %d times in %s: it holds %s that cannot be reclaimed", who, size, by, span, holds)
	t.advice = "It slows down, as the kernel reclaims its page cache at each allocation: raise its limit, or give it less work at once."
	return t
}

func pressureWords(st *state, who string) told {
	span := incident.FormatDuration(recently)
	t := told{confidence: incident.Possible, source: "recorder"}
	t.summary = fmt.Sprintf("%s stalls, waiting for memory", who)
	if p := share(st.counters, func(c *counters) int64 { return c.full }); p >= 0 {
		t.text = fmt.Sprintf("all tasks stalled %.1f %% of the last %s", p, span)
		t.summary += fmt.Sprintf(": %.0f %% of the last %s", p, span)
	}
	if l, by := rises(st.counters, func(c *counters) int64 { return c.stalls }); l > calm {
		if t.text != "" {
			t.text += "; "
		}
		t.text += fmt.Sprintf("the kernel reported it %d times in %s", by, span)
		if st.last.PSIFull < 0 {
			t.summary += fmt.Sprintf(": the kernel reclaims next to nothing (%d notifications of critical pressure in %s)", by, span)
		}
	}
	t.means = "the kernel spends the time reclaiming pages that are needed again at once"
	t.advice = "Its working set, page cache included, does not fit: give it more memory, or less to do at once."
	switch {
	case st.cause(Pressure) == incident.OOMHost:
		t.advice = "The host, or a group above, is short of memory: see who holds the most with oomwatch top."
	case st.heldBack():
		t.advice = "It waits at its own memory.high: raise that (the limit is memory.max), or make the program need less."
	}
	return t
}

func throttledWords(st *state, who string) told {
	span := incident.FormatDuration(recently)
	t := told{confidence: incident.Possible, source: "recorder"}
	_, by := rises(st.counters, func(c *counters) int64 { return c.highs })
	t.source = "cgroup"
	t.text = fmt.Sprintf("memory.high exceeded %d times in %s", by, span)
	t.means = "the kernel slows every allocation down and reclaims"
	t.summary = fmt.Sprintf("%s is slowed down at its memory.high (%d times in %s)", who, by, span)
	t.advice = "memory.high throttles and never kills: raise it (the limit is memory.max), or make the program need less."
	return t
}

func pidsWords(st *state, who string) told {
	t := told{confidence: incident.Possible, source: "recorder"}
	t.source = "cgroup"
	t.text = fmt.Sprintf("%d of %d pids in use", st.last.PIDs, st.last.PIDsLimit)
	t.means = "at the limit it can start no process and no thread"
	t.summary = fmt.Sprintf("%s has %d of its %d processes and threads in use", who, st.last.PIDs, st.last.PIDsLimit)
	t.advice = "See what it starts (ps -eLf in the container): children that nobody waits for stay as zombies and count. If it needs them all, " + st.pidsStep() + "."
	return t
}

func unhealthyWords(st *state, who string) told {
	t := told{confidence: incident.Possible} // the engine says it
	t.text = "health_status: unhealthy"
	t.means = "the health check failed as many times in a row as its retries allow"
	t.summary = fmt.Sprintf("%s is unhealthy: its health check fails", who)
	t.advice = fmt.Sprintf("See what the check says: %s inspect -f '{{json .State.Health}}' %s", st.engine(), who)
	if part, ok := st.starved(); ok {
		held := fmt.Sprintf("it was throttled %.0f %% of the last %s by its CPU quota", 100*part, incident.FormatDuration(recently))
		t.text += "; " + held
		t.means += ", and a check runs in the container's quota"
		t.summary += "; " + held
		t.advice = fmt.Sprintf("Give it more CPU, or the check more time: %s, and a check takes as long as the quota makes it. What the check says: %s inspect -f '{{json .State.Health}}' %s", held, st.engine(), who)
	}
	return t
}

// starved is the part of the recent periods of its CPU quota in which that was used up;
// ok is false where it explains no failing check.
func (st *state) starved() (part float64, ok bool) {
	const least, few = 0.5, 5
	_, periods := rises(st.counters, func(c *counters) int64 { return c.periods })
	_, throttled := rises(st.counters, func(c *counters) int64 { return c.throttled })
	if periods < few {
		return 0, false
	}
	part = min(1, float64(throttled)/float64(periods))
	return part, part >= least
}

func loopWords(st *state, who string) told {
	t := told{confidence: incident.Possible, source: "recorder"}
	n := len(st.deaths)
	first, last := st.deaths[0], st.deaths[n-1]
	t.confidence, t.source = incident.Certain, "" // the engine says it
	t.text = fmt.Sprintf("%d deaths in %s", n, incident.FormatDuration(last.at.Sub(first.at)))
	t.means = last.what
	t.summary = fmt.Sprintf("%s is crash-looping: %d deaths in %s", who, n, incident.FormatDuration(last.at.Sub(first.at)))
	if how, ok := strings.CutPrefix(last.what, who+" "); ok {
		t.summary += "; the last time it " + how
	} else {
		t.summary += ", the last as " + string(last.cause)
	}
	if st.pod {
		t.summary += fmt.Sprintf("; the kubelet waits up to %s before the next start (CrashLoopBackOff)", incident.FormatDuration(kubeletBackoff(st.deaths)))
	} else if b := backoff(st.deaths); b > 0 && last.over == 0 && (st.runtime() == "docker" || st.runtime() == "") {
		t.summary += fmt.Sprintf("; Docker waits about %s before the next start", incident.FormatDuration(b))
	}
	t.advice = "Look at the first of these deaths, not the last: oomwatch explain --all " + st.ask(who)
	return t
}

// gaveUpWords: nothing runs, and nothing will by itself.
func gaveUpWords(st *state, who string) told {
	last := &death{}
	if n := len(st.deaths); n > 0 {
		last = &st.deaths[n-1]
	}
	t := told{confidence: incident.Certain}
	t.text = fmt.Sprintf("restarted %s, as often as its restart policy on-failure:%d allows", units.Count(last.over, "time"), last.over)
	t.means = "the engine does not start it again"
	t.summary = fmt.Sprintf("%s is down for good: the engine gave up after %s (restart policy on-failure:%d)", who, units.Count(last.over, "restart"), last.over)
	if how, ok := strings.CutPrefix(last.what, who+" "); ok {
		t.summary += "; the last time it " + how
	}
	t.advice = "Fix the cause first, then start it by hand. With the restart policy unless-stopped the engine would have gone on trying."
	return t
}

// backoff is how long Docker's restart manager waits before the next start of a
// container that never ran for 10 s: 100 ms, doubled each time, a minute at most.
func backoff(deaths []death) time.Duration {
	wait := 100 * time.Millisecond
	for i := 1; i < len(deaths); i++ {
		if deaths[i].at.Sub(deaths[i-1].at)-wait >= 10*time.Second {
			wait = 100 * time.Millisecond
			continue
		}
		wait = min(2*wait, time.Minute)
	}
	return wait
}

// subject is the container's name, made safe, or its id; or the host.
func subject(st *state, f *verdict.Facts) string {
	switch {
	case st.id == HostID:
		return "the host"
	case st.disk != nil:
		return st.diskName()
	case st.leak != nil:
		return st.leakName()
	case f.Container != nil && f.Container.Name != "":
		return redact.Sanitize(f.Container.Title())
	}
	return redact.Sanitize(st.id[:min(len(st.id), 12)])
}

// ask is the container as explain takes it.
func (st *state) ask(who string) string {
	if st.about != nil && st.about.Name != "" {
		return redact.Sanitize(st.about.FullName())
	}
	return who
}

// runtime is the container's; "" where it is not known.
func (st *state) runtime() string {
	if st.about == nil {
		return ""
	}
	return st.about.Runtime
}

// engine is the command that shows the container's health.
func (st *state) engine() string {
	if st.runtime() == "podman" {
		return "podman"
	}
	return "docker"
}

// pidsStep is how to allow more processes.
func (st *state) pidsStep() string {
	if st.about != nil && st.about.Pod != nil {
		return "raise the kubelet's podPidsLimit"
	}
	return "raise --pids-limit"
}

func seconds(s float64) string {
	return incident.FormatDuration(time.Duration(s * float64(time.Second)).Round(time.Second))
}

// roundUp rounds up to an eighth of the size's power of two, at least a mebibyte.
func roundUp(n int64) int64 {
	step := int64(1 << 20)
	for step*16 <= n {
		step *= 2
	}
	return (n + step - 1) / step * step
}
