//go:build fault

package fault

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/store"
	"github.com/oomwatch/oomwatch/test/harness"
	"github.com/oomwatch/oomwatch/test/lab"
	"github.com/oomwatch/oomwatch/watcher/kernlog"
	"github.com/oomwatch/oomwatch/web"
)

var program string

func TestMain(m *testing.M) {
	if addr := os.Getenv(crowdEnv); addr != "" {
		if err := crowd(addr); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	dir, err := os.MkdirTemp("", "oomwatch-fault-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	program = filepath.Join(dir, "oomwatch")
	build := exec.Command("go", "build", "-tags", "fault", "-o", program, "github.com/oomwatch/oomwatch/cmd/oomwatch")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "build oomwatch:", err)
		os.Exit(1)
	}
	code := m.Run()
	if file := os.Getenv(TableEnv); file != "" && code == 0 {
		if err := writeTable(file); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.RemoveAll(dir)
	os.Exit(code)
}

// hook is a webhook receiver that counts how often it was told of what.
type hook struct {
	*httptest.Server
	mu      sync.Mutex
	told    map[string]int       // container id → messages
	first   map[string]time.Time // container id → when its first message came
	ids     map[string]string    // webhook-id → what it was told of first
	unsaved int                  // messages that say that they are not stored
	self    map[string]int       // self-reports by what, over or not
	bad     []string
	fail    func() bool // says whether a request is refused with 500
}

func newHook(t testing.TB) *hook {
	h := &hook{told: map[string]int{}, first: map[string]time.Time{}, ids: map[string]string{}, self: map[string]int{}}
	h.Server = httptest.NewServer(h)
	t.Cleanup(h.Close)
	return h
}

// ServeHTTP implements http.Handler.
func (h *hook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.fail != nil && h.fail() {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	var inc incident.Incident
	if err != nil || json.Unmarshal(body, &inc) != nil {
		return // it broke off: the daemon was killed
	}
	what := inc.ID
	if inc.Container != nil {
		what = inc.Container.ID
		if h.told[what] == 0 {
			h.first[what] = time.Now()
		}
		h.told[what]++
	}
	if inc.Warning != nil && inc.Warning.Self {
		word := inc.Warning.What
		if !inc.ResolvedAt.IsZero() {
			word += " over"
		}
		h.self[word]++
	}
	if inc.NotStored != "" {
		h.unsaved++
	}
	id := r.Header.Get("webhook-id")
	if was, ok := h.ids[id]; ok && was != what {
		h.bad = append(h.bad, fmt.Sprintf("%s tells of %s and of %s", id, was, what))
	}
	h.ids[id] = what
	w.WriteHeader(http.StatusNoContent)
}

// heard is how many of these containers it was told of.
func (h *hook) heard(ids []string) (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, id := range ids {
		if h.told[id] > 0 {
			n++
		}
	}
	return n
}

// failing has it refuse requests with 500 where fail says so; nil ends that.
func (h *hook) failing(fail func() bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fail = fail
}

// when is when it was told of a container first.
func (h *hook) when(id string) time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.first[id]
}

// notStored is how many messages say that they are not stored.
func (h *hook) notStored() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.unsaved
}

// selfReports is how often a self-report of this kind came.
func (h *hook) selfReports(what string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.self[what]
}

// world is an engine, two receivers and a daemon between them.
type world struct {
	*engine
	dir   string
	store string
	hooks []*hook

	// What a daemon is started with besides: where its page is, its cgroup, variables.
	listen, group string
	env           []string
}

