package docker

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/observe"
	"github.com/oomwatch/oomwatch/test/lab"
	"github.com/prometheus/client_golang/prometheus"
)

// renamer renames a container to and fro over the API itself, for the docker
// command takes far longer than the call.
type renamer struct {
	c  *http.Client
	id string
	n  int
}

func newRenamer(t testing.TB, e *lab.Engine) *renamer {
	t.Helper()
	id := e.MustDocker(t, "create", "--network", "none", lab.Image, "true")
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		_, _ = e.Docker(ctx, "rm", id) // the engine goes anyway
	})
	tr := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", e.Socket())
	}}
	t.Cleanup(tr.CloseIdleConnections)
	return &renamer{c: &http.Client{Transport: tr, Timeout: 10 * time.Second}, id: id}
}

func (r *renamer) rename(t testing.TB) {
	r.n++
	resp, err := r.c.Post(fmt.Sprintf("http://engine/containers/%s/rename?name=slow-%.8s-%d", r.id, r.id, r.n), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		t.Fatalf("rename: %s", resp.Status)
	}
}

// counter adds up a counter of a registry.
func counter(t testing.TB, reg *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, f := range families {
		if f.GetName() == name {
			for _, m := range f.GetMetric() {
				sum += m.GetCounter().GetValue()
			}
		}
	}
	return sum
}

// The watcher stands still; the engine's events are read all the same, the
// oldest are dropped and counted, and a full list makes up for them.
func TestStandstillLosesNothingUncounted(t *testing.T) {
	e := engine(t)
	const ring, renames = 64, 400
	var mu sync.Mutex
	var all []observe.Observation
	gate, held := make(chan struct{}), make(chan struct{})
	var once sync.Once
	hold := false
	reg := prometheus.NewRegistry()
	followInto(t, Options{Host: e.Host, Registerer: reg}, func(p *pace) { p.ring = ring }, func(o observe.Observation) {
		mu.Lock()
		all = append(all, o)
		wait := hold
		mu.Unlock()
		if wait {
			once.Do(func() { close(held) })
			<-gate
		}
	})
	seen := func(fits func(observe.Observation) bool) (n int) {
		mu.Lock()
		defer mu.Unlock()
		for _, o := range all {
			if fits(o) {
				n++
			}
		}
		return n
	}
	until := func(what string, ok func() bool) {
		t.Helper()
		for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("no %s", what)
			}
		}
	}
	until("list", func() bool { return seen(isReconcile) == 1 })
	r := newRenamer(t, e)
	until("create", func() bool { return seen(isAction(r.id, "create")) == 1 })
	mu.Lock()
	hold = true
	mu.Unlock()
	for range renames {
		r.rename(t)
	}
	<-held
	mu.Lock()
	hold = false
	mu.Unlock()
	close(gate)
	isRename := isAction(r.id, "rename")
	lost := func() (n int64) {
		mu.Lock()
		defer mu.Unlock()
		for _, o := range all {
			if o.Lost != nil {
				n += o.Lost.Lost
			}
		}
		return n
	}
	until("account of every rename", func() bool { return int64(seen(isRename))+lost() >= renames })
	until("list after the loss", func() bool { return seen(isReconcile) >= 2 })
	if got := int64(seen(isRename)) + lost(); got != renames || lost() == 0 {
		t.Errorf("%d told and %d counted as lost, of %d", seen(isRename), lost(), renames)
	}
	if got := counter(t, reg, "oomwatch_docker_events_dropped_total"); got != float64(lost()) {
		t.Errorf("metric says %v dropped, the gaps %d", got, lost())
	}
	mu.Lock()
	defer mu.Unlock()
	i := slices.IndexFunc(all, func(o observe.Observation) bool { return o.Lost != nil })
	if g := all[i].Lost; g.Source != SourceName || g.From.IsZero() || g.To.Before(g.From) || g.Reason == "" {
		t.Errorf("gap %+v", g)
	}
	i = slices.IndexFunc(all[i:], isReconcile) + i
	list := all[i].List.Containers
	j := slices.IndexFunc(list, func(c observe.Container) bool { return c.ID == r.id })
	if j < 0 || !strings.HasSuffix(list[j].Name, fmt.Sprintf("-%d", renames)) {
		t.Errorf("the list has not the last name: %s", toJSON(t, list))
	}
}

// BenchmarkRename measures what a watcher costs the engine's other users: the
// latency of a call that makes an event.
func BenchmarkRename(b *testing.B) {
	for _, who := range []string{"nobody", "oomwatch", "oomwatch standing still", "client that does not read"} {
		b.Run(who, func(b *testing.B) {
			e := lab.Start(b, lab.Options{})
			r := newRenamer(b, e)
			switch who {
			case "oomwatch":
				rec := follow(b, Options{Host: e.Host, LogLines: logLines}, nil)
				rec.wait(b, "list", isReconcile)
			case "oomwatch standing still":
				still, stop := make(chan struct{}), make(chan struct{})
				var once sync.Once
				followInto(b, Options{Host: e.Host}, nil, func(observe.Observation) {
					once.Do(func() { close(still) })
					<-stop
				})
				b.Cleanup(func() { close(stop) })
				<-still
			case "client that does not read":
				conn, err := net.Dial("unix", e.Socket())
				if err != nil {
					b.Fatal(err)
				}
				defer conn.Close()
				if _, err := io.WriteString(conn, "GET /events HTTP/1.1\r\nHost: engine\r\n\r\n"); err != nil {
					b.Fatal(err)
				}
				// Fill the socket and the engine's own queue, until it waits.
				for range 3000 {
					begin := time.Now()
					if r.rename(b); time.Since(begin) > 90*time.Millisecond {
						break
					}
				}
			}
			var took []time.Duration
			for b.Loop() {
				begin := time.Now()
				r.rename(b)
				took = append(took, time.Since(begin))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
		})
	}
}

// BenchmarkDeathToDetail measures from the engine's own stamp of a death to what is emitted.
func BenchmarkDeathToDetail(b *testing.B) {
	e := lab.Start(b, lab.Options{})
	type lag struct{ exit, detail time.Duration }
	var mu sync.Mutex
	lags := map[string]*lag{}
	done := make(chan string, 1024)
	ready := make(chan struct{})
	var once sync.Once
	followInto(b, Options{Host: e.Host, LogLines: logLines}, nil, func(o observe.Observation) {
		now := time.Now()
		mu.Lock()
		defer mu.Unlock()
		switch {
		case o.List != nil:
			once.Do(func() { close(ready) })
		case o.Exit != nil:
			lags[o.Exit.ID] = &lag{exit: now.Sub(o.At)}
		case o.Detail != nil:
			lags[o.Detail.ID].detail = now.Sub(o.At)
			done <- o.Detail.ID
		}
	})
	<-ready
	var exits, details []time.Duration
	for b.Loop() {
		id := e.MustDocker(b, "run", "-d", "--network", "none", lab.Image, "sh", "-c", "echo bye; exit 3")
		for got := range done {
			if got == id {
				break
			}
		}
		mu.Lock()
		exits, details = append(exits, lags[id].exit), append(details, lags[id].detail)
		mu.Unlock()
	}
	slices.Sort(exits)
	slices.Sort(details)
	b.ReportMetric(float64(exits[len(exits)/2].Microseconds())/1000, "exit-p50-ms")
	b.ReportMetric(float64(details[len(details)/2].Microseconds())/1000, "detail-p50-ms")
}
