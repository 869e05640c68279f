package cri

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/observe"
	"github.com/oomwatch/oomwatch/test/lab/pods"
)

// recordedCRIO is what TestRecord wrote of CRI-O 1.34.0.
const recordedCRIO = "testdata/crio-1.34.0.jsonl.gz"

// said is one answer: Phase is 0 while all containers run, and 1 when they have ended.
type said struct {
	Phase      int
	Method, ID string
	Answer     []byte
}

// replay serves what was recorded, each answer in its phase or else in the one before.
func replay(t *testing.T, phase *atomic.Int32) (socket string) {
	t.Helper()
	f, err := os.Open(recordedCRIO)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var all []said
	for dec := json.NewDecoder(z); ; {
		var s said
		if err := dec.Decode(&s); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	slices.Reverse(all)
	socket = filepath.Join(t.TempDir(), "s.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	var p http.Protocols
	p.SetUnencryptedHTTP2(true)
	srv := &http.Server{Protocols: &p, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		request, _ := io.ReadAll(r.Body)
		i := slices.IndexFunc(all, func(s said) bool {
			return s.Method == r.URL.Path && s.Phase <= int(phase.Load()) && (s.ID == "" || bytes.Contains(request, []byte(s.ID)))
		})
		w.Header().Set("Trailer", "Grpc-Status")
		if i < 0 {
			w.Header().Set("Grpc-Status", "5")
			return
		}
		_, _ = w.Write(append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(all[i].Answer))), all[i].Answer...)) // the reader may have gone
		w.Header().Set("Grpc-Status", "0")
	})}
	go func() { _ = srv.Serve(l) }() // it ends with the test
	t.Cleanup(func() { srv.Close() })
	return socket
}

// TestRecorded follows what a real CRI-O answered: its containers run, and then they have
// ended, each in its way.
func TestRecorded(t *testing.T) {
	var phase atomic.Int32
	socket := replay(t, &phase)
	rec := followSocket(t, socket, false)
	l := rec.wait(t, "list", func(o *observe.Observation) bool { return o.List != nil }).List
	ids := map[string]string{}
	for i := range l.Containers {
		c := &l.Containers[i]
		ids[c.Name] = c.ID
		if c.State != "running" || !*c.Running || c.PID == 0 || c.Runtime != "cri-o" || c.StartedAt.IsZero() || c.Exit != nil || c.ExitCode != nil || c.Image != pods.Image ||
			*c.MemoryLimit != 32<<20 || *c.RestartCount != 2 || *c.StopGraceSecond != 30 || c.Pod == nil || c.Pod.Name != "web-5f9c7d8b6d-x7k2z" || c.Pod.Namespace != "shop" || c.Labels["app"] != "shop" {
			t.Errorf("%+v", c)
		}
		for _, p := range c.Places.Filesystems {
			if p.Mount != "/" && p.Mount != "/dev/shm" {
				t.Errorf("%s of %s is watched", p.Mount, c.Name)
			}
		}
	}
	if len(ids) != 6 {
		t.Fatalf("%d containers: %v", len(ids), ids)
	}
	phase.Store(1)
	for name, want := range map[string]incident.Exit{
		"own": {ExitCode: 137, OOMKilled: true}, "child": {OOMKilled: true}, "exit-3": {ExitCode: 3}, "stop": {}, "stubborn": {ExitCode: 137}, "lost": {ExitCode: 255, NoCode: true},
	} {
		of := func(o *observe.Observation) bool { return o.Exit != nil && o.Exit.ID == ids[name] }
		x := rec.wait(t, "end of "+name, of).Exit
		if x.Error != "" || x.At.IsZero() || x.ExitCode != want.ExitCode || x.NoCode != want.NoCode || x.OOMKilled != want.OOMKilled || !x.DetailPending {
			t.Errorf("%s: %+v", name, x)
		}
		d := rec.wait(t, "detail of "+name, func(o *observe.Observation) bool { return o.Detail != nil && o.Detail.ID == ids[name] }).Detail
		if c := d.Inspect; c == nil || c.Exit == nil || *c.OOMKilledFlag != want.OOMKilled || (c.ExitCode == nil) != want.NoCode || c.FinishedAt.Before(c.StartedAt) {
			t.Errorf("%s: %+v", name, c)
		}
		if n := rec.count(of); n != 1 {
			t.Errorf("%s ended %d times", name, n)
		}
	}
	// All that it says of images' sizes together is without their layers.
	u, err := Usage(t.Context(), socket)
	if err != nil || !slices.ContainsFunc(u.Fill, func(f incident.DiskFill) bool {
		return f.Kind == "images" && f.N == 1 && f.Bytes > 1<<20 && f.Prunable == 0
	}) {
		t.Errorf("%+v, %v", u, err)
	}
	if p := Probe(t.Context(), socket); !p.Answers || !strings.Contains(p.Found, "cri-o 1.34.0") || !strings.Contains(p.Found, "containers: 6, running: 0") || !strings.Contains(p.Unseen, "does not create") {
		t.Errorf("%+v", p)
	}
}

// TestFailedStart has CRI-O say of a container that could not be started that it started
// when it was created.
func TestFailedStart(t *testing.T) {
	at := time.Date(2026, 12, 1, 4, 9, 24, 0, time.UTC)
	s := &status{id: "a", state: exited, created: at, started: at, finished: at, exitCode: noCode, reason: reasonError, message: "failed to start container a: cannot start a container that has stopped"}
	if x := s.exit(); !s.failed() || x.Error != s.message || !x.FinishedAt.IsZero() {
		t.Errorf("%v %+v", s.failed(), x)
	}
	s.started = at.Add(time.Second)
	if s.failed() {
		t.Error("one that ran")
	}
}
