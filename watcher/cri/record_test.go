//go:build crio

package cri

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/internal/grpcread"
	"github.com/oomwatch/oomwatch/test/lab"
	"github.com/oomwatch/oomwatch/test/lab/pods"
)

// recordEnv names the variable with the file that TestRecord writes.
const recordEnv = "OOMWATCH_RECORD"

// TestRecord writes down what a real CRI-O answers, for TestRecorded. It is run by hand:
// OOMWATCH_CRIO=$PWD/bin/crio-v1.34.0 OOMWATCH_RECORD=/tmp/x.gz go test -tags crio -run TestRecord$ ./watcher/cri
func TestRecord(t *testing.T) {
	file := os.Getenv(recordEnv)
	if file == "" {
		t.Fatal(recordEnv + " names no file")
	}
	r := pods.Start(t)
	ctx, cancel := context.WithTimeout(t.Context(), lab.Slow(2*time.Minute))
	defer cancel()
	pod := &pods.Pod{Namespace: "shop", Name: "web-5f9c7d8b6d-x7k2z", UID: "6f2a1b9c-8e77-4a5d-9d21-0123456789aa", Labels: map[string]string{"app": "shop"}}
	if err := r.Run(ctx, pod); err != nil {
		t.Fatal(err)
	}
	ids := map[string]string{}
	for name, command := range map[string][]string{
		"own":      {"sh", "-c", "echo starting; sleep 4; exec tail /dev/zero"},
		"child":    {"sh", "-c", "sleep 4; (exec prog eat -comm worker) & wait; exit 0"},
		"exit-3":   {"sh", "-c", "echo bye; sleep 4; exit 3"},
		"stop":     {"prog", "polite"},
		"stubborn": {"prog", "stubborn"},
		"lost":     {"prog", "stubborn"},
	} {
		id, err := r.Create(ctx, pod, pods.Container{Name: name, Command: command, Limit: 32 << 20, Restart: 2})
		if err == nil {
			err = r.Start(ctx, id)
		}
		if err != nil {
			t.Fatal(err)
		}
		ids[name] = id
	}
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	c := newClient(r.Socket, 10*time.Second)
	defer c.close()
	record := func(phase int, method, id string) {
		t.Helper()
		var request []byte
		if id != "" {
			request = grpcread.AppendInt(grpcread.AppendText(nil, 1, id), 2, 1)
		}
		answer, err := c.conn.Call(ctx, method, request)
		if err == nil {
			err = json.NewEncoder(w).Encode(said{phase, method, id, answer})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	all := func(phase int) {
		t.Helper()
		record(phase, callList, "")
		for _, id := range ids {
			record(phase, callStatus, id)
		}
	}
	record(0, callVersion, "")
	all(0)
	s, err := c.status(ctx, ids["own"])
	if err != nil || s.state != running {
		t.Fatal(s, err)
	}
	record(0, callSandbox, s.sandbox)
	// Its conmon keeps the exit code.
	conmon, err := r.Monitor(ctx, ids["lost"])
	if err == nil {
		err = syscall.Kill(conmon, syscall.SIGKILL)
	}
	for _, name := range []string{"lost", "stop", "stubborn"} {
		err = errors.Join(err, r.StopContainer(ctx, ids[name], 1))
	}
	for _, id := range ids {
		err = errors.Join(err, r.Ended(ctx, id))
	}
	if err != nil {
		t.Fatal(err)
	}
	all(1)
	record(1, callStats, "")
	record(1, callImageFS, "")
	record(1, callImages, "")
	if err := errors.Join(w.Close(), os.WriteFile(file, out.Bytes(), 0o644)); err != nil {
		t.Fatal(err)
	}
}
