package docker

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/observe"
	"github.com/oomwatch/oomwatch/test/lab"
	"github.com/oomwatch/oomwatch/test/real"
	"go.uber.org/goleak"
)

// logLines is how many last log lines the tests ask for.
const logLines = 20

// shared is the engine of the tests that do it no harm.
var shared struct {
	once   sync.Once
	engine *lab.Engine
	err    error
}

// engine returns the shared engine; it is started by the first test that asks.
func engine(t testing.TB) *lab.Engine {
	t.Helper()
	if err := lab.Missing(); err != nil {
		real.Missing(t, "%v", err)
	}
	shared.once.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		shared.engine, shared.err = lab.New(ctx, lab.Options{})
	})
	if shared.err != nil {
		t.Fatalf("start a private engine: %v", shared.err)
	}
	return shared.engine
}

// withEngine stops the shared engine before goroutines are looked for.
type withEngine struct{ m *testing.M }

func (w withEngine) Run() int {
	code := w.m.Run()
	if shared.engine != nil {
		if err := shared.engine.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, "stop the shared engine:", err)
			code = max(code, 1)
		}
	}
	return code
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(withEngine{m}) }

// recorder keeps what a source emits.
type recorder struct {
	mu   sync.Mutex
	all  []observe.Observation
	more chan struct{}
}

func (r *recorder) emit(o observe.Observation) {
	r.mu.Lock()
	r.all = append(r.all, o)
	r.mu.Unlock()
	select {
	case r.more <- struct{}{}:
	default:
	}
}

func (r *recorder) snapshot() []observe.Observation {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.all)
}

// wait waits until an observation fits and returns it.
func (r *recorder) wait(t testing.TB, what string, fits func(observe.Observation) bool) observe.Observation {
	t.Helper()
	limit := time.After(30 * time.Second)
	for {
		all := r.snapshot()
		if i := slices.IndexFunc(all, fits); i >= 0 {
			return all[i]
		}
		select {
		case <-r.more:
		case <-limit:
			t.Fatalf("no %s; seen:\n%s", what, strings.Join(words(r.snapshot()), "\n"))
		}
	}
}

// mark is the number of observations so far.
func (r *recorder) mark() int { return len(r.snapshot()) }

// waitAfter is wait for what came after a mark.
func (r *recorder) waitAfter(t testing.TB, mark int, what string, fits func(observe.Observation) bool) observe.Observation {
	t.Helper()
	limit := time.After(30 * time.Second)
	for {
		all := r.snapshot()[mark:]
		if i := slices.IndexFunc(all, fits); i >= 0 {
			return all[i]
		}
		select {
		case <-r.more:
		case <-limit:
			t.Fatalf("no %s; seen since:\n%s", what, strings.Join(words(r.snapshot()[mark:]), "\n"))
		}
	}
}

// of returns the observations of one container, in order, without lists.
func (r *recorder) of(id string) []observe.Observation {
	var out []observe.Observation
	for _, o := range r.snapshot() {
		if idOf(o) == id {
			out = append(out, o)
		}
	}
	return out
}

func idOf(o observe.Observation) string {
	switch {
	case o.Container != nil:
		return o.Container.ID
	case o.Exit != nil:
		return o.Exit.ID
	case o.Detail != nil:
		return o.Detail.ID
	case o.Signal != nil:
		return o.Signal.ID
	case o.Event != nil:
		return o.Event.ID
	}
	return ""
}

// words tells observations in a word or two each.
func words(all []observe.Observation) []string {
	var out []string
	for _, o := range all {
		switch {
		case o.Container != nil:
			out = append(out, "container "+o.Container.State)
		case o.Exit != nil:
			out = append(out, fmt.Sprintf("die %d", o.Exit.ExitCode))
		case o.Detail != nil:
			out = append(out, "detail "+o.Detail.Problem)
		case o.Signal != nil:
			out = append(out, fmt.Sprintf("kill %d", o.Signal.Number))
		case o.Event != nil:
			out = append(out, actionOf(o.Event))
		case o.List != nil:
			out = append(out, fmt.Sprintf("reconcile of %d", len(o.List.Containers)))
		case o.Source != nil:
			out = append(out, fmt.Sprintf("source up=%t %s", o.Source.Up, o.Source.Reason))
		case o.Lost != nil:
			out = append(out, fmt.Sprintf("lost %d", o.Lost.Lost))
		case o.Host != nil:
			out = append(out, "host "+o.Host.Engine)
		case o.Cursor != nil:
			out = append(out, "cursor "+o.Cursor.Value)
		}
	}
	return out
}

// told are the words without what comes of asking, whose place is not fixed.
func told(all []observe.Observation) []string {
	return slices.DeleteFunc(words(all), func(w string) bool {
		return strings.HasPrefix(w, "container") || strings.HasPrefix(w, "detail") || strings.HasPrefix(w, "cursor")
	})
}

func isReconcile(o observe.Observation) bool { return o.List != nil }
func isUp(o observe.Observation) bool        { return o.Source != nil && o.Source.Up }
func isDown(o observe.Observation) bool      { return o.Source != nil && !o.Source.Up }

func isDetail(id string) func(observe.Observation) bool {
	return func(o observe.Observation) bool { return o.Detail != nil && o.Detail.ID == id }
}

func isContainer(id string) func(observe.Observation) bool {
	return func(o observe.Observation) bool { return o.Container != nil && o.Container.ID == id }
}

func isExit(id string) func(observe.Observation) bool {
	return func(o observe.Observation) bool { return o.Exit != nil && o.Exit.ID == id }
}

func isAction(id, action string) func(observe.Observation) bool {
	return func(o observe.Observation) bool {
		return o.Event != nil && o.Event.ID == id && actionOf(o.Event) == action
	}
}

// follow runs a source until the test ends. set may change its pace.
func follow(t testing.TB, opts Options, set func(*pace)) *recorder {
	t.Helper()
	rec := &recorder{more: make(chan struct{}, 1)}
	followInto(t, opts, set, rec.emit)
	return rec
}

func followInto(t testing.TB, opts Options, set func(*pace), emit func(observe.Observation)) {
	t.Helper()
	s, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	if set != nil {
		set(&s.pace)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, emit) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(20 * time.Second):
			t.Error("Run did not end")
		}
	})
}

// followShared follows the shared engine and waits until the first list is there.
func followShared(t testing.TB) (*lab.Engine, *recorder) {
	t.Helper()
	e := engine(t)
	rec := follow(t, Options{Host: e.Host, LogLines: logLines}, nil)
	rec.wait(t, "reconcile", isReconcile)
	return e, rec
}

func toJSON(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// actionOf is the engine's own word for an event.
func actionOf(e *observe.Event) string {
	_, action, _ := strings.Cut(e.Raw, " container ")
	action, _, _ = strings.Cut(action, " "+e.ID)
	return action
}
