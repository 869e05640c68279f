package cri

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/observe"
	"github.com/oomwatch/oomwatch/test/lab"
	"github.com/oomwatch/oomwatch/test/lab/pods"
)

// recorded keeps what a source says.
type recorded struct {
	mu  sync.Mutex
	all []observe.Observation
}

func (r *recorded) emit(o observe.Observation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, o)
}

// wait waits for an observation that fits.
func (r *recorded) wait(t *testing.T, what string, fits func(*observe.Observation) bool) observe.Observation {
	t.Helper()
	for deadline := time.Now().Add(lab.Slow(20 * time.Second)); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		r.mu.Lock()
		i := slices.IndexFunc(r.all, func(o observe.Observation) bool { return fits(&o) })
		if i >= 0 {
			defer r.mu.Unlock()
			return r.all[i]
		}
		r.mu.Unlock()
	}
	t.Fatalf("no %s", what)
	return observe.Observation{}
}

// count is how many observations fit.
func (r *recorded) count(fits func(*observe.Observation) bool) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.all {
		if fits(&r.all[i]) {
			n++
		}
	}
	return n
}

// follow runs a source until the test's end.
func follow(t *testing.T, r *pods.Runtime, poll bool) *recorded {
	t.Helper()
	return followSocket(t, r.Socket, poll)
}

