package trace

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/test/lab"
)

// collector reads an Instance as the daemon does: all the time.
type collector struct {
	mu   sync.Mutex
	all  []Event
	more chan struct{}
}

func collect(t *testing.T, in *Instance) *collector {
	c := &collector{more: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	t.Cleanup(func() { cancel(); <-done })
	go func() {
		defer close(done)
		for {
			e, err := in.Next(ctx)
			if err != nil {
				return
			}
			c.mu.Lock()
			c.all = append(c.all, e)
			c.mu.Unlock()
			select {
			case c.more <- struct{}{}:
			default:
			}
		}
	}()
	return c
}

// of returns what was told about the process pid, in order.
func (c *collector) of(pid int) (signals []*Signal, victims []*Victim) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.all {
		switch {
		case e.Signal != nil && e.Signal.Target.TID == pid:
			signals = append(signals, e.Signal)
		case e.Victim != nil && e.Victim.Victim.TID == pid:
			victims = append(victims, e.Victim)
		}
	}
	return signals, victims
}

// TestDeathsOnAnEngine ends real containers in every way that needs telling
// apart, and compares what the kernel says of each.
func TestDeathsOnAnEngine(t *testing.T) {
	e := lab.Start(t, lab.Options{})
	c := collect(t, open(t, Options{}))
	docker := func(args ...string) func(t *testing.T, id string, pid int) {
		return func(t *testing.T, id string, _ int) { e.MustDocker(t, append(args, id)...) }
	}
	self := strconv.Itoa(os.Getpid())
	for _, d := range []struct {
		name string
		run  []string
		do   func(t *testing.T, id string, pid int)
		// The signals to the container's main process, each "number, code,
		// result, sender": the sender's name, "-" for the kernel.
		want   []string
		marked bool
	}{
		{"docker kill", []string{lab.Image, "prog", "stubborn"}, docker("kill"), []string{"9 0 0 runc"}, false},
		{"docker kill -s HUP", []string{lab.Image, "prog", "polite"}, docker("kill", "-s", "HUP"), []string{"1 0 0 runc"}, false},
		{"docker stop, obeyed", []string{lab.Image, "prog", "polite"}, docker("stop"), []string{"15 0 0 runc"}, false},
		{"docker stop, deaf", []string{lab.Image, "sleep", "1000"}, docker("stop", "-t", "1"), []string{"15 0 1 runc", "9 0 0 runc"}, false},
		{"docker rm -f", []string{lab.Image, "sleep", "1000"}, docker("rm", "-f"), []string{"9 0 0 runc"}, false},
		{"kill -9 from the host", []string{lab.Image, "sleep", "1000"}, func(t *testing.T, _ string, pid int) {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
		}, []string{"9 0 0 pid " + self}, false},
		{"kill -9 from a sidecar", []string{lab.Image, "sleep", "1000"}, func(t *testing.T, id string, _ int) {
			e.MustRun(t, "--pid", "container:"+id, lab.Image, "sh", "-c", "kill -9 1; sleep 1000; true")
			// From inside, SIGKILL to the main process is ignored.
			e.MustDocker(t, "kill", id)
		}, []string{"9 0 1 sh", "9 0 0 runc"}, false},
		{"OOM", []string{"-m", "32m", lab.Image, "prog", "eat", "-comm", "x) sig=15 pid=1", "-rate", "20000000"}, func(*testing.T, string, int) {}, []string{"9 128 0 -"}, true},
	} {
		t.Run(d.name, func(t *testing.T) {
			id := e.MustRun(t, d.run...)
			ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
			defer cancel()
			pid, err := e.MainPID(ctx, id)
			if err != nil {
				t.Fatal(err)
			}
			if slices.Contains(d.run, "prog") && !d.marked {
				if err := e.WaitLog(ctx, id, "ready"); err != nil {
					t.Fatal(err)
				}
			}
			d.do(t, id, pid)
			var got []string
			var victims []*Victim
			for {
				var signals []*Signal
				signals, victims = c.of(pid)
				got = nil
				for _, s := range signals {
					got = append(got, brief(s))
					if !s.Target.Gone && s.Target.Cgroup != "" && !strings.Contains(s.Target.Cgroup, id) {
						t.Errorf("target in %q, not in %s", s.Target.Cgroup, id)
					}
				}
				if len(got) >= len(d.want) && d.marked == (len(victims) > 0) {
					break
				}
				select {
				case <-c.more:
				case <-ctx.Done():
					t.Fatalf("got %q and %d marks, want %q, %v", got, len(victims), d.want, d.marked)
				}
			}
			if !slices.Equal(got, d.want) || d.marked != (len(victims) == 1) {
				t.Errorf("got %q and %d marks, want %q, %v", got, len(victims), d.want, d.marked)
			}
			signals, _ := c.of(pid)
			for _, s := range signals {
				t.Logf("%s by %+v to %+v", brief(s), s.Current, s.Target)
			}
			for _, v := range victims {
				t.Logf("marked %+v by %+v", v.Victim, v.Current)
			}
		})
	}
}

func brief(s *Signal) string {
	from := "-"
	switch p := s.Sender(); {
	case p == nil:
	case p.PID == os.Getpid():
		from = fmt.Sprint("pid ", p.PID)
	default:
		from = p.Comm
	}
	return fmt.Sprint(s.Sig, s.Code, int(s.Result)) + " " + from
}
