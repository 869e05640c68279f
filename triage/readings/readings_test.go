package readings

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oomwatch/oomwatch/triage"
)

func TestLines(t *testing.T) {
	var s Set
	s.Until = 1_767_225_900
	err := s.Add(strings.NewReader(`{"time": 1767225600, "service": "shop/web", "start": true, "used_bytes": 1000, "anon_bytes": 600, "file_bytes": 300, "shmem_bytes": 50, "kernel_bytes": 90, "kernel_reclaimable_bytes": 40, "swap_bytes": 7, "limit_bytes": 5000, "oom_kills": 0}
{"service":"shop/web","used_bytes":1.1e3,"time":"2026-01-01T00:01:00Z","oom_kills":1,"unknown":"x"}

{"time":1767225720,"service":"shop\/web","used_bytes":1200,"file_bytes":null,"more":{"a":[1,2]}}
{"time":1767225780,"service":"shop/web","used_bytes":300,"start":true,"oom_kills":2}
{"time":1767226000,"service":"shop/web","used_bytes":1}
{"time":1767225600,"service":"db","used_bytes":5,"limit_bytes":-1}
`), "x")
	if err != nil {
		t.Fatal(err)
	}
	want := []triage.History{
		{Service: "db", Runs: []triage.Run{{Readings: []triage.Reading{{At: 1767225600, Used: 5, Held: 5}}}}},
		{Service: "shop/web", Runs: []triage.Run{
			{Limit: 5000, OOM: true, Kills: []float64{1767225660}, Readings: []triage.Reading{
				{At: 1767225600, Used: 1000, Held: 1000 - 250 - 40 + 7, Anon: 600, Shmem: 50, Kernel: 50, Swap: 7},
				{At: 1767225660, Used: 1100, Held: 1100}, {At: 1767225720, Used: 1200, Held: 1200}}},
			{Readings: []triage.Reading{{At: 1767225780, Used: 300, Held: 300}}},
		}},
	}
	if diff := cmp.Diff(want, histories(&s)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for bad, words := range map[string]string{
		`{"service":"a","used_bytes":1}`:              `"time"`,
		`{"time":1,"used_bytes":1}`:                   `"service"`,
		`{"time":1,"service":"a"}`:                    `"used_bytes"`,
		`{"time":"noon","service":"a"}`:               "RFC 3339",
		`{"time":1,"service":"a","used_bytes":"big"}`: "not a reading as JSON",
		`time 1`:                             "not a reading as JSON",
		`{"time":1,"service":"a","used_byte`: "not a reading as JSON",
	} {
		var s Set
		if err := s.Add(strings.NewReader("\n"+bad), "f"); err == nil || !strings.Contains(err.Error(), words) || !strings.Contains(err.Error(), "line 2") {
			t.Errorf("%s: %v, want %q and the line", bad, err, words)
		}
	}
}

func TestPrometheus(t *testing.T) {
	var s Set
	for _, text := range []string{`{
  "status": "success", "data": {"resultType": "matrix", "result": [
  {"metric": {"__name__": "container_memory_working_set_bytes", "namespace": "shop", "pod": "web-1", "container": "web"}, "values": [[100, "10"], [160.5, "20"]]},
  {"metric": {"__name__": "container_memory_working_set_bytes", "namespace": "shop", "pod": "web-2", "container": "web"}, "values": [[300, "11"]]},
  {"metric": {"__name__": "container_memory_working_set_bytes", "namespace": "shop", "pod": "web-1", "container": "POD"}, "values": [[100, "1"]]},
  {"metric": {"__name__": "container_memory_working_set_bytes", "namespace": "shop", "pod": "db-0", "container": "db"}, "values": [[100, "NaN"], [150, "5"]]},
  {"metric": {"__name__": "container_memory_working_set_bytes", "namespace": "shop", "pod": "db-1", "container": "db"}, "values": [[100, "6"], [150, "6"]]}
]}}`, `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"__name__":"container_spec_memory_limit_bytes","namespace":"shop","pod":"web-1","container":"web"},"values":[[100,"64"]]}]}}`} {
		if err := s.Add(strings.NewReader(text), "x"); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for _, h := range histories(&s) {
		got = append(got, fmt.Sprintf("%s %v", h.Service, h.Runs))
	}
	for i, want := range []string{"shop/db (db-0)", "shop/db (db-1)", "shop/web [{[{100 10 10"} {
		if i >= len(got) || !strings.HasPrefix(got[i], want) {
			t.Errorf("%d: %q, want %q", i, got, want)
		}
	}
	if h := histories(&s); len(h) != 3 || len(h[2].Runs) != 2 || h[2].Runs[0].Limit != 64 {
		t.Errorf("the pods of a deployment are runs of one service: %v", h)
	}
	var bad Set
	if err := bad.Add(strings.NewReader(`{"status":"error","error":"too many points"}`), "x"); err == nil || !strings.Contains(err.Error(), "too many points") {
		t.Error(err)
	}
}

// TestThin keeps the extremes, the starts, and a bound.
func TestThin(t *testing.T) {
	var s Set
	for i := range 5 * perService {
		v := 100.0
		if i == 70_000 {
			v = 5000
		}
		s.add([]byte("a"), nil, row{at: float64(i), used: v, held: v, start: i%10_000 == 0, kills: float32(math.NaN())})
	}
	h := histories(&s)[0]
	n, high := 0, 0.0
	for _, r := range h.Runs {
		n += len(r.Readings)
		for _, q := range r.Readings {
			high = max(high, q.Held)
		}
	}
	if len(h.Runs) != 17 || n > 2*perService || high != 5000 {
		t.Errorf("%d runs, %d readings, at most %.0f", len(h.Runs), n, high)
	}
}

func FuzzLine(f *testing.F) {
	f.Add([]byte(`{"time": 1, "service": "a", "used_bytes": 1}`))
	f.Add([]byte(`{"time":"2026-01-01T00:00:00Z","service":"é","used_bytes":-1,"start":true}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var l, slow line
		if l.parse(b) != nil {
			return
		}
		for i := range slow.v {
			slow.v[i] = math.NaN()
		}
		if err := slow.slow(b); err == nil && (string(slow.service) != string(l.service) || slow.time != l.time) {
			t.Errorf("%q: %q %v, by encoding/json %q %v", b, l.service, l.time, slow.service, slow.time)
		}
	})
}

func BenchmarkLines(b *testing.B) {
	var text strings.Builder
	for i := range 20000 {
		fmt.Fprintf(&text, `{"time":%d,"service":"shop/web-%d","used_bytes":%d,"anon_bytes":%d,"file_bytes":1000,"limit_bytes":536870912,"oom_kills":0}`+"\n", 1767225600+i, i%50, 100000000+i, 90000000+i)
	}
	b.SetBytes(int64(text.Len()))
	for b.Loop() {
		var s Set
		if err := s.Add(strings.NewReader(text.String()), "x"); err != nil {
			b.Fatal(err)
		}
	}
}
