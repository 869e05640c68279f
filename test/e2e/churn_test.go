//go:build soak

package e2e

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/test/lab"
	"github.com/oomwatch/oomwatch/trend"
	"github.com/oomwatch/oomwatch/units"
)

// TestSoakChurn has containers come, die and go while the daemon records them,
// and holds the daemon's own memory and descriptors against the statistics that
// it judges others by. OOMWATCH_CHURN is for how long, an hour where it is not set.
func TestSoakChurn(t *testing.T) {
	long := time.Hour
	if s := os.Getenv("OOMWATCH_CHURN"); s != "" {
		var err error
		if long, err = time.ParseDuration(s); err != nil {
			t.Fatalf("OOMWATCH_CHURN: %v", err)
		}
	}
	e := lab.Start(t, lab.Options{})
	hook := newReceiver(t)
	d := startDaemonWith(t, e.Host, hook, "")
	for i := range 10 {
		e.MustRun(t, "--name", fmt.Sprintf("steady-%d", i), "-m", "64m", lab.Image, "sleep", "100000")
	}
	ctx, cancel := context.WithTimeout(t.Context(), long)
	defer cancel()
	var wg sync.WaitGroup
	ended := 0
	wg.Go(func() { ended = churn(ctx, t, e) })

	// What a program takes in its first minutes, caches and pools, is no leak.
	// Containers that are gone are remembered for ten of them.
	warm := min(warmUp, long/4)
	every := max(long/720, time.Second)
	began := time.Now()
	var rss, fds []trend.Point
	tick := time.NewTicker(every)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-d.Done:
			t.Fatalf("the daemon ended: %v", d.ProcessState)
		case now := <-tick.C:
			if now.Sub(began) < warm {
				continue
			}
			at := now.Sub(began).Seconds()
			rss = append(rss, trend.Point{T: at, V: resident(t, d.Process.Pid, "RssAnon") * (1 << 20)})
			fds = append(fds, trend.Point{T: at, V: descriptors(t, d.Process.Pid)})
		}
	}
	wg.Wait()
	noise := 1 << 20
	if long < 2*warmUp {
		noise += ended * goneHolds
	}
	judgeOwn(t, "anonymous memory", rss, float64(noise), func(v float64) string { return units.Bytes(int64(v)) })
	judgeOwn(t, "descriptors", fds, 8, func(v float64) string { return fmt.Sprintf("%.0f", v) })
	t.Logf("%d containers came and went in %s, %d alerts", ended, long, hook.count())
	if ended == 0 {
		t.Error("no container came and went: nothing was tried")
	}
}

const (
	// warmUp is until when the daemon's memory may grow with what it remembers.
	warmUp = 15 * time.Minute
	// goneHolds is what a container that is gone may hold meanwhile, in a run too
	// short to see it let go of.
	goneHolds = 16 << 10
)

// count is how many incidents were told.
func (r *receiver) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.got)
}

// judgeOwn fails where a series of the daemon's own is a leak by package trend, or
// its line rises for certain by more than noise over the whole of it.
func judgeOwn(t *testing.T, what string, p []trend.Point, noise float64, say func(float64) string) {
	t.Helper()
	f := trend.Classify(p, trend.Options{Noise: noise})
	low, high := p[0].V, p[0].V
	for _, q := range p {
		low, high = min(low, q.V), max(high, q.V)
	}
	t.Logf("%s: %s to %s in %d readings over %s: %s, %s", what, say(low), say(high), len(p), units.Seconds(trend.Span(p)), f.Shape, f.Reason)
	if f.Slope == nil {
		t.Errorf("%s: too few readings for a slope", what)
		return
	}
	t.Logf("%s: slope %.3g a second, between %.3g and %.3g for 99 %%", what, f.Slope.PerSecond, f.Slope.Low, f.Slope.High)
	if f.Shape == trend.Leak || f.Slope.Low*trend.Span(p) > noise {
		t.Errorf("%s grows", what)
	}
}

// churnEvery is when the next container comes, however busy the machine is: what is
// remembered of those that are gone grows with how many there were lately.
const churnEvery = time.Second

// churn keeps containers coming and going: most end well, some fail, one in twenty is
// OOM-killed, some are removed by the engine. It returns how many there were.
func churn(ctx context.Context, t *testing.T, e *lab.Engine) (n int) {
	tick := time.NewTicker(churnEvery)
	defer tick.Stop()
	for ; ctx.Err() == nil; n++ {
		args := []string{"--name", fmt.Sprintf("churn-%d", n), "-m", "16m"}
		byEngine := false // else they would pile up, and the daemon's knowledge of them with it
		switch {
		case n%20 == 19:
			args = append(args, lab.Image, "tail", "/dev/zero")
		case n%5 == 4:
			args = append(args, lab.Image, "prog", "exit", "3")
		case n%3 == 2:
			byEngine = true
			args = append(args, "--rm", lab.Image, "sleep", "1")
		default:
			args = append(args, lab.Image, "true")
		}
		id, err := e.Run(ctx, args...)
		if err != nil {
			if ctx.Err() == nil {
				t.Errorf("container %d: %v", n, err)
			}
			return n
		}
		if !byEngine {
			_, _ = e.Wait(ctx, id)               // what ends it early is the end of the test
			_, _ = e.Docker(ctx, "rm", "-f", id) // the same
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
	return n
}
