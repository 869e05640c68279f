package chart

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/incident"
)

var update = flag.Bool("update", false, "write the golden pictures anew")

const mega = 1 << 20

// made is an incident with a history of n readings, step seconds apart, the last
// at its time; of gives anonymous memory, shared memory and page cache in MiB.
func made(n int, step float64, limit int64, of func(i int) (anon, shmem, file float64)) *incident.Incident {
	inc := &incident.Incident{ID: "x", Kind: incident.KindDeath, Cause: incident.OOMContainer, Time: time.Date(2026, 11, 25, 3, 12, 7, 0, time.UTC),
		OOM: &incident.OOM{}, History: &incident.History{Trend: "unknown"}}
	if limit > 0 {
		inc.History.Limit = &limit
	}
	for i := range n {
		a, s, f := of(i)
		t := -step * float64(n-1-i)
		anon, shmem, file, kernel := int64(a*mega), int64(s*mega), int64((s+f)*mega), int64(1*mega)
		inc.History.Points = append(inc.History.Points, incident.Point{T: t, Bytes: anon + file + kernel})
		inc.History.Breakdown = append(inc.History.Breakdown, incident.Parts{T: t, Anon: &anon, Shmem: &shmem, File: &file, Kernel: &kernel})
	}
	return inc
}

// pictures are the shapes, by the name of their golden file.
func pictures() map[string]*incident.Incident {
	leak := made(60, 560, 512*mega, func(i int) (float64, float64, float64) { return 120 + 6.4*float64(i), 4, 8 })
	leak.Summary = "billing was OOM-killed at its own 512 MiB limit: java held 497.2 MiB of anonymous memory"
	leak.History.Trend, leak.History.Class, leak.History.Reason = "leak", "leak", "grew 41.1 MiB/h for 9 h 10 min, reached the limit"
	spike := made(60, 1, 512*mega, func(i int) (float64, float64, float64) {
		if i < 57 {
			return 90 + math.Sin(float64(i)), 0, 20
		}
		return 90 + 135*float64(i-56), 0, 10
	})
	spike.Summary = "import was OOM-killed at its own 512 MiB limit: python3 held 490 MiB of anonymous memory"
	spike.History.Trend, spike.History.Reason = "spike", "jumped 405 MiB in 2 s"
	older := made(60, 1, 512*mega, func(i int) (float64, float64, float64) { return 90 + 7*float64(i), 0, 20 })
	older.Summary = "batch was OOM-killed at its own 512 MiB limit: ruby held 480 MiB of anonymous memory"
	older.History.Breakdown = older.History.Breakdown[:56] // of the last readings only the sum was read
	tmpfs := made(40, 2, 64*mega, func(i int) (float64, float64, float64) { return 8, 1.35 * float64(i), 3 })
	tmpfs.Summary = "cache was OOM-killed at its own 64 MiB limit: 52.6 MiB of it was shared memory or tmpfs"
	parent := made(60, 1, 0, func(i int) (float64, float64, float64) { return 20 + float64(i), 0, 4 })
	parent.Cause, parent.OOM = incident.OOMAncestor, &incident.OOM{Limit: new(int64(96 * mega))}
	parent.Summary = "etl was OOM-killed because its parent cgroup /batch reached its 96 MiB limit: etl held 79 MiB of it"
	warning := made(60, 2, 256*mega, func(i int) (float64, float64, float64) { return 20 + 2*float64(i), 0, 6 })
	warning.Kind, warning.OOM = incident.KindWarning, nil
	warning.Warning = &incident.WarningFacts{What: "forecast", TimeToLimit: new(110.0), TimeToLimitError: new(4.0)}
	warning.Summary = "web reaches its 256 MiB limit in about 1 min 50 s (± 4.0 s): it holds 139 MiB and grows 1 MiB/s"
	warning.History.Trend, warning.History.Reason = "leak", "grew 60 MiB/min for 1 min 58 s"
	workers := made(60, 5, 256*mega, func(i int) (float64, float64, float64) { return 40 + 3.4*float64(i%60), 0, 12 })
	workers.Summary = "pool was OOM-killed at its own 256 MiB limit: python3 held 240 MiB of anonymous memory"
	workers.History.Trend, workers.History.Reason = "leak", "grew 41 MiB/min for 4 min 55 s"
	workers.History.Kills = []float64{-400, -180.5, -90.25, -0.04}
	bare := made(10, 0.8, 0, func(i int) (float64, float64, float64) { return float64(6 * i), 0, 0 })
	bare.History.Breakdown, bare.OOM, bare.Time = nil, nil, time.Time{}
	bare.Summary, bare.Cause = "a process was killed, on a machine whose log has no date", incident.KillUnknown
	far := made(30, 1, 64<<30, func(i int) (float64, float64, float64) { return 100 + float64(i%7), 0, 40 })
	far.Summary, far.Cause = "batch was OOM-killed because the host ran out of memory: db held 6.1 GiB of the host's 7.8 GiB", incident.OOMHost
	hostile := made(30, 1, 128*mega, func(i int) (float64, float64, float64) { return 60, 0, 3 })
	hostile.Summary = "</title><script>alert(1)</script> \"&amp;\" ]]> \u202egnp\u202c \x1b[31m \xff was OOM-killed at " + strings.Repeat("a-very-long-name-", 20)
	hostile.History.Trend, hostile.History.Reason = "flat", "</text><image href=\"http://example.org/x.png\"/>"
	return map[string]*incident.Incident{"parent": parent, "leak": leak, "spike": spike, "older-parts": older, "tmpfs": tmpfs, "kills": workers, "warning": warning, "bare": bare, "far-limit": far, "hostile": hostile}
}

