package docker

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/oomwatch/oomwatch/observe"
	"github.com/oomwatch/oomwatch/test/lab"
	"github.com/prometheus/client_golang/prometheus"
)

// Each death is caused on a real engine; this is what the source makes of it.
func TestDeathsAreToldAsTheEngineTellsThem(t *testing.T) {
	e, rec := followShared(t)
	tests := []struct {
		death string
		want  []string
		check func(t *testing.T, x *observe.Exit, d *observe.Detail)
	}{
		{"oom-leak", []string{"create", "start", "oom", "die 137"}, func(t *testing.T, x *observe.Exit, d *observe.Detail) {
			if !d.Inspect.Exit.OOMKilled || *d.Inspect.MemoryLimit != 48<<20 {
				t.Errorf("inspect after death: %s", toJSON(t, d.Inspect))
			}
		}},
		{"stop-timeout", []string{"create", "start", "kill 15", "kill 9", "die 137", "stop"}, func(t *testing.T, x *observe.Exit, d *observe.Detail) {
			if d.Inspect.Exit.OOMKilled {
				t.Error("OOMKilled though it was stopped")
			}
			if want := []string{"ready"}; !slices.Equal(d.LogTail, want) {
				t.Errorf("log tail %q, want %q", d.LogTail, want)
			}
		}},
		{"stop", []string{"create", "start", "kill 15", "die 0", "stop"}, nil},
		{"kill", []string{"create", "start", "kill 9", "die 137"}, nil},
		{"hup", []string{"create", "start", "kill 1", "die 129"}, nil},
		{"kill-outside", []string{"create", "start", "die 137"}, nil},
		{"segv", []string{"create", "start", "die 139"}, nil},
		{"exit3", []string{"create", "start", "die 3"}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.death, func(t *testing.T) {
			id := cause(t, e, tt.death)
			d := rec.wait(t, "detail", isDetail(id)).Detail
			if last := tt.want[len(tt.want)-1]; !strings.HasPrefix(last, "die") {
				rec.wait(t, last, isAction(id, last))
			}
			all := rec.of(id)
			if diff := cmp.Diff(tt.want, told(all)); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
			x := all[slices.IndexFunc(all, isExit(id))].Exit
			if !x.DetailPending || !d.DiedAt.Equal(x.At) || d.Problem != "" || d.Inspect == nil || d.Inspect.Exit == nil {
				t.Fatalf("exit %s\ndetail %s", toJSON(t, x), toJSON(t, d))
			}
			if d.Inspect.Exit.ExitCode != x.ExitCode || x.At.Sub(d.Inspect.FinishedAt).Abs() > 10*time.Second {
				t.Errorf("inspect tells another death: %s", toJSON(t, d.Inspect.Exit))
			}
			if !strings.Contains(x.Raw, "container die "+id) || !strings.Contains(x.Raw, "exitCode=") {
				t.Errorf("raw event %q", x.Raw)
			}
			if tt.check != nil {
				tt.check(t, x, d)
			}
			// What it was is mostly known before it died; where the inspect at
			// create had to wait in the engine for the start, with its end.
			c := rec.wait(t, "container", isContainer(id)).Container
			if want := "d-" + tt.death; c.Name != want || x.Name != want || d.Inspect.Name != want {
				t.Errorf("named %q, %q, %q; want %q", c.Name, x.Name, d.Inspect.Name, want)
			}
		})
	}
}

// cause makes a death on an engine and takes the container away after the test.
func cause(t testing.TB, e *lab.Engine, death string, flags ...string) string {
	t.Helper()
	d, err := lab.FindDeath(death)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	id, err := d.Do(ctx, e, "d-"+death, flags...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		_, _ = e.Docker(ctx, "rm", "-fv", id) // gone already with --rm
	})
	return id
}

func TestChildKilledIsNoExit(t *testing.T) {
	e, rec := followShared(t)
	id := cause(t, e, "oom-child")
	// The engine goes on to tell of others; what it had to say of this one is out.
	other := cause(t, e, "exit3")
	rec.wait(t, "detail", isDetail(other))
	got := told(rec.of(id))
	if len(got) < 2 || got[0] != "create" || got[1] != "start" || slices.ContainsFunc(got, func(w string) bool { return strings.HasPrefix(w, "die") }) {
		t.Errorf("events %q", got)
	}
}