func followSocket(t *testing.T, socket string, poll bool) *recorded {
	t.Helper()
	s, err := New(Options{Socket: "unix://" + socket, LogLines: 20, poll: poll})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	rec, done := &recorded{}, make(chan error, 1)
	go func() { done <- s.Run(ctx, rec.emit) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	rec.wait(t, "list", func(o *observe.Observation) bool { return o.List != nil })
	return rec
}

// TestRuntime follows a real containerd by its events and by its list alone, and a real
// CRI-O, which has no events.
func TestRuntime(t *testing.T) {
	r := pods.Start(t)
	ctx, cancel := context.WithTimeout(t.Context(), lab.Slow(2*time.Minute))
	defer cancel()
	modes := []string{"events", "list"}
	if r.Name == "cri-o" {
		modes = modes[1:]
	}
	for i, mode := range modes {
		t.Run(mode, func(t *testing.T) {
			rec := follow(t, r, mode == "list")
			pod := &pods.Pod{Namespace: "ns", Name: fmt.Sprintf("p-%d", i), UID: fmt.Sprintf("6f2a1b9c-8e77-4a5d-9d21-01234567890%d", i), Labels: map[string]string{"app": "shop"}}
			if err := r.Run(ctx, pod); err != nil {
				t.Fatal(err)
			}
			create := func(name string, command ...string) string {
				t.Helper()
				id, err := r.Create(ctx, pod, pods.Container{Name: name, Command: command, Limit: 64 << 20, Restart: 3})
				if err != nil {
					t.Fatal(err)
				}
				return id
			}
			start := func(id string) {
				t.Helper()
				if err := r.Start(ctx, id); err != nil {
					t.Fatal(err)
				}
			}

			id := create("main", "sh", "-c", "echo out; sleep 2; echo last >&2; exit 3")
			start(id)
			is := func(o *observe.Observation) bool {
				return o.Container != nil && o.Container.ID == id && o.Container.PID != 0
			}
			c := rec.wait(t, "container", is).Container
			pid, err := r.PID(ctx, id)
			if err != nil || c.PID != pid || c.Name != "main" || c.Runtime != r.Name || c.Pod == nil || c.Pod.Name != pod.Name || c.Pod.Namespace != "ns" || c.Pod.UID != pod.UID ||
				c.Labels["app"] != "shop" || *c.MemoryLimit != 64<<20 || *c.RestartCount != 3 || *c.StopGraceSecond != 30 || c.StartedAt.IsZero() {
				t.Errorf("%+v, pid %d, %v", c, pid, err)
			}
			started := func(o *observe.Observation) bool {
				return o.Event != nil && o.Event.ID == id && o.Event.Kind == observe.Started
			}
			if o := rec.wait(t, "start", started); !o.At.Equal(c.StartedAt) {
				t.Errorf("the event says %v, the container %v", o.At, c.StartedAt)
			}
			// Somebody's program in the container is none of its ends.
			if err := r.Exec(ctx, id, "sh", "-c", "exit 9"); err == nil {
				t.Log("exec answered")
			}
			ended := func(o *observe.Observation) bool { return o.Exit != nil && o.Exit.ID == id }
			if x := rec.wait(t, "end", ended).Exit; x.ExitCode != 3 || !x.DetailPending {
				t.Errorf("%+v", x)
			}
			d := rec.wait(t, "detail", func(o *observe.Observation) bool { return o.Detail != nil && o.Detail.ID == id }).Detail
			if !slices.Equal(d.LogTail, []string{"out", "last"}) || d.Inspect == nil || d.Inspect.Exit == nil || d.Inspect.Exit.ExitCode != 3 || d.Problem != "" {
				t.Errorf("%+v", d)
			}

			known := map[string]bool{id: true}
			if !r.Looks() {
				failed := create("bad", "no-such-program")
				known[failed] = true
				if err := r.Start(ctx, failed); err == nil {
					t.Fatal("it started")
				}
				if x := rec.wait(t, "failed start", func(o *observe.Observation) bool { return o.Exit != nil && o.Exit.ID == failed }).Exit; x.Error == "" || x.ExitCode != 128 || !x.FinishedAt.IsZero() {
					t.Errorf("%+v", x)
				}
			}

			if err := r.RemoveContainer(ctx, id); err != nil {
				t.Fatal(err)
			}
			rec.wait(t, "removal", func(o *observe.Observation) bool {
				return o.Event != nil && o.Event.ID == id && o.Event.Kind == observe.Removed
			})
			for what, fits := range map[string]func(*observe.Observation) bool{"start": started, "end": ended} {
				if n := rec.count(fits); n != 1 {
					t.Errorf("its %s was told %d times", what, n)
				}
			}
			if n := rec.count(func(o *observe.Observation) bool { return o.Event != nil && !known[o.Event.ID] && i == 0 }); n != 0 {
				t.Errorf("%d events of what is no container", n)
			}
		})
	}
}

// TestUnread has the source be there and read nothing: that slows no container. It says
// nothing of CRI-O, of which no events are read.
func TestUnread(t *testing.T) {
	r := pods.Start(t)
	ctx, cancel := context.WithTimeout(t.Context(), lab.Slow(10*time.Minute))
	defer cancel()
	pod := &pods.Pod{Namespace: "ns", Name: "many", UID: "6f2a1b9c-8e77-4a5d-9d21-012345678909"}
	if err := r.Run(ctx, pod); err != nil {
		t.Fatal(err)
	}
	many := 8
	if pods.Large() {
		many = 200
	}
	all := func() time.Duration {
		t.Helper()
		begin := time.Now()
		for i := range many {
			id, err := r.Create(ctx, pod, pods.Container{Name: fmt.Sprintf("c%d", i), Command: []string{"true"}})
			if err == nil {
				err = r.Start(ctx, id)
			}
			if err == nil {
				err = r.Ended(ctx, id)
			}
			if err == nil {
				err = r.RemoveContainer(ctx, id)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		return time.Since(begin)
	}
	alone := all()
	// A reader that never reads: it takes the first message and hangs.
	c := newClient(r.Socket, time.Second)
	defer c.close()
	hang, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = c.subscribe(hang, func(moment) { <-hang.Done() }) // it ends with hang
	}()
	watched := all()
	stop()
	<-done
	if watched > 3*alone+time.Second {
		t.Errorf("%d containers took %v alone and %v beside a reader that does not read", many, alone, watched)
	}
	t.Logf("%d containers: %v alone, %v beside a reader that does not read", many, alone, watched)
}

// TestOptional says nothing of a socket that nobody named and that is not there.
func TestOptional(t *testing.T) {
	s, err := New(Options{Socket: "/nonexistent/c.sock", Optional: true})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	rec := &recorded{}
	if err := s.Run(ctx, rec.emit); err != nil || len(rec.all) != 0 {
		t.Errorf("%v, %v", rec.all, err)
	}
}
