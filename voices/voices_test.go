package voices

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestLines reads testdata/lines.txt: a line, then "=>" and what it says.
func TestLines(t *testing.T) {
	raw, err := os.ReadFile("testdata/lines.txt")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	for line := range strings.Lines(string(raw)) {
		text, want, ok := strings.Cut(strings.TrimSpace(line), " => ")
		if !ok {
			t.Fatalf("no answer to %q", line)
		}
		l := ParseLine(text, time.UTC, now)
		v, ok := Parse(l)
		got := "nothing"
		if ok {
			got = v.Who + " " + string(v.Kind)
			for _, p := range []struct{ name, value string }{{"cgroup", v.Cgroup}, {"unit", v.Unit}, {"id", v.ContainerID}} {
				if p.value != "" {
					got += " " + p.name + "=" + p.value
				}
			}
			if v.PodName != "" {
				got += " pod=" + v.PodNamespace + "/" + v.PodName
			}
			if v.PID != 0 {
				got += fmt.Sprint(" pid=", v.PID)
			}
			if v.Signal != 0 {
				got += fmt.Sprint(" signal=", v.Signal)
			}
			if v.Grace != 0 {
				got += " grace=" + v.Grace.String()
			}
			if v.At.IsZero() || v.At.Year() != 2026 || v.At.Month() != time.May {
				t.Errorf("%.60s: at %v", text, v.At)
			}
		}
		if got != want {
			t.Errorf("%.80s\n got %s\nwant %s", text, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("May  1 08:00:00 n3 dockerd[88]: x")
	f.Fuzz(func(_ *testing.T, s string) { Parse(ParseLine(s, time.UTC, time.Unix(0, 0))) })
}

// TestProbes reads testdata/probes.log, what a kubelet wrote into the journal of two pods
// whose probes failed: each end has what its probe said last.
func TestProbes(t *testing.T) {
	raw, err := os.ReadFile("testdata/probes.log")
	if err != nil {
		t.Fatal(err)
	}
	var reader Reader
	var got []string
	for line := range strings.Lines(string(raw)) {
		l := ParseLine(line, time.UTC, time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC))
		if v, ok := reader.Read(l); ok {
			got = append(got, fmt.Sprintf("%s/%s/%s %s %.6s: %s", v.PodNamespace, v.PodName, v.Container, v.Probe, v.ContainerID, v.Output))
			if !Speaks(l) {
				t.Errorf("it says nothing: %s", line)
			}
		}
	}
	want := []string{
		`shop/live2/main liveness : Get "http://10.88.0.9:8080/healthz": dial tcp 10.88.0.9:8080: connect: connection refused`,
		"shop/live/main liveness : cache is not warm",
		"shop/live/main liveness 1410ec: cache is not warm",
		`shop/live2/main liveness f5fb04: Get "http://10.88.0.9:8080/healthz": dial tcp 10.88.0.9:8080: connect: connection refused`,
		`shop/startup/main startup 1443ea: Get "http://10.88.0.11:8080/healthz": dial tcp 10.88.0.11:8080: connect: connection refused`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
