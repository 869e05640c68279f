package docker

import (
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/events"
	"github.com/oomwatch/oomwatch/redact"
)

// A container whose labels are huge is followed by its name, and costs little.
func TestHugeLabels(t *testing.T) {
	label := strings.Repeat("L", 20<<20)
	id := strings.Repeat("ab", 32)
	inspect := fmt.Sprintf(`{"Id":%q,"Name":"/huge","Created":"2026-01-01T00:00:00Z","State":{"Status":"running","Running":true,"Pid":7,"StartedAt":"2026-01-01T00:00:01Z"},"Config":{"Image":"i","Labels":{"a":%q,"b":%q}}}`, id, label, label)
	event := fmt.Sprintf(`{"Type":"container","Action":"die","Actor":{"ID":%q,"Attributes":{"a":%q,"exitCode":"3","name":"huge"}},"timeNano":1767225602000000000}`, id, label) + "\n"
	f := serve(t, "1.51", map[string]http.HandlerFunc{
		"/containers/json": func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, `[{"Id":%q,"Names":["/huge"],"Labels":{"a":%q}}]`, id, label)
		},
		"/containers/" + id + "/json": func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, inspect) },
		"/events": func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, event)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		},
		"/containers/" + id + "/logs": func(w http.ResponseWriter, _ *http.Request) {},
	})
	rec := follow(t, Options{Host: f.host}, nil)
	c := rec.wait(t, "list", isReconcile).List.Containers[0]
	if c.Name != "huge" || len(c.Labels["a"]) > redact.MaxLabelValue+3 {
		t.Errorf("name %q, a label of %d bytes", c.Name, len(c.Labels["a"]))
	}
	if x := rec.wait(t, "die", isExit(id)).Exit; x.Name != "huge" || len(x.Labels["a"]) > redact.MaxLabelValue+3 {
		t.Errorf("name %q, a label of %d bytes", x.Name, len(x.Labels["a"]))
	}
}

// An answer without an end is an error, not memory.
func TestEndlessVersion(t *testing.T) {
	f := serve(t, "1.51", map[string]http.HandlerFunc{"/version": func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, `{"Version":"`)
		x := []byte(strings.Repeat("x", 1<<20))
		for r.Context().Err() == nil {
			if _, err := w.Write(x); err != nil {
				return
			}
		}
	}})
	s, err := New(Options{Host: f.host})
	if err != nil {
		t.Fatal(err)
	}
	s.pace.call = 300 * time.Millisecond
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	c, trouble := connect(t.Context(), s)
	runtime.ReadMemStats(&after)
	if trouble == nil {
		c.close()
		t.Error("an endless answer ended")
	}
	if grew := int64(after.HeapSys) - int64(before.HeapSys); grew > 64<<20 {
		t.Errorf("%d bytes of memory for an endless answer", grew)
	}
}

func TestSlimKeepsWhatIsTheEnginesOwn(t *testing.T) {
	attrs := map[string]string{"exitCode": "137", "name": "n", "signal": "9", "oomwatch.silence": "1h"}
	for i := range 3000 {
		attrs[fmt.Sprintf("a%04d", i)] = "value"
	}
	m := slim(events.Message{Actor: events.Actor{ID: "x", Attributes: attrs}})
	got := m.Actor.Attributes
	if got["exitCode"] != "137" || got["name"] != "n" || got["signal"] != "9" || got["oomwatch.silence"] != "1h" || len(got) > redact.MaxLabels+4 {
		t.Errorf("%d attributes, among them %q %q %q %q", len(got), got["exitCode"], got["name"], got["signal"], got["oomwatch.silence"])
	}
}
