package lab

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/test/real"
)

// Every death must really be what it says, or the tests built on it prove nothing.
func TestDeathsEndAsTheySay(t *testing.T) {
	e := Start(t, Options{})
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	for _, d := range Deaths() {
		t.Run(d.Name, func(t *testing.T) {
			id, err := d.Do(ctx, e, "t-"+d.Name)
			if err != nil {
				t.Fatal(err)
			}
			got, err := e.Inspect(ctx, id, "{{.State.Running}} {{.State.ExitCode}}")
			if err != nil {
				t.Fatal(err)
			}
			want := fmt.Sprintf("false %d", d.ExitCode)
			if d.ExitCode < 0 {
				want = "true 0"
			}
			if got != want {
				t.Errorf("running, exit code = %s, want %s", got, want)
			}
		})
	}
}

func TestStopLeavesNothing(t *testing.T) {
	if err := Missing(); err != nil {
		real.Missing(t, "%v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	e, err := New(ctx, Options{LiveRestore: true})
	if err != nil {
		t.Fatal(err)
	}
	id, err := e.Run(ctx, Image, "sleep", "1000")
	if err != nil {
		t.Fatal(err)
	}
	pid, err := e.MainPID(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat("/proc/" + strconv.Itoa(pid)); err != nil {
		t.Errorf("the container did not outlive its engine, live-restore or not: %v", err)
	}
	if err := e.Stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(e.Dir); err == nil {
		t.Errorf("%s is still there", e.Dir)
	}
	// The host's first process reaps the killed orphan in its own time.
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat("/proc/" + strconv.Itoa(pid)); err != nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the container's process %d still runs", pid)
		}
	}
	left, err := filepath.Glob("/sys/fs/cgroup/*/docker/" + id)
	if err != nil || len(left) > 0 {
		t.Errorf("cgroups left: %q %v", left, err)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil || strings.Contains(string(mounts), e.Dir) {
		t.Errorf("mounts under %s are left (%v)", e.Dir, err)
	}
	if got := e.processes(isRuntime); len(got) > 0 {
		t.Errorf("processes left: %v", got)
	}
}

func TestEngineDownUpFreezeThaw(t *testing.T) {
	e := Start(t, Options{})
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if err := e.Freeze(); err != nil {
		t.Fatal(err)
	}
	if ping(ctx, e.Socket()) == nil {
		t.Error("a frozen engine answers")
	}
	if err := e.Thaw(); err != nil {
		t.Fatal(err)
	}
	if err := ping(ctx, e.Socket()); err != nil {
		t.Errorf("thawed engine: %v", err)
	}
	before := e.PID()
	if err := e.Restart(ctx); err != nil {
		t.Fatal(err)
	}
	if e.PID() == before || ping(ctx, e.Socket()) != nil {
		t.Error("the engine was not restarted")
	}
	ids, err := e.Storm(ctx, "storm", 5)
	if err != nil || len(ids) != 5 {
		t.Errorf("storm: %q %v", ids, err)
	}
}

func TestUnknownDeath(t *testing.T) {
	if _, err := FindDeath("boredom"); err == nil || !strings.Contains(err.Error(), "oom-ancestor") {
		t.Errorf("error %v does not name the deaths there are", err)
	}
}
