package lab

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/test/real"
)

// Program is what runs in a folder of its own: Logs is what it said, Stop ends it and all
// that it made.
type Program interface {
	Logs() string
	Stop() error
}

// InFolder starts what runs in a new folder, within a deadline, and ends it at the test's end.
// What it said is shown where the test fails. Where missing says that none can be had it skips
// (see real.Missing).
func InFolder[P Program](t testing.TB, what string, missing error, within time.Duration, start func(ctx context.Context, dir string) (P, error)) P {
	t.Helper()
	if missing != nil {
		real.Missing(t, "%v", missing)
	}
	// Not t.TempDir: a socket's path may not be long.
	dir, err := os.MkdirTemp("", "ow-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	ctx, cancel := context.WithTimeout(context.Background(), Slow(within))
	defer cancel()
	begin := time.Now()
	p, err := start(ctx, dir)
	if err != nil {
		t.Fatalf("start %s: %v", what, err)
	}
	t.Logf("%s is ready after %.1f s", what, time.Since(begin).Seconds())
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s said:\n%s", what, p.Logs())
		}
		if err := p.Stop(); err != nil {
			t.Errorf("stop %s: %v", what, err)
		}
	})
	return p
}

// Start starts an engine for a test and stops it at the test's end. Where none
// can be had it skips (see real.Missing). It is the one that EngineEnv names, if set.
func Start(t testing.TB, opts Options) *Engine {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Slow(2*time.Minute))
	defer cancel()
	if host := os.Getenv(EngineEnv); host != "" {
		e, err := Attach(ctx, host)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := e.Stop(); err != nil {
				t.Errorf("clean up the engine at %s: %v", host, err)
			}
		})
		return e
	}
	if err := Missing(); err != nil {
		real.Missing(t, "%v", err)
	}
	e, err := New(ctx, opts)
	if err != nil {
		t.Fatalf("start a private engine: %v", err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("engine log:\n%s", tailFile(e.Log, 4000))
		}
		if err := e.Stop(); err != nil {
			t.Errorf("stop the private engine: %v", err)
		}
	})
	return e
}

// MustRun is Run for a test; the container is removed at its end.
func (e *Engine) MustRun(t testing.TB, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Slow(time.Minute))
	defer cancel()
	id, err := e.Run(ctx, args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), Slow(time.Minute))
		defer cancel()
		_, _ = e.Docker(ctx, "rm", "-fv", id) // gone already with --rm
	})
	return id
}

// MustDocker is Docker for a test.
func (e *Engine) MustDocker(t testing.TB, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Slow(time.Minute))
	defer cancel()
	out, err := e.Docker(ctx, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
