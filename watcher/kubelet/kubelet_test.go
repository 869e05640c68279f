package kubelet

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/internal/grpcread"
	"github.com/oomwatch/oomwatch/observe"
)

// event is a WatchPodsEvent of a pod.
func event(name, uid, phase, reason, message string) []byte {
	meta := grpcread.AppendText(grpcread.AppendText(grpcread.AppendText(nil, 1, name), 3, "shop"), 5, uid)
	status := grpcread.AppendText(grpcread.AppendText(grpcread.AppendText(nil, 1, phase), 3, message), 4, reason)
	pod := grpcread.AppendMessage(grpcread.AppendMessage(grpcread.AppendMessage(nil, 1, meta), 2, []byte{}), 3, status)
	return grpcread.AppendMessage(grpcread.AppendInt(nil, 1, 1), 2, pod)
}

// TestEvictions has a kubelet say what a real one of 1.37 was seen to say: the pod is
// Failed and Evicted in several events, the last of which has no status any more.
func TestEvictions(t *testing.T) {
	const message = "Pod ephemeral local storage usage exceeds the total limit of containers 10Mi. "
	events := [][]byte{grpcread.AppendInt(nil, 1, 3), event("web-0", "u1", "Running", "", ""), event("eph", "u2", "Pending", "", ""),
		event("eph", "u2", "Failed", "Evicted", message), event("eph", "u2", "Failed", "Evicted", message), event("late", "u3", "Failed", "DeadlineExceeded", "too long"), event("eph", "u2", "", "", "")}
	socket := filepath.Join(t.TempDir(), "p.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	var p http.Protocols
	p.SetUnencryptedHTTP2(true)
	srv := &http.Server{Protocols: &p, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != callWatch {
			t.Errorf("asked for %s", r.URL.Path)
		}
		for _, e := range events {
			var head [5]byte
			binary.BigEndian.PutUint32(head[1:], uint32(len(e)))
			_, _ = w.Write(append(head[:], e...)) // the reader may have gone
		}
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})}
	go func() { _ = srv.Serve(l) }() // it ends with the test
	defer srv.Close()

	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	var got []observe.Observation
	if err := (&Source{Socket: socket}).Run(ctx, func(o observe.Observation) { got = append(got, o) }); err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 {
		t.Fatalf("%d words, want one of the eviction, one of the deadline", len(got))
	}
	if v := got[1].Voice; v.Kind != incident.VoiceEnds || v.Text != "DeadlineExceeded: too long" {
		t.Errorf("%+v", v)
	}
	v := got[0].Voice
	if v == nil || v.Kind != incident.VoiceEvicted || v.PodUID != "u2" || v.PodName != "eph" || v.PodNamespace != "shop" || !v.Trusted || v.Text != "Evicted: "+message {
		t.Errorf("%+v", v)
	}
}

// TestPodLimit reads a pod's own limit of memory (spec.resources), once, at the moment that the
// pod was made.
func TestPodLimit(t *testing.T) {
	limit := func(resource, quantity string) []byte {
		return grpcread.AppendMessage(grpcread.AppendText(nil, 1, resource), 2, grpcread.AppendText(nil, 1, quantity))
	}
	resources := grpcread.AppendMessage(grpcread.AppendMessage(nil, 1, limit("cpu", "2")), 1, limit("memory", "32Mi"))
	resources = grpcread.AppendMessage(resources, 2, limit("memory", "16Mi")) // a request is no limit
	meta := grpcread.AppendText(grpcread.AppendText(grpcread.AppendText(nil, 1, "web-0"), 3, "shop"), 5, "u1")
	meta = grpcread.AppendMessage(meta, 8, grpcread.AppendInt(nil, 1, 1700000000))
	pod := grpcread.AppendMessage(grpcread.AppendMessage(nil, 1, meta), 2, grpcread.AppendMessage(nil, 40, resources))
	msg := grpcread.AppendMessage(grpcread.AppendInt(nil, 1, 1), 2, pod)
	var got []observe.Observation
	told := map[string]bool{}
	for range 2 {
		if err := take(msg, told, func(o observe.Observation) { got = append(got, o) }); err != nil {
			t.Fatal(err)
		}
	}
	if len(got) != 1 {
		t.Fatalf("%d words, want one", len(got))
	}
	v := got[0].Voice
	if v.Kind != incident.VoicePodLimit || v.PodUID != "u1" || v.PodName != "web-0" || !v.At.Equal(time.Unix(1700000000, 0)) || !strings.Contains(v.Text, "32Mi") || !v.Trusted {
		t.Errorf("%+v", v)
	}
}

// TestRealPods reads testdata/watch.hex, what a kubelet of 1.37.2 said of pods that were
// deleted, evicted, and too long there: why each ends, once.
func TestRealPods(t *testing.T) {
	raw, err := os.ReadFile("testdata/watch.hex")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	told := map[string]bool{}
	for line := range strings.Lines(string(raw)) {
		msg, err := hex.DecodeString(strings.TrimSpace(line))
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := take(msg, told, func(o observe.Observation) {
				got = append(got, o.Voice.PodNamespace+"/"+o.Voice.PodName+" "+string(o.Voice.Kind)+": "+o.Voice.Text)
			}); err != nil {
				t.Error(err)
			}
		}
	}
	want := []string{"shop/cleandelete ends: Deleted: the pod has 2s to stop",
		"shop/deadline ends: DeadlineExceeded: Pod was active on the node longer than the specified deadline",
		"shop/hog evicted: Evicted: The node was low on resource: memory. Threshold quantity: 100Mi, available: 80192Ki. Container main was using 533736Ki, request is 0, has larger consumption of memory. "}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestNoKubelet says nothing where there is none.
func TestNoKubelet(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := (&Source{Socket: filepath.Join(t.TempDir(), "none")}).Run(ctx, func(o observe.Observation) { t.Errorf("%+v", o) }); err != nil {
		t.Error(err)
	}
}
