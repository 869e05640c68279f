package docker

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/oomwatch/oomwatch/incident"
)

// What a container can write to, as inspect tells it.
func TestFilesystemsOfAnInspect(t *testing.T) {
	in, err := os.ReadFile("testdata/inspect-mounts.json")
	if err != nil {
		t.Fatal(err)
	}
	var docs []document
	if err := json.Unmarshal(in, &docs); err != nil {
		t.Fatal(err)
	}
	want := []incident.Filesystem{
		{Mount: "/", Kind: "layer", Source: "/var/lib/docker/overlay2/5f3e"},
		{Mount: "/dev/shm", Kind: "tmpfs", Size: new(int64(64 << 20))},
		{Mount: "/cache", Kind: "tmpfs", Size: new(int64(8 << 20))},
		{Mount: "/spool", Kind: "tmpfs", Size: new(int64(2 << 30))},
		{Mount: "/data", Kind: "volume", Source: "/var/lib/docker/volumes/pg/_data"},
		{Mount: "/logs", Kind: "bind", Source: "/srv/logs"},
	}
	if diff := cmp.Diff(want, docs[0].filesystems()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestTmpfsSize(t *testing.T) {
	for opts, want := range map[string]int64{
		"": 0, "size=1m": 1 << 20, "size=65536": 65536, "rw,size=2G,mode=1777": 2 << 30, "size=64k": 64 << 10,
		"size=50%": 0, "size=": 0, "size=99999999999999g": 0, "size=-1m": 0,
	} {
		if got := tmpfsSize(strings.Split(opts, ",")); got != want {
			t.Errorf("%q: %d, want %d", opts, got, want)
		}
	}
}

// The gauge says what it could not read, and why.
func TestGauge(t *testing.T) {
	dir := t.TempDir()
	sock := filepath.Join(dir, "s.sock")
	l, err := net.Listen("unix", sock)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ep := endpoint{proto: "unix", addr: sock}
	all := []incident.Filesystem{{Mount: "/", Kind: "layer", Source: dir}, {Mount: "/dev/shm", Kind: "tmpfs"}}
	got, problem := newGauge().measure(context.Background(), ep, all)
	if problem != "" || got[0].Size == nil || *got[0].Size <= 0 || got[0].Free == nil || got[1].Size != nil {
		t.Errorf("%v %q", got, problem)
	}
	if all[0].Size != nil {
		t.Error("what is known of the container was changed")
	}
	_, problem = newGauge().measure(context.Background(), ep, []incident.Filesystem{{Mount: "/x", Kind: "bind", Source: filepath.Join(dir, "gone")}})
	if !strings.Contains(problem, "gone") {
		t.Errorf("of a directory that is gone: %q", problem)
	}
	if _, problem = newGauge().measure(context.Background(), endpoint{proto: "tcp", host: "tcp://10.0.0.1:2375"}, all); !strings.Contains(problem, "another machine") {
		t.Errorf("of another machine: %q", problem)
	}
	// Four that never answer are all that may wait.
	g := newGauge()
	for range cap(g.asking) {
		g.asking <- struct{}{}
	}
	if _, problem = g.measure(context.Background(), ep, all); !strings.Contains(problem, "no answer") {
		t.Errorf("with a server that is away: %q", problem)
	}
}
