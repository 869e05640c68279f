package docker

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/observe"
	"github.com/oomwatch/oomwatch/test/lab"
	"github.com/oomwatch/oomwatch/test/real"
)

// An engine that comes, is restarted and is killed, with containers that live
// through it and die meanwhile.
func TestEngineComesAndGoes(t *testing.T) {
	if err := lab.Missing(); err != nil {
		real.Missing(t, "%v", err)
	}
	dir := filepath.Join(t.TempDir(), "engine")
	host := "unix://" + filepath.Join(dir, "docker.sock")
	rec := follow(t, Options{Host: host}, nil)
	down := rec.wait(t, "word that it is down", isDown).Source
	if !strings.Contains(down.Reason, "there is no socket at "+dir) || !strings.Contains(down.Fix, "systemctl start docker") {
		t.Errorf("down: %+v", down)
	}

	e := lab.Start(t, lab.Options{Dir: dir, LiveRestore: true})
	rec.wait(t, "word that it is up", isUp)
	first := rec.wait(t, "reconcile", isReconcile)
	if len(first.List.Containers) != 0 {
		t.Errorf("first list: %s", toJSON(t, first))
	}
	if h := rec.wait(t, "host", func(o observe.Observation) bool { return o.Host != nil }).Host; !strings.HasPrefix(h.Engine, "docker ") {
		t.Errorf("host %+v", h)
	}
	dies := e.MustRun(t, "--name", "dies-meanwhile", lab.Image, "sleep", "1000")
	lives := e.MustRun(t, "--name", "lives-on", lab.Image, "sleep", "1000")
	for _, id := range []string{dies, lives} {
		rec.wait(t, "start", isAction(id, "start"))
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var goes string

	for _, how := range []struct {
		name string
		down func() error
	}{{"restart", e.Down}, {"kill", e.Kill}} {
		var pids []int
		if how.name == "kill" {
			goes = e.MustRun(t, "--name", "goes-meanwhile", "--rm", lab.Image, "sleep", "1000")
			rec.wait(t, "start", isAction(goes, "start"))
			for _, id := range []string{dies, goes} {
				pid, err := e.MainPID(ctx, id)
				if err != nil {
					t.Fatal(err)
				}
				pids = append(pids, pid)
			}
		}
		mark := rec.mark()
		if err := how.down(); err != nil {
			t.Fatal(err)
		}
		rec.waitAfter(t, mark, how.name+": word that it is down", isDown)
		for _, pid := range pids {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
		}
		if err := e.Up(ctx); err != nil {
			t.Fatal(err)
		}
		rec.waitAfter(t, mark, how.name+": word that it is up again", isUp)
		list := rec.waitAfter(t, mark, how.name+": reconcile", isReconcile).List
		state := map[string]observe.Container{}
		for _, c := range list.Containers {
			state[c.ID] = c
		}
		if c := state[lives]; c.State != "running" || c.PID == 0 || c.Exit != nil {
			t.Errorf("%s: lives-on: %s", how.name, toJSON(t, c))
		}
		c := state[dies]
		if how.name == "restart" {
			if c.State != "running" {
				t.Errorf("restart: dies-meanwhile: %s", toJSON(t, c))
			}
			continue
		}
		// Nobody tells an event of it: only the list has the death.
		if c.Exit == nil || c.Exit.ExitCode != 137 || c.Exit.FinishedAt.IsZero() || c.Exit.OOMKilled {
			t.Errorf("kill: dies-meanwhile: %s", toJSON(t, c))
		}
		if _, ok := state[goes]; ok {
			t.Errorf("kill: goes-meanwhile is still listed: %s", toJSON(t, state[goes]))
		}
	}
	// What the engine repeated was told once.
	got := told(rec.of(lives))
	if want := []string{"create", "start"}; !slices.Equal(got, want) {
		t.Errorf("lives-on: %q, want %q", got, want)
	}
}

// An engine that is stopped in its tracks has its socket and its stream open.
func TestFrozenEngineIsNoticed(t *testing.T) {
	e := lab.Start(t, lab.Options{})
	rec := follow(t, Options{Host: e.Host}, func(p *pace) { p.ping, p.pingWait = 200*time.Millisecond, 500*time.Millisecond })
	rec.wait(t, "reconcile", isReconcile)
	id := e.MustRun(t, lab.Image, "sleep", "1000")
	pid, err := e.MainPID(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	mark := rec.mark()
	if err := e.Freeze(); err != nil {
		t.Fatal(err)
	}
	down := rec.waitAfter(t, mark, "word that it is down", isDown).Source
	if !strings.Contains(down.Reason, "docker does not answer") || down.Fix == "" {
		t.Errorf("down: %+v", down)
	}
	// A source that begins now says so, too.
	late := follow(t, Options{Host: e.Host}, func(p *pace) { p.pingWait = 500 * time.Millisecond })
	if s := late.wait(t, "word that it is down", isDown).Source; !strings.Contains(s.Reason, "does not answer") {
		t.Errorf("late source: %+v", s)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := e.Thaw(); err != nil {
		t.Fatal(err)
	}
	rec.waitAfter(t, mark, "word that it is up", isUp)
	rec.waitAfter(t, mark, "reconcile", isReconcile)
	late.wait(t, "word that it is up", isUp)
	// The death is told with the time the engine got to it; inspect has the true one.
	d := rec.waitAfter(t, mark, "detail", isDetail(id)).Detail
	if d.Inspect == nil || d.Inspect.FinishedAt.After(d.DiedAt) {
		t.Errorf("detail %s", toJSON(t, d))
	}
}

// After a restart of ours the engine is asked to repeat what came since.
func TestSinceIsRepeatedOnce(t *testing.T) {
	e, rec := followShared(t)
	before := cause(t, e, "exit3")
	x := rec.wait(t, "exit", isExit(before))
	cursor := rec.wait(t, "cursor over the exit", func(o observe.Observation) bool { return o.Cursor != nil && !o.At.Before(x.At) })
	since, err := time.Parse(time.RFC3339Nano, cursor.Cursor.Value)
	if err != nil || cursor.Cursor.Source != SourceName {
		t.Fatalf("cursor %+v: %v", cursor.Cursor, err)
	}
	missed := cause(t, e, "exit137")
	again := follow(t, Options{Host: e.Host, Since: since}, nil)
	again.wait(t, "detail", isDetail(missed))
	list := again.wait(t, "reconcile", isReconcile).List
	if got, want := told(again.of(missed)), []string{"create", "start", "die 137"}; !slices.Equal(got, want) {
		t.Errorf("missed events: %q, want %q", got, want)
	}
	// The list agrees with the events, in whichever order they came.
	i := slices.IndexFunc(list.Containers, func(c observe.Container) bool { return c.ID == missed })
	if i < 0 || list.Containers[i].Exit == nil || list.Containers[i].Exit.ExitCode != 137 {
		t.Error("the list lacks the death")
	}
}

func TestReasonsAndFixes(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file.sock")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	deaf := filepath.Join(dir, "deaf.sock")
	l, err := net.Listen("unix", deaf)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ host, reason, fix string }{
		{"unix://" + dir + "/none.sock", "there is no socket at", "systemctl start docker"},
		{"unix://" + file, "is not a socket", "mount the engine's socket itself"},
		{"unix://" + deaf, "nobody listens on", "systemctl start docker"},
		{"tcp://127.0.0.1:1", "cannot connect to tcp://127.0.0.1:1", "check host and port"},
	} {
		rec := follow(t, Options{Host: tt.host}, nil)
		got := rec.wait(t, "word that it is down", isDown).Source
		if !strings.Contains(got.Reason, tt.reason) || !strings.Contains(got.Fix, tt.fix) {
			t.Errorf("%s: %+v", tt.host, got)
		}
		checks := Probe(t.Context(), tt.host)
		last := checks[len(checks)-1]
		if last.Name != "ping" || last.OK || last.Error != got.Reason || last.Fix != got.Fix {
			t.Errorf("%s: probe %+v", tt.host, checks)
		}
	}
}

func TestPermissionDenied(t *testing.T) {
	if os.Geteuid() != 0 {
		real.Missing(t, "needs root, to become somebody who may not")
	}
	// Not t.TempDir: its parents shut others out.
	dir, err := os.MkdirTemp("/tmp", "oomwatch-denied-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "docker.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := errors.Join(os.Chmod(path, 0o600), os.Chmod(dir, 0o755)); err != nil {
		t.Fatal(err)
	}
	ep, err := parseHost("unix://"+path, "test")
	if err != nil {
		t.Fatal(err)
	}
	try := func() *trouble {
		got := make(chan *trouble)
		go func() {
			// The thread is not given back, so that nobody else is this user.
			runtime.LockOSThread()
			if _, _, e := syscall.RawSyscall(syscall.SYS_SETRESUID, ^uintptr(0), 65534, ^uintptr(0)); e != 0 {
				got <- &trouble{reason: "become nobody: " + e.Error()}
				return
			}
			got <- diagnoseSocket(ep)
		}()
		return <-got
	}
	if tr := try(); tr == nil || !strings.Contains(tr.reason, "permission denied on "+path) || !strings.Contains(tr.fix, "usermod -aG docker") {
		t.Errorf("socket: %+v", tr)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if tr := try(); tr == nil || !strings.Contains(tr.reason, "permission denied on the way to") || tr.fix == "" {
		t.Errorf("directory: %+v", tr)
	}
}

func TestHosts(t *testing.T) {
	for _, tt := range []struct{ host, want string }{
		{"foo", `"foo" is no address of an engine: write unix:///var/run/docker.sock or tcp://HOST:PORT`},
		{"unix://", "is no address of an engine"},
		{"unix://run/docker.sock", "is not an absolute path"},
		{"tcp://host", "has no host and port"},
		{"ssh://me@host", "forward the socket"},
		{"npipe:////./pipe/docker_engine", `unknown scheme "npipe"`},
	} {
		t.Setenv("DOCKER_HOST", tt.host)
		for _, opts := range []Options{{Host: tt.host}, {}} {
			if _, err := New(opts); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%q: error %v, want %q in it", tt.host, err, tt.want)
			}
		}
	}
	t.Setenv("DOCKER_HOST", "tcp://engine:2375/proxy/")
	ep, err := findHost("")
	if err != nil || ep.addr != "engine:2375" || ep.base != "/proxy" {
		t.Errorf("tcp: %+v %v", ep, err)
	}
	t.Setenv("DOCKER_HOST", "")
	dir := t.TempDir()
	t.Setenv("XDG_RUNTIME_DIR", dir)
	if _, err := os.Stat("/var/run/docker.sock"); err != nil {
		if err := os.WriteFile(filepath.Join(dir, "docker.sock"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if ep, err := findHost(""); err != nil || ep.addr != filepath.Join(dir, "docker.sock") {
			t.Errorf("rootless: %+v %v", ep, err)
		}
	}
	if _, err := New(Options{Host: "unix:///x", LogLines: -1}); err == nil {
		t.Error("negative log lines are taken")
	}
}
