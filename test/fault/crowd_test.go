//go:build fault

package fault

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/store"
	"github.com/oomwatch/oomwatch/test/lab"
)

// What a crowd of readers does, in a cgroup as small as the shipped unit's.
const (
	crowdLimit  = 128 << 20
	crowdKept   = 100_000
	crowdPages  = 10  // watch the page of containers
	crowdLoops  = 4   // read all that is kept, again and again
	crowdUnread = 100 // ask for all that is kept, and read nothing
	crowdDeaths = 10  // a second
	crowdMedian = 25 * time.Millisecond
	crowdTimes  = 2                     // as long as without readers at most ...
	crowdLeast  = 10 * time.Millisecond // ... where that is not shorter than a turn of Go's scheduler
)

var crowdFor = flag.Duration("crowd", time.Minute, "how long TestCrowd lasts")

// TestCrowd: no number of readers has the daemon killed, nor delays an alert. It takes
// five minutes whole: -crowd 5m.
func TestCrowd(t *testing.T) {
	w := newWorld(t)
	w.keep(t, rounds(t, crowdKept))
	listen := freePort(t)
	group, remove, err := lab.Parent(fmt.Sprintf("oomwatch-crowd-%d", os.Getpid()), crowdLimit)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(remove)
	w.listen, w.group, w.env = listen, group, []string{"GOMEMLIMIT=64MiB"} // as examples/oomwatch.service has them
	d := w.start(t, "")
	w.ready(t, d)
	// In turns, so that what else the machine does slows both alike.
	stretch := max(15*time.Second, *crowdFor/5)
	var quiet, crowded []time.Duration
	var sum crowdSum
	for of := time.Duration(0); of < *crowdFor; of += stretch {
		quiet = append(quiet, w.latencies(t, 7*crowdDeaths)...)
		leave := comeCrowd(t, listen)
		crowded = append(crowded, w.latencies(t, int(min(stretch, *crowdFor-of).Seconds())*crowdDeaths)...)
		sum.add(leave())
	}
	slices.Sort(quiet)
	slices.Sort(crowded)

	select {
	case <-d.Done:
		t.Fatalf("it ended: %v\n%s", d.ProcessState, d.Err.String())
	default:
	}
	if kills := killedIn(t, group); kills > 0 {
		t.Errorf("%d processes were killed in its cgroup", kills)
	}
	if m, alone := middle(crowded), middle(quiet); m > lab.Slow(crowdMedian) || m > crowdTimes*max(alone, crowdLeast) {
		t.Errorf("the median of the alerts' delay is %v; alone it was %v", m, alone)
	}
	held(t, fmt.Sprintf("%d incidents kept, %d watched pages, %d loops that read everything, %d connections that are not read, %d deaths a second for %v; 128 MiB", rounds(t, crowdKept), crowdPages, crowdLoops, crowdUnread, crowdDeaths, *crowdFor),
		"alive with %s at most; each alert once, after %v in the median and %v at worst (alone %v and %v); %d answers of %d MB, %d requests refused", peakOf(t, group),
		round(middle(crowded)), round(slices.Max(crowded)), round(middle(quiet)), round(slices.Max(quiet)), sum.Answers, sum.Bytes>>20, sum.Refused)
	d.end(t)
	w.account(t, 0)
}

// keep fills the store with n incidents before the daemon is started.
func (w *world) keep(t *testing.T, n int) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(w.store), 0o750); err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	st, err := store.Open(ctx, store.Options{Path: w.store})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	begin := time.Now().Add(-80 * 24 * time.Hour)
	tail := strings.Split(strings.Repeat("GET /things?page=3 took 17 ms and found nothing that it had looked for\n", 20), "\n")
	for i := 0; i < n; {
		var b store.Batch
		for ; i < n && len(b.Entries) < 1000; i++ {
			at := begin.Add(time.Duration(i) * time.Minute)
			b.Entries = append(b.Entries, store.Entry{Incident: &incident.Incident{
				Schema: incident.Schema, ID: fmt.Sprintf("kept%08d", i), Kind: incident.KindDeath, Time: at, Severity: incident.Critical, Cause: incident.ExitError,
				Confidence: incident.Certain, Summary: fmt.Sprintf("kept-%d exited with code 3", i%500), LogTail: tail,
				Container: &incident.Container{ID: fmt.Sprintf("%064x", 0xbeef00000000+i), Name: fmt.Sprintf("kept-%d", i%500), StartedAt: at.Add(-time.Minute), FinishedAt: at},
			}})
		}
		if _, err := st.Save(ctx, b); err != nil {
			t.Fatal(err)
		}
	}
}

// latencies ends n containers at the pace of crowdDeaths, and returns how long each alert
// took to the first receiver.
func (w *world) latencies(t *testing.T, n int) []time.Duration {
	t.Helper()
	died := map[string]time.Time{}
	tick := time.NewTicker(time.Second / crowdDeaths)
	defer tick.Stop()
	for range n {
		<-tick.C
		died[w.die()] = time.Now()
	}
	h := w.hooks[0]
	out := make([]time.Duration, 0, n)
	for id, at := range died {
		w.until(t, 30*time.Second, "an alert does not come", func() bool { return !h.when(id).IsZero() })
		out = append(out, h.when(id).Sub(at))
	}
	return out
}

func round(d time.Duration) time.Duration { return d.Round(time.Millisecond) }

func middle(sorted []time.Duration) time.Duration { return sorted[len(sorted)/2] }

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// groupFile is a file of a cgroup of lab.Parent, of the first name that there is.
func groupFile(t *testing.T, group string, names ...string) string {
	t.Helper()
	for _, n := range names {
		for _, dir := range []string{"/sys/fs/cgroup/memory", "/sys/fs/cgroup"} {
			if b, err := os.ReadFile(filepath.Join(dir, group, n)); err == nil {
				return strings.TrimSpace(string(b))
			}
		}
	}
	t.Fatalf("%s has none of %q", group, names)
	return ""
}

func killedIn(t *testing.T, group string) int {
	t.Helper()
	for l := range strings.Lines(groupFile(t, group, "memory.oom_control", "memory.events")) {
		if f := strings.Fields(l); len(f) == 2 && f[0] == "oom_kill" {
			n, err := strconv.Atoi(f[1])
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatal("the kernel does not count kills of a cgroup")
	return 0
}

func peakOf(t *testing.T, group string) string {
	t.Helper()
	n, err := strconv.ParseInt(groupFile(t, group, "memory.max_usage_in_bytes", "memory.peak"), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d MiB", n>>20)
}
