package docker

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/oomwatch/oomwatch/observe"
)

func open(t testing.TB, name string) *os.File {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// The file is what docker events printed on 20.10.24 while six containers came
// and went, networks and an exec among it.
func TestReadEvents(t *testing.T) {
	obs, err := ReadEvents(open(t, "events.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string][]string{}
	names := map[string]string{}
	for _, o := range obs {
		id := idOf(o)
		if o.Event != nil && o.Event.Kind == observe.Created {
			names[id] = o.Event.Name
		}
		byName[names[id]] = append(byName[names[id]], words([]observe.Observation{o})...)
	}
	want := map[string][]string{
		"shop-web-1": {"create", "start", "die 3", "start", "die 3", "start", "die 3", "start", "die 3", "start", "die 3", "start", "die 3"},
		"never":      {"create"},
		"web":        {"create", "start", "kill 15", "kill 9", "die 137", "stop"},
		"oom":        {"create", "start", "oom", "die 137"},
		"alive":      {"create", "start"},
		// Its label exitCode=0 hides how it died, and signal=15 what killed it.
		"liar": {"create", "start", "kill 0", "die 0"},
	}
	if diff := cmp.Diff(want, byName); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	first := obs[0]
	if first.Event.Labels["com.docker.compose.project"] != "shop" || first.Event.Labels["password"] != "[redacted]" || len(first.Event.Labels) != 3 {
		t.Errorf("labels %v", first.Event.Labels)
	}
	if want := "2026-11-21T10:14:51.9"; !strings.HasPrefix(first.At.Format(time.RFC3339Nano), want[:10]) || first.At.Nanosecond() == 0 {
		t.Errorf("time %s", first.At)
	}
}

func TestReadInspect(t *testing.T) {
	obs, err := ReadInspect(open(t, "inspect.json"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, o := range obs {
		c := o.Container
		line := c.Name + " " + c.State
		if c.MemoryLimit != nil {
			line += fmt.Sprintf(" limit %d", *c.MemoryLimit)
		}
		if c.Exit != nil {
			line += fmt.Sprintf(" exit %d oom=%t error=%t", c.Exit.ExitCode, c.Exit.OOMKilled, c.Exit.Error != "")
			if !o.At.Equal(c.Exit.At) || o.At.IsZero() {
				t.Errorf("%s: at %s, exit at %s", c.Name, o.At, c.Exit.At)
			}
		}
		got = append(got, line)
	}
	want := []string{
		"shop-web-1 exited limit 33554432 exit 3 oom=false error=false", "never created exit 127 oom=false error=true",
		"web exited exit 137 oom=false error=false", "oom exited limit 33554432 exit 137 oom=true error=false", "alive running",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("containers (-want +got):\n%s", diff)
	}
	if all := toJSON(t, obs); strings.Contains(all, "s3cr3t") || strings.Contains(all, "hunter2") {
		t.Error("a secret got out")
	}
	web := obs[0].Container
	if web.Compose.Service != "web" || web.RestartPolicy != "on-failure:5" || *web.RestartCount != 5 || web.StopSignal != "SIGQUIT" || *web.StopGraceSecond != 7 {
		t.Errorf("container %s", toJSON(t, web))
	}
	// Podman writes the stop signal as a number; two outputs may follow each other.
	two, err := ReadInspect(strings.NewReader(`{"Id":"a","State":{"Status":"running","Running":true,"Pid":7},"Config":{"StopSignal":15},"New":{}}` + "\n" +
		`[{"Id":"b","Created":"2026-11-21T10:00:00Z","State":{"Status":"created"}}]`))
	if err != nil || len(two) != 2 || two[0].Container.StopSignal != "SIGTERM" || two[0].Container.PID != 7 || two[1].At.IsZero() || two[1].Container.Exit != nil {
		t.Errorf("%s %v", toJSON(t, two), err)
	}
}

func TestBadFilesAreRefusedWithTheLine(t *testing.T) {
	good, err := os.ReadFile(filepath.Join("testdata", "events.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	line := string(good[:bytes.IndexByte(good, '\n')+1])
	for _, tt := range []struct {
		in   string
		want string
		n    int
	}{
		{line + "\n" + "2026-11-21T09:54:39 container die abc\n", "line 3 is no event", 1},
		{line + `{"Type":"container"}` + "\n", "line 2 is no event: it has no Action or no time", 1},
		{line + line[:len(line)/2], "line 2 is no event: unexpected end", 1},
		{strings.Repeat("x", maxEventLine+1), "line 1 is longer than", 0},
		{"[1,2]", "line 1 is no event", 0},
	} {
		obs, err := ReadEvents(strings.NewReader(tt.in))
		if err == nil || !strings.Contains(err.Error(), tt.want) || len(obs) != tt.n || !strings.Contains(err.Error(), "docker events --format") {
			t.Errorf("%.60q: %d events, error %v; want %q", tt.in, len(obs), err, tt.want)
		}
	}
	if obs, err := ReadEvents(strings.NewReader("")); err != nil || obs != nil {
		t.Errorf("empty: %v %v", obs, err)
	}

	inspect, err := os.ReadFile(filepath.Join("testdata", "inspect.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		in   string
		want string
		n    int
	}{
		{"no json", "line 1 is no container", 0},
		{"[\n\n{\"Id\":\"sha256:1\",\"RepoTags\":[]}]", "line 3 is no container: it has no Id or no State", 0},
		{string(inspect[:len(inspect)/3]), "it ends in the middle", 1},
		{"[\n{\"Id\":\"a\",\"State\":{}},\n{\"Id\":\"b\",\n\"State\":{\"Pid\":\"seven\"}}]", "line 4 is no container", 1},
		{"[{\"Id\":\"a\",\"State\":{}}\n", "line 2: the list does not end", 1},
		{"[\n{\"Id\":\"a\",\"State\":{}}\n}", "line 3", 1},
	} {
		obs, err := ReadInspect(strings.NewReader(tt.in))
		if err == nil || !strings.Contains(err.Error(), tt.want) || len(obs) != tt.n {
			t.Errorf("%.60q: %d containers, error %v; want %q", tt.in, len(obs), err, tt.want)
		}
	}
}

func FuzzReadFiles(f *testing.F) {
	for _, name := range []string{"events.jsonl", "inspect.json"} {
		b, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte("[\n{\"Id\":\"a\",\"State\":{}},,{"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for what, read := range map[string]func() ([]observe.Observation, error){
			"events":  func() ([]observe.Observation, error) { return ReadEvents(bytes.NewReader(b)) },
			"inspect": func() ([]observe.Observation, error) { return ReadInspect(bytes.NewReader(b)) },
		} {
			obs, err := read()
			for _, o := range obs {
				if idOf(o) == "" {
					t.Errorf("%s: an observation of nothing: %+v", what, o)
				}
			}
			if err == nil && len(obs) == 0 && what == "inspect" && len(bytes.Trim(b, "[] \t\r\n")) > 0 {
				t.Error("something was read as nothing, without an error")
			}
		}
	})
}