// The engine tells no event of a start that fails; it is asked.
func TestFailedStartIsAnExitOnce(t *testing.T) {
	e, rec := followShared(t)
	for death, code := range map[string]int{"exec-missing": 127, "exec-denied": 126} {
		t.Run(death, func(t *testing.T) {
			id := cause(t, e, death)
			x := rec.wait(t, "exit", isExit(id)).Exit
			if x.ExitCode != code || !strings.Contains(x.Error, "unable to start container process") || x.DetailPending || !x.FinishedAt.IsZero() || x.At.IsZero() {
				t.Errorf("exit %s", toJSON(t, x))
			}
			// Tried again, it fails again; the engine keeps the same error.
			if _, err := e.Docker(t.Context(), "start", id); err == nil {
				t.Error("it started")
			}
			e.MustDocker(t, "rm", id)
			rec.wait(t, "destroy", isAction(id, "destroy"))
			if diff := cmp.Diff([]string{"create", "die " + map[int]string{126: "126", 127: "127"}[code], "destroy"}, told(rec.of(id))); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("with --rm", func(t *testing.T) {
		mark := rec.mark()
		if _, err := e.Docker(t.Context(), "run", "--rm", "--network", "none", lab.Image, "no-such-program"); err == nil {
			t.Fatal("it ran")
		}
		x := rec.waitAfter(t, mark, "exit", func(o observe.Observation) bool { return o.Exit != nil }).Exit
		// Mostly the engine can be asked before it removes the container; if
		// not, the removal alone tells.
		if x.Error == "" || x.ExitCode != 127 && x.ExitCode != startFailed {
			t.Errorf("exit %s", toJSON(t, x))
		}
		rec.waitAfter(t, mark, "destroy", isAction(x.ID, "destroy"))
		if n := len(slices.DeleteFunc(rec.of(x.ID), func(o observe.Observation) bool { return o.Exit == nil })); n != 1 {
			t.Errorf("%d exits", n)
		}
	})
	t.Run("created and never started", func(t *testing.T) {
		id := e.MustDocker(t, "create", "--network", "none", lab.Image, "true")
		other := cause(t, e, "exec-missing")
		rec.wait(t, "exit", isExit(other))
		e.MustDocker(t, "rm", id)
		rec.wait(t, "destroy", isAction(id, "destroy"))
		if diff := cmp.Diff([]string{"create", "destroy"}, told(rec.of(id))); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
	})
}

func TestAutoRemovedContainerIsKnown(t *testing.T) {
	e, rec := followShared(t)
	id := e.MustRun(t, "--rm", "--name", "fleeting", "-m", "32m", "--label", "com.docker.compose.service=web", lab.Image, "sh", "-c", "echo so it ends; exit 4")
	d := rec.wait(t, "detail", isDetail(id)).Detail
	rec.wait(t, "destroy", isAction(id, "destroy"))
	if diff := cmp.Diff([]string{"create", "start", "die 4", "destroy"}, told(rec.of(id))); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if c := rec.wait(t, "container", isContainer(id)).Container; c.Name != "fleeting" || !c.AutoRemove || *c.MemoryLimit != 32<<20 || c.Compose.Service != "web" {
		t.Errorf("container %s", toJSON(t, c))
	}
	// There are milliseconds only: either the log was had, or it is said why not.
	if len(d.LogTail) == 0 && d.Problem == "" {
		t.Errorf("no log and no word why: %s", toJSON(t, d))
	}
}

func TestContainerIsMappedWhole(t *testing.T) {
	e, rec := followShared(t)
	id := e.MustRun(t, "--name", "whole", "-m", "64m", "--memory-swap", "96m", "--restart", "on-failure:5", "--stop-signal", "SIGQUIT", "--stop-timeout", "7",
		"-e", "TOKEN=s3cr3t-in-the-environment", "--label", "com.docker.compose.project=shop", "--label", "com.docker.compose.service=web",
		"--label", "io.kubernetes.pod.uid=0a1b2c3d-0000-4000-8000-0123456789ab", "--label", "io.kubernetes.pod.namespace=prod", "--label", "io.kubernetes.pod.name=web-0",
		"--label", "db.password=hunter2hunter2", "--label", "team=blue", lab.Image, "prog", "stubborn")
	started := rec.wait(t, "start", isAction(id, "start")).At
	// The answer to its creation may come late, and show it running too.
	c := rec.wait(t, "running container", func(o observe.Observation) bool {
		return o.Container != nil && o.Container.ID == id && !o.Container.AnswersStart.IsZero()
	}).Container
	pid, err := e.MainPID(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if c.PID != pid || c.StartedAt.After(started) || started.Sub(c.StartedAt) > time.Second {
		t.Errorf("pid %d, started %s; want pid %d, started just before %s", c.PID, c.StartedAt, pid, started)
	}
	if !c.AnswersStart.Equal(started) {
		t.Errorf("answers the start at %s, want %s", c.AnswersStart, started)
	}
	got := *c
	got.PID, got.StartedAt, got.AnswersStart = 0, time.Time{}, time.Time{}
	want := `{"id":"` + id + `","name":"whole","image":"lab/busybox:1","runtime":"docker","labels":{"com.docker.compose.project":"shop",` +
		`"com.docker.compose.service":"web","db.password":"[redacted]","io.kubernetes.pod.name":"web-0","io.kubernetes.pod.namespace":"prod",` +
		`"io.kubernetes.pod.uid":"0a1b2c3d-0000-4000-8000-0123456789ab","team":"blue"},"compose":{"project":"shop","service":"web"},` +
		`"pod":{"uid":"0a1b2c3d-0000-4000-8000-0123456789ab","namespace":"prod","name":"web-0"},"oom_killed_flag":false,"restart_count":0,` +
		`"restart_policy":"on-failure:5","running":true,"memory_limit_bytes":67108864,"swap_limit_bytes":100663296,"stop_signal":"SIGQUIT",` +
		`"stop_grace_seconds":7,"state":"running"}`
	if diff := cmp.Diff(want, toJSON(t, got)); diff != "" {
		t.Errorf("container (-want +got):\n%s", diff)
	}
	e.MustDocker(t, "kill", id)
	rec.wait(t, "detail", isDetail(id))
	if all := toJSON(t, rec.snapshot()); strings.Contains(all, "s3cr3t") || strings.Contains(all, "hunter2") {
		t.Error("a secret got out")
	}
	// No limits are no numbers.
	bare := e.MustRun(t, lab.Image, "true")
	b := rec.wait(t, "container", isContainer(bare)).Container
	if b.MemoryLimit != nil || b.SwapLimit != nil || b.StopGraceSecond != nil || b.Compose != nil || b.Pod != nil {
		t.Errorf("container without limits: %s", toJSON(t, b))
	}
}

// Of a health check its flips are heard, and not the execs that it is made of:
// on a busy host those are most of what the engine tells.
func TestHealthIsToldWithoutItsFlood(t *testing.T) {
	e := engine(t)
	reg := prometheus.NewRegistry()
	rec := follow(t, Options{Host: e.Host, Registerer: reg}, nil)
	rec.wait(t, "reconcile", isReconcile)
	// Well while the file is there.
	id := e.MustRun(t, "--name", "checked", "--health-cmd", "cat /tmp/well", "--health-interval", "200ms", "--health-retries", "2",
		lab.Image, "sh", "-c", "touch /tmp/well; while :; do sleep 1; done")
	rec.wait(t, "healthy", isAction(id, "health_status: healthy"))
	e.MustDocker(t, "exec", id, "rm", "/tmp/well")
	at := rec.wait(t, "unhealthy", isAction(id, "health_status: unhealthy")).At
	e.MustDocker(t, "kill", id)
	d := rec.wait(t, "detail", isDetail(id)).Detail
	if want := []string{"create", "start", "health_status: healthy", "health_status: unhealthy", "kill 9", "die 137"}; !slices.Equal(told(rec.of(id)), want) {
		t.Errorf("events %q, want %q", told(rec.of(id)), want)
	}
	h := d.Inspect.Health
	if h == nil || h.Status != "unhealthy" || h.FailingStreak < 2 || !strings.Contains(h.Output, "/tmp/well") || h.Since.Sub(at).Abs() > time.Second {
		t.Errorf("health after death %+v, unhealthy since %s", h, at)
	}
	all, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if f.GetName() == "oomwatch_docker_events_total" && (l.GetValue() == "other" || strings.HasPrefix(l.GetValue(), "exec")) {
					t.Errorf("%v events of %q came", m.GetCounter().GetValue(), l.GetValue())
				}
			}
		}
	}
	// The engine calls every container that has ended unhealthy.
	well := e.MustRun(t, "--health-cmd", "true", "--health-interval", "200ms", lab.Image, "prog", "stubborn")
	rec.wait(t, "healthy", isAction(well, "health_status: healthy"))
	e.MustDocker(t, "kill", well)
	if h := rec.wait(t, "detail", isDetail(well)).Detail.Inspect.Health; h == nil || h.Status != "healthy" {
		t.Errorf("a container that was well is %+v", h)
	}
}

func TestChangesAndRestart(t *testing.T) {
	e, rec := followShared(t)
	id := e.MustRun(t, "--name", "before", lab.Image, "prog", "polite")
	if err := e.WaitLog(t.Context(), id, "ready"); err != nil {
		t.Fatal(err)
	}
	e.MustDocker(t, "rename", "before", "after")
	rec.wait(t, "renamed container", func(o observe.Observation) bool {
		return o.Container != nil && o.Container.ID == id && o.Container.Name == "after"
	})
	e.MustDocker(t, "update", "--cpus", "0.5", id)
	rec.wait(t, "updated container", func(o observe.Observation) bool {
		return o.Container != nil && o.Container.ID == id && o.Container.CPUQuota == 0.5
	})
	e.MustDocker(t, "restart", "-t", "5", id)
	rec.wait(t, "restart", isAction(id, "restart"))
	e.MustDocker(t, "pause", id)
	e.MustDocker(t, "unpause", id)
	rec.wait(t, "unpause", isAction(id, "unpause"))
	want := []string{"create", "start", "rename", "update", "kill 15", "die 0", "stop", "start", "restart", "pause", "unpause"}
	if diff := cmp.Diff(want, told(rec.of(id))); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestRestartPolicyMakesGenerations(t *testing.T) {
	e, rec := followShared(t)
	id := e.MustRun(t, "--restart", "on-failure:2", lab.Image, "sh", "-c", "echo dying; exit 4")
	deadline := time.Now().Add(30 * time.Second)
	count := func(fits func(observe.Observation) bool) (n int) {
		for _, o := range rec.of(id) {
			if fits(o) {
				n++
			}
		}
		return n
	}
	for count(isDetail(id)) < 3 && time.Now().Before(deadline) {
		time.Sleep(20 * time.Millisecond)
	}
	want := []string{"create", "start", "die 4", "start", "die 4", "start", "die 4"}
	if diff := cmp.Diff(want, told(rec.of(id))); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	var starts []time.Time
	for _, o := range rec.of(id) {
		if o.Container != nil && !o.Container.StartedAt.IsZero() {
			starts = append(starts, o.Container.StartedAt)
		}
	}
	slices.SortFunc(starts, time.Time.Compare)
	if starts = slices.CompactFunc(starts, time.Time.Equal); len(starts) != 3 {
		t.Errorf("starts %v, want 3 different ones", starts)
	}
}

// A label named like an attribute of an event hides it; the exit code comes
// from inspect then, and the signal is not known.
func TestLabelsCannotLie(t *testing.T) {
	e, rec := followShared(t)
	id := e.MustRun(t, "--label", "exitCode=0", "--label", "signal=15", "--label", "name=liar", lab.Image, "prog", "stubborn")
	if err := e.WaitLog(t.Context(), id, "ready"); err != nil {
		t.Fatal(err)
	}
	e.MustDocker(t, "kill", id)
	rec.wait(t, "detail", isDetail(id))
	if diff := cmp.Diff([]string{"create", "start", "kill 0", "die 137"}, told(rec.of(id))); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestLogTail(t *testing.T) {
	e, rec := followShared(t)
	// The engine reads stdout and stderr apart: only time puts them in order.
	const script = `i=0; while [ $i -lt 30 ]; do echo "out $i"; i=$((i+1)); done; sleep 0.3; echo "err: \033[31mred" >&2; echo "password=hunter2hunter2" >&2; sleep 0.3; printf unfinished; exit 5`
	for name, flags := range map[string][]string{"plain": nil, "terminal": {"-t"}} {
		t.Run(name, func(t *testing.T) {
			id := e.MustRun(t, append(flags, lab.Image, "sh", "-c", script)...)
			d := rec.wait(t, "detail", isDetail(id)).Detail
			if len(d.LogTail) != logLines {
				t.Fatalf("%d lines: %q", len(d.LogTail), d.LogTail)
			}
			all := strings.Join(d.LogTail, "\n")
			for _, want := range []string{"out 29", "unfinished", "red"} {
				if !strings.Contains(all, want) {
					t.Errorf("%q is missing in %q", want, d.LogTail)
				}
			}
			if strings.Contains(all, "hunter2") || strings.ContainsAny(all, "\x1b\r") {
				t.Errorf("not redacted or not safe: %q", d.LogTail)
			}
		})
	}
	t.Run("no log", func(t *testing.T) {
		id := e.MustRun(t, "--log-driver", "none", lab.Image, "sh", "-c", "echo lost; exit 5")
		d := rec.wait(t, "detail", isDetail(id)).Detail
		if d.LogTail != nil || !strings.Contains(d.Problem, "does not support reading") {
			t.Errorf("detail %s", toJSON(t, d))
		}
	})
	t.Run("switched off", func(t *testing.T) {
		off := follow(t, Options{Host: e.Host}, nil)
		off.wait(t, "reconcile", isReconcile)
		id := cause(t, e, "exit3")
		d := off.wait(t, "detail", isDetail(id)).Detail
		if d.LogTail != nil || d.Problem != "" || d.Inspect == nil {
			t.Errorf("detail %s", toJSON(t, d))
		}
	})
}
