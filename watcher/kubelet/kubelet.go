// Package kubelet is the source that follows the kubelet's own list of pods, by its Pods
// API: a gRPC service on a unix socket of the node (k8s.io/kubelet's
// pkg/apis/pods/v1alpha1), on by default from Kubernetes 1.37 on. It takes no token and
// asks no API server.
//
// Of it only evictions are taken: that a pod was evicted, and the kubelet's message with
// what the node was short of. Everything else of a pod its runtime says.
package kubelet

import (
	"context"
	"os"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/internal/grpcread"
	"github.com/oomwatch/oomwatch/observe"
	"github.com/oomwatch/oomwatch/redact"
)

// DefaultSocket is where the kubelet serves it; its --root-dir moves it.
const DefaultSocket = "/var/lib/kubelet/pods-api/pods-api.sock"

// callWatch is the one call that is made.
const callWatch = "/v1alpha1.Pods/WatchPods"

// retryEvery is how often it is looked for a kubelet.
const retryEvery = 5 * time.Second

// Source follows one kubelet. Where there is none it says nothing.
type Source struct {
	// Socket is the service's path; "" for DefaultSocket.
	Socket string
}

// Name implements observe.Source.
func (*Source) Name() string { return "kubelet" }

// Run implements observe.Source.
func (s *Source) Run(ctx context.Context, emit func(observe.Observation)) error {
	socket := s.Socket
	if socket == "" {
		socket = DefaultSocket
	}
	told := map[string]bool{} // the uids of pods whose eviction was told
	for {
		if _, err := os.Stat(socket); err == nil {
			c := grpcread.Dial(socket, callWatch)
			// How it ended does not matter: it is followed again.
			_ = c.Stream(ctx, callWatch, nil, func(msg []byte) error {
				if len(told) > maxTold {
					clear(told)
				}
				return take(msg, told, emit)
			})
			c.Close()
		}
		wait := time.NewTimer(retryEvery)
		select {
		case <-ctx.Done():
			wait.Stop()
			return nil
		case <-wait.C:
		}
	}
}

// maxTold bounds the evicted pods that are remembered.
const maxTold = 4096

// evicted is the reason in the status of a pod that the kubelet evicted.
const evicted = "Evicted"

// pod is what is used of a v1.Pod.
type pod struct{ name, namespace, uid, reason, message string }

// take reads a WatchPodsEvent, and tells an eviction once.
func take(msg []byte, told map[string]bool, emit func(observe.Observation)) error {
	var p pod
	err := grpcread.Fields(msg, func(f grpcread.Field) error {
		if f.Number != 2 {
			return nil
		}
		return grpcread.Fields(f.Bytes, p.field)
	})
	if err != nil || p.reason != evicted || p.uid == "" || told[p.uid] {
		return err
	}
	told[p.uid] = true
	now := time.Now().UTC()
	emit(observe.Observation{At: now, Voice: &incident.Voice{Who: "kubelet", Kind: incident.VoiceEvicted, At: now, Trusted: true,
		PodUID: redact.Cut(p.uid, 64), PodNamespace: redact.Cut(p.namespace, 256), PodName: redact.Cut(p.name, 256),
		Text: redact.Line(redact.Cut(evicted+": "+p.message, 1024))}})
	return nil
}

// field takes one field of a v1.Pod (k8s.io/api's core/v1/generated.proto).
func (p *pod) field(f grpcread.Field) error {
	switch f.Number {
	case 1: // metadata
		return grpcread.Texts(f.Bytes, map[int]*string{1: &p.name, 3: &p.namespace, 5: &p.uid})
	case 3: // status
		return grpcread.Texts(f.Bytes, map[int]*string{3: &p.message, 4: &p.reason})
	}
	return nil
}
