package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/test/lab"
	"github.com/oomwatch/oomwatch/test/real"
)

// tracefs mounts the kernel's tracing files for a test, where they are not.
func tracefs(t *testing.T) {
	t.Helper()
	const dir = "/sys/kernel/tracing"
	if _, err := os.Stat(filepath.Join(dir, "events/signal/signal_generate")); err == nil {
		return
	}
	if err := syscall.Mount("tracefs", dir, "tracefs", 0, ""); err != nil {
		real.Missing(t, "mount tracefs: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Logf("unmount tracefs: %v", err)
		}
	})
}

// TestSenders names who sent the fatal signal.
func TestSenders(t *testing.T) {
	e := lab.Start(t, lab.Options{})
	tracefs(t)
	hook := newReceiver(t)
	d := startDaemon(t, e.Host, hook)
	ctx := timeout(t, 3*time.Minute)
	on := platform(t, e)
	if !d.sees(t, "trace") {
		t.Fatal("the trace source is not there")
	}
	check := func(t *testing.T, id string, cause incident.Cause, conf incident.Confidence, killer, comm string) {
		t.Helper()
		row(t, on, string(cause), subtest(t))
		got := hook.waitFor(t, id, 1, 8*time.Second)[0]
		b, _ := json.MarshalIndent(got, "", " ") // an Incident always marshals
		if got.Cause != cause || got.Confidence != conf {
			t.Errorf("%s %s, want %s %s\n%s", got.Cause, got.Confidence, cause, conf, b)
		}
		switch {
		case killer == "":
			if got.Killer != nil {
				t.Errorf("killer %+v, want none", got.Killer)
			}
		case got.Killer == nil || got.Killer.Kind != killer || comm != "" && got.Killer.Comm != comm:
			t.Errorf("killer %+v, want %s %s\n%s", got.Killer, killer, comm, b)
		}
	}
	named := func(t *testing.T, name string) string {
		t.Helper()
		death, err := lab.FindDeath(name)
		if err != nil {
			t.Fatal(err)
		}
		id, err := death.Do(ctx, e, "s-"+name)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	t.Run("a process on the host", func(t *testing.T) {
		check(t, named(t, "kill-outside"), incident.KillProcess, incident.Certain, "process", "e2e.test")
	})
	t.Run("docker kill", func(t *testing.T) {
		check(t, named(t, "kill"), incident.KillRequest, incident.Certain, "engine", "")
	})
	t.Run("docker stop, ignored", func(t *testing.T) {
		id := named(t, "stop-timeout")
		check(t, id, incident.KillStopTimeout, incident.Certain, "engine", "")
	})
	t.Run("the program itself exits 137", func(t *testing.T) {
		check(t, named(t, "exit137"), incident.ExitError, incident.Likely, "", "")
	})
	t.Run("the kernel", func(t *testing.T) {
		check(t, named(t, "oom"), incident.OOMContainer, incident.Certain, "kernel", "")
	})
	t.Run("something that calls itself earlyoom", func(t *testing.T) {
		id := e.MustRun(t, "--name", "s-earlyoom", lab.Image, "sleep", "1000")
		pid, err := e.MainPID(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		killAs(t, "earlyoom", pid)
		check(t, id, incident.KillUserspaceOOM, incident.Likely, "userspace_oom", "earlyoom")
	})
	t.Run("a sidecar that shares the pid namespace", func(t *testing.T) {
		row(t, on, string(incident.KillProcess), subtest(t))
		id := e.MustRun(t, "--name", "s-target", lab.Image, "sleep", "1000")
		// The sidecar lives in the host's pid namespace, as node agents do.
		pid, err := e.MainPID(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		e.MustRun(t, "--name", "s-agent", "--pid", "host", lab.Image, "sh", "-c", "sleep 1; kill -9 "+itoa(pid)+"; sleep 10")
		got := hook.waitFor(t, id, 1, 8*time.Second)[0]
		if got.Cause != incident.KillProcess || got.Killer == nil || got.Killer.Name != "s-agent" {
			t.Errorf("%s by %+v: %s", got.Cause, got.Killer, got.Summary)
		}
	})
	// The instance goes with the daemon; another daemon of this machine has its own.
	d.stop(syscall.SIGTERM)
	if left, _ := filepath.Glob(fmt.Sprintf("/sys/kernel/tracing/instances/oomwatch-%d*", d.Process.Pid)); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