func newWorld(t testing.TB) *world {
	t.Helper()
	dir := t.TempDir()
	w := &world{engine: newEngine(t), dir: dir, store: filepath.Join(dir, "state", "o.db"), hooks: []*hook{newHook(t), newHook(t)}, listen: "off"}
	conf := "alerts: {group_window: 0s, storm_per_minute: 1000000, budget: 1000000}\nwarnings: {enabled: false}\nreceivers:\n"
	for i, h := range w.hooks {
		conf += fmt.Sprintf("  - {name: hook%d, type: webhook, url: '%s', causes: [exit.error, unknown]}\n", i, h.URL)
	}
	if err := os.WriteFile(filepath.Join(dir, "c.yaml"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	return w
}

// daemon is one life of it.
type daemon struct{ *harness.Daemon }

// start starts the daemon; crash is "" or "POINT:N".
func (w *world) start(t testing.TB, crash string) *daemon {
	t.Helper()
	args := []string{program, "run", "--config", filepath.Join(w.dir, "c.yaml"), "--store", w.store, "--socket", w.socket(),
		"--listen", w.listen, "--docker", w.host, "--log-format", "json"}
	if w.group != "" {
		args = append(lab.In(w.group), args...)
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(append(os.Environ(), "OOMWATCH_CRASH="+crash), w.env...)
	return &daemon{harness.Launch(t, cmd, w.socket())}
}

func (w *world) socket() string { return filepath.Join(w.dir, "s.sock") }

// ready waits until the daemon answers and follows the engine.
func (w *world) ready(t testing.TB, d *daemon) {
	t.Helper()
	w.until(t, 30*time.Second, "the daemon is not ready", func() bool {
		select {
		case <-d.Done:
			t.Fatalf("it ended: %v\n%s", d.ProcessState, d.Err.String())
		default:
		}
		st, err := web.NewClient(w.socket()).Status(context.Background())
		if err != nil {
			return false
		}
		for _, s := range st.Sources {
			if s.Name == "docker" && s.Up {
				return true
			}
		}
		return false
	})
}

// until waits for something.
func (w *world) until(t testing.TB, wait time.Duration, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(lab.Slow(wait)); !f(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			out, _ := exec.Command(program, "notify", "status", "--socket", w.socket()).CombinedOutput() // to know more
			t.Fatalf("%s\n%s", what, out)
		}
	}
}

// end ends a daemon in order.
func (d *daemon) end(t testing.TB) {
	t.Helper()
	_ = d.Process.Signal(syscall.SIGTERM) // where it has ended, that is seen below
	select {
	case <-d.Done:
	case <-time.After(lab.Slow(15 * time.Second)):
		t.Fatal("it does not end")
	}
	if code := d.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit status %d\n%s", code, d.Err.String())
	}
}

// position is how far the sources had been read when the daemon was last alive.
type position struct {
	docker time.Time
	boot   string
	seq    uint64
}

// at reads it from the store, which nobody has open.
func (w *world) at(t testing.TB) (p position) {
	t.Helper()
	st, err := store.Open(context.Background(), store.Options{Path: w.store, ReadOnly: true})
	if err != nil {
		return p // not made yet
	}
	defer st.Close()
	state, err := st.State(context.Background())
	if err != nil {
		t.Fatalf("the store cannot be read: %v", err)
	}
	if c := state["cursor/docker"]; c != nil {
		if p.docker, err = time.Parse(time.RFC3339Nano, string(c)); err != nil {
			t.Fatal(err)
		}
	}
	if c := state["cursor/kmsg"]; c != nil {
		at, err := kernlog.ParsePosition(string(c))
		if err != nil {
			t.Fatal(err)
		}
		p.boot, p.seq = at.BootID, at.Seq
	}
	return p
}

// before says whether p is an earlier position than q.
func (p position) before(q position) bool {
	return p.docker.Before(q.docker) || p.boot == q.boot && p.seq < q.seq
}

// settle runs the daemon until everybody was told of everything. What was missed is
// found by inspecting every container, at a measured pace: it may take long, but not
// a minute without anything new.
func (w *world) settle(t testing.TB) {
	t.Helper()
	d := w.start(t, "")
	all := w.ends()
	for i, h := range w.hooks {
		for n := h.heard(all); n < len(all); {
			was := n
			w.until(t, time.Minute, fmt.Sprintf("hook%d was told of %d of %d, and of no more", i, n, len(all)), func() bool { n = h.heard(all); return n > was })
		}
	}
	w.until(t, 2*time.Minute, "something is still owed", func() bool {
		st, err := web.NewClient(w.socket()).Status(context.Background())
		if err != nil || len(st.Deliveries) < len(w.hooks) {
			return false
		}
		for _, a := range st.Deliveries {
			if a.Pending > 0 {
				return false
			}
		}
		return true
	})
	d.end(t)
}

// account holds what was told to what happened: everything at least once, at most
// one repeat for each kill and receiver, and the store's account to its sum.
func (w *world) account(t testing.TB, kills int) {
	t.Helper()
	all := w.ends()
	for i, h := range w.hooks {
		h.mu.Lock()
		missed, repeats := 0, 0
		for _, id := range all {
			if h.told[id] == 0 {
				missed++
			} else {
				repeats += h.told[id] - 1
			}
		}
		for _, s := range h.bad {
			t.Error(s)
		}
		if missed > 0 || repeats > kills {
			t.Errorf("hook%d: of %d incidents %d missed; %d repeats after %d kills", i, len(all), missed, repeats, kills)
		}
		t.Logf("hook%d: %d incidents, %d kills, %d missed, %d repeats", i, len(all), kills, missed, repeats)
		h.mu.Unlock()
	}
	st, err := store.Open(context.Background(), store.Options{Path: w.store, ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	accounts, err := st.Accounts(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range accounts {
		if a.Lost != 0 || a.Pending != 0 || a.Parked != 0 || a.Generated != a.Delivered || a.Generated < int64(len(all)) {
			t.Errorf("the account of %s: %+v, for %d incidents", a.Receiver, a, len(all))
		}
		t.Logf("%s: generated %d = delivered %d + parked %d + pending %d", a.Receiver, a.Generated, a.Delivered, a.Parked, a.Pending)
	}
}

// rounds is how many rounds are run: all, or OOMWATCH_FAULT_PERCENT of them.
func rounds(t testing.TB, all int) int {
	t.Helper()
	s := os.Getenv("OOMWATCH_FAULT_PERCENT")
	if s == "" {
		return all
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > 100 {
		t.Fatalf("OOMWATCH_FAULT_PERCENT=%s is not from 1 to 100", s)
	}
	return max(1, all*n/100)
}