// TestGolden holds each picture against its file.
func TestGolden(t *testing.T) {
	for name, inc := range pictures() {
		t.Run(name, func(t *testing.T) {
			got, ok := SVG(inc)
			if !ok {
				t.Fatal("nothing was drawn")
			}
			standsAlone(t, got)
			path := filepath.Join("testdata", name+".svg")
			if *update {
				if err := os.WriteFile(path, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%s differs; look at it, and run: go test ./chart -update", path)
			}
		})
	}
}

// drawn are the elements that a picture may be made of.
var drawn = map[string]bool{"svg": true, "title": true, "style": true, "rect": true, "line": true, "text": true, "polygon": true, "polyline": true, "path": true}

// standsAlone fails unless the picture is XML of the elements that are drawn, and
// refers to nothing.
func standsAlone(t *testing.T, svg []byte) {
	t.Helper()
	dec := xml.NewDecoder(bytes.NewReader(svg))
	for {
		tok, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatalf("no XML: %v", err)
		}
		if e, ok := tok.(xml.StartElement); ok {
			if !drawn[e.Name.Local] {
				t.Errorf("has a <%s>", e.Name.Local)
			}
			for _, a := range e.Attr {
				if strings.Contains(a.Name.Local, "href") || strings.HasPrefix(a.Name.Local, "on") || strings.Contains(a.Value, "NaN") || strings.Contains(a.Value, "Inf") ||
					a.Name.Local != "xmlns" && strings.Contains(a.Value, ":") {
					t.Errorf("<%s %s=%q>", e.Name.Local, a.Name.Local, a.Value)
				}
			}
		}
	}
}

func TestNothingToDraw(t *testing.T) {
	for name, h := range map[string]*incident.History{
		"none": nil, "empty": {}, "one reading": {Points: []incident.Point{{T: -1, Bytes: 5}}}, "no time": {Points: []incident.Point{{T: -1, Bytes: 5}, {T: -1, Bytes: 6}}},
	} {
		if _, ok := SVG(&incident.Incident{History: h}); ok {
			t.Errorf("%s: drawn", name)
		}
	}
}

// FuzzSVG draws whatever a stored incident may hold.
func FuzzSVG(f *testing.F) {
	for _, inc := range pictures() {
		b, err := json.Marshal(inc)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		inc := &incident.Incident{}
		if json.Unmarshal(b, inc) != nil {
			return
		}
		if svg, ok := SVG(inc); ok {
			standsAlone(t, svg)
			if len(svg) > 1<<20 {
				t.Errorf("%d bytes", len(svg))
			}
		}
	})
}
