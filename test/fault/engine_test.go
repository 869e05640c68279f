//go:build fault

package fault

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// engine speaks as much of the Docker API as the daemon asks for. Its containers
// end with status 3 as often as it is told to. Like a real engine it replays the
// last 256 events and forgets a removed container.
type engine struct {
	host string

	mu      sync.Mutex
	n       int
	died    []string // ids of all that ended, in order
	known   []*box   // what is not removed yet
	events  []event
	waiting map[chan struct{}]bool // woken at every event
	labels  map[string]string      // of each container
	noEnd   bool                   // /version never ends
}

// box is a container.
type box struct {
	id, name          string
	started, finished time.Time
}

type event struct {
	line string
	nano int64
}

const (
	replayed = 256
	// removedAfter is how long an ended container can be asked for: long enough
	// that a restart finds it.
	removedAfter = time.Minute
)

func newEngine(t testing.TB) *engine {
	t.Helper()
	path := filepath.Join(t.TempDir(), "d.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	e := &engine{host: "unix://" + path, waiting: map[chan struct{}]bool{}, labels: map[string]string{}}
	srv := &http.Server{Handler: e}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.Serve(l) // ends with Close
	}()
	t.Cleanup(func() {
		_ = srv.Close()
		<-done
	})
	return e
}

// endless has /version never end, or end.
func (e *engine) endless(on bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.noEnd = on
}

// die makes a container of a name of its own run and end, and returns its id.
func (e *engine) die() string { return e.dieAs("") }

// dieAs is die for a container with this name.
func (e *engine) dieAs(name string) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.n++
	now := time.Now()
	if name == "" {
		name = fmt.Sprintf("box-%d", e.n)
	}
	b := &box{id: fmt.Sprintf("%064x", 0xfa0000000000+e.n), name: name, started: now.Add(-time.Second), finished: now}
	for len(e.known) > 0 && now.Sub(e.known[0].finished) > removedAfter {
		e.emit(e.known[0], "destroy", now, nil)
		e.known = e.known[1:]
	}
	e.known = append(e.known, b)
	e.died = append(e.died, b.id)
	e.emit(b, "create", b.started, nil)
	e.emit(b, "start", b.started, nil)
	e.emit(b, "die", b.finished, map[string]string{"exitCode": "3"})
	for c := range e.waiting {
		select {
		case c <- struct{}{}:
		default:
		}
	}
	return b.id
}

// ends are the ids of all that ended.
func (e *engine) ends() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.died)
}

// emit notes an event; e.mu is held.
func (e *engine) emit(b *box, action string, at time.Time, more map[string]string) {
	attrs := map[string]string{"name": b.name, "image": "fault/box:1"}
	for k, v := range more {
		attrs[k] = v
	}
	line, err := json.Marshal(map[string]any{"Type": "container", "Action": action, "Actor": map[string]any{"ID": b.id, "Attributes": attrs},
		"time": at.Unix(), "timeNano": at.UnixNano()})
	if err != nil {
		panic(err)
	}
	e.events = append(e.events, event{string(line) + "\n", at.UnixNano()})
}

// ServeHTTP implements http.Handler.
func (e *engine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p := r.URL.Path
	if strings.HasPrefix(p, "/v1.") {
		p = p[strings.Index(p[1:], "/")+1:]
	}
	w.Header().Set("Api-Version", "1.47")
	id, isInspect := strings.CutSuffix(strings.TrimPrefix(p, "/containers/"), "/json")
	switch {
	case p == "/_ping":
		fmt.Fprint(w, "OK")
	case p == "/version" && e.isEndless():
		endlessly(w)
	case p == "/version":
		reply(w, http.StatusOK, map[string]string{"Version": "27.0.0", "ApiVersion": "1.47", "MinAPIVersion": "1.24"})
	case p == "/info":
		reply(w, http.StatusOK, map[string]string{"ServerVersion": "27.0.0", "CgroupDriver": "cgroupfs", "CgroupVersion": "1"})
	case p == "/containers/json":
		reply(w, http.StatusOK, e.list())
	case p == "/events":
		e.stream(w, r)
	case isInspect:
		if b := e.find(id); b != nil {
			reply(w, http.StatusOK, b.inspect(e.labels))
			return
		}
		fallthrough
	default:
		reply(w, http.StatusNotFound, map[string]string{"message": "no such container"})
	}
}

func (e *engine) isEndless() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.noEnd
}

func reply(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v) // the client sees what arrives
}

func (e *engine) list() []map[string]any {
	e.mu.Lock()
	defer e.mu.Unlock()
	out := []map[string]any{}
	for _, b := range e.known {
		out = append(out, map[string]any{"Id": b.id, "Names": []string{"/" + b.name}, "Image": "fault/box:1", "State": "exited", "Status": "Exited (3)",
			"Created": b.started.Unix(), "Labels": e.labels})
	}
	return out
}

func (e *engine) find(id string) *box {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, b := range e.known {
		if b.id == id {
			return b
		}
	}
	return nil
}

func (b *box) inspect(labels map[string]string) map[string]any {
	stamp := func(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
	return map[string]any{
		"Id": b.id, "Name": "/" + b.name, "Created": stamp(b.started), "Image": "sha256:0", "RestartCount": 0,
		"State":      map[string]any{"Status": "exited", "Running": false, "ExitCode": 3, "StartedAt": stamp(b.started), "FinishedAt": stamp(b.finished)},
		"Config":     map[string]any{"Image": "fault/box:1", "Labels": labels},
		"HostConfig": map[string]any{"RestartPolicy": map[string]any{"Name": "no"}, "LogConfig": map[string]any{"Type": "none"}},
	}
}

// stream sends events from since on, and then as they come.
func (e *engine) stream(w http.ResponseWriter, r *http.Request) {
	var since int64
	if s := r.URL.Query().Get("since"); s != "" {
		sec, frac, _ := strings.Cut(s, ".")
		a, _ := strconv.ParseInt(sec, 10, 64)
		b, _ := strconv.ParseInt((frac + "000000000")[:9], 10, 64)
		since = a*1e9 + b
	}
	wake := make(chan struct{}, 1)
	e.mu.Lock()
	e.waiting[wake] = true
	at := max(0, len(e.events)-replayed)
	e.mu.Unlock()
	defer func() {
		e.mu.Lock()
		delete(e.waiting, wake)
		e.mu.Unlock()
	}()
	w.WriteHeader(http.StatusOK)
	for {
		e.mu.Lock()
		next := slices.Clone(e.events[at:])
		at += len(next)
		e.mu.Unlock()
		for _, ev := range next {
			if ev.nano < since {
				continue
			}
			if _, err := io.WriteString(w, ev.line); err != nil {
				return
			}
		}
		w.(http.Flusher).Flush()
		select {
		case <-r.Context().Done():
			return
		case <-wake:
		}
	}
}
