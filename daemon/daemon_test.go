package daemon

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/config"
	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/kmsg"
	"github.com/oomwatch/oomwatch/store"
	"github.com/oomwatch/oomwatch/test/harness"
	"github.com/oomwatch/oomwatch/test/real"
	"github.com/oomwatch/oomwatch/verdict"
	"github.com/oomwatch/oomwatch/web"
)

// TestRunsInProcess starts the daemon twice in this process, on one store: what is owed
// is sent once, a reload is put into force, and after each end no goroutine, no file and
// no socket is left.
func TestRunsInProcess(t *testing.T) {
	if r, err := kmsg.OpenReader(kmsg.ReaderOptions{}); err != nil {
		real.Missing(t, "%v", err) // the one source of deaths that this test can count on
	} else {
		r.Close()
	}
	got := make(chan string, 10)
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body) // what is cut off is not what the test looks for
		got <- string(body)
	}))
	defer hook.Close()
	dir := t.TempDir()
	load := func() (*config.Config, []string, error) {
		cfg := config.Default()
		cfg.Store.Path, cfg.Socket, cfg.Listen = filepath.Join(dir, "o.db"), filepath.Join(dir, "s.sock"), "127.0.0.1:0"
		cfg.Docker.Host = config.DockerHost("unix://" + filepath.Join(dir, "no-docker.sock"))
		cfg.Receivers = []config.Receiver{{Name: "hook", Type: "webhook", URL: config.Secret(hook.URL)}}
		return cfg, []string{"a warning of the reader"}, nil
	}
	owed := oweOne(t, filepath.Join(dir, "o.db"), "hook")
	http.DefaultClient.CloseIdleConnections()
	goroutines, files := runtime.NumGoroutine(), openFiles(t)

	for round := range 2 {
		cfg, warnings, _ := load()
		var log harness.Buffer
		hangups := make(chan os.Signal)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			ended <- New(cfg, Options{Warnings: warnings, Load: load, Hangups: hangups, Stderr: &log}).Run(ctx)
		}()
		client := web.NewClient(cfg.Socket)
		eventually(t, "it is ready", func() bool {
			st, err := client.Status(ctx)
			return err == nil && st.Ready && st.Alive
		})
		if round == 0 {
			select {
			case body := <-got:
				if !strings.Contains(body, owed.ID) {
					t.Errorf("sent %s", body)
				}
			case <-time.After(10 * time.Second):
				t.Error("what was owed is not sent")
			}
		}
		hangups <- syscall.SIGHUP
		eventually(t, "the reload", func() bool { return strings.Contains(log.String(), "the new configuration is in force") })
		began := time.Now()
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("it ended with %v", err)
			}
		case <-time.After(endWithin + 5*time.Second):
			t.Fatalf("it does not end\n%s", log.String())
		}
		if d := time.Since(began); d > endWithin {
			t.Errorf("it took %s to end", d)
		}
		if _, err := os.Stat(cfg.Socket); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the socket is still there: %v", err)
		}
		if !strings.Contains(log.String(), "a warning of the reader") {
			t.Error("the configuration's warnings are not logged")
		}
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
		eventually(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= goroutines })
		eventually(t, "no file is left open", func() bool { return openFiles(t) <= files })
		if t.Failed() {
			stacks := make([]byte, 1<<20)
			t.Fatalf("round %d: %d goroutines, %d before; %d files, %d before\n%s\n%s", round, runtime.NumGoroutine(), goroutines,
				openFiles(t), files, log.String(), stacks[:runtime.Stack(stacks, true)])
		}
	}
	if len(got) != 0 {
		t.Errorf("sent again: %s", <-got)
	}
}

// TestRunEndsWhereItCannotBegin: what was opened before the failure is closed.
func TestRunEndsWhereItCannotBegin(t *testing.T) {
	dir := t.TempDir()
	taken := httptest.NewServer(http.NotFoundHandler())
	defer taken.Close()
	cfg := config.Default()
	cfg.Store.Path, cfg.Socket = filepath.Join(dir, "o.db"), filepath.Join(dir, "s.sock")
	cfg.Listen = config.ListenAddr(strings.TrimPrefix(taken.URL, "http://"))
	cfg.Docker.Host = config.DockerHost("unix://" + filepath.Join(dir, "no-docker.sock"))
	goroutines := runtime.NumGoroutine()
	for range 2 { // the second finds the store's lock free
		err := New(cfg, Options{}).Run(t.Context())
		if err == nil || !strings.Contains(err.Error(), "give another address with --listen") {
			t.Errorf("%v", err)
		}
	}
	eventually(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= goroutines })
}

// oweOne puts an incident into a store, owed to a receiver.
func oweOne(t *testing.T, path, receiver string) *incident.Incident {
	t.Helper()
	st := openTestStore(t, path)
	defer st.Close()
	inc := verdict.Sample(time.Now(), incident.Host{Name: "test"})
	if _, err := st.Save(t.Context(), store.Batch{Entries: []store.Entry{{Incident: inc, Receivers: []string{receiver}}}}); err != nil {
		t.Fatal(err)
	}
	return inc
}

// openFiles counts the files that this process has open.
func openFiles(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// eventually waits for what comes by itself.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Errorf("%s: it did not come", what)
			return
		}
	}
}
