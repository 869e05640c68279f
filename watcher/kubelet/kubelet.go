// Package kubelet is the source that follows the kubelet's own list of pods, by its Pods
// API: a gRPC service on a unix socket of the node (k8s.io/kubelet's
// pkg/apis/pods/v1alpha1), on by default from Kubernetes 1.37 on. It takes no token and
// asks no API server.
//
// Of it is taken why a pod as a whole ends: that it was evicted, and the kubelet's message
// with what the node was short of; that it was deleted, and how long it has to stop; that
// its deadline has passed; and the pod's own limit of memory. Everything else of a pod its
// runtime says.
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
	told := map[string]bool{} // the uids of pods whose end was told
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

// maxTold bounds the pods that are remembered.
const maxTold = 4096

// The reasons in the status of a pod that the kubelet ends.
const (
	evicted  = "Evicted"
	deadline = "DeadlineExceeded"
)

// pod is what is used of a v1.Pod.
type pod struct {
	name, namespace, uid, reason, message string
	// limit is that of memory in spec.resources, as the manifest has it; created is when the
	// pod was made.
	limit   string
	created time.Time
	// deleteBy is when a pod that was deleted has to be gone, grace how long before that
	// it was.
	deleteBy time.Time
	grace    time.Duration
}

// take reads a WatchPodsEvent, and tells once that a pod ends.
func take(msg []byte, told map[string]bool, emit func(observe.Observation)) error {
	var p pod
	err := grpcread.Fields(msg, func(f grpcread.Field) error {
		if f.Number != 2 {
			return nil
		}
		return grpcread.Fields(f.Bytes, p.field)
	})
	if err != nil || p.uid == "" {
		return err
	}
	now := time.Now().UTC()
	if p.limit != "" {
		// At the same moment each time, so that it is one word after a new connection too.
		p.says(p.uid+" limit", &incident.Voice{Kind: incident.VoicePodLimit, At: p.created, Text: "spec.resources.limits.memory: " + p.limit}, now, told, emit)
	}
	if v := p.ends(now); v != nil {
		p.says(p.uid, v, now, told, emit)
	}
	return nil
}

// says emits one word of the pod, once.
func (p *pod) says(key string, v *incident.Voice, now time.Time, told map[string]bool, emit func(observe.Observation)) {
	if told[key] {
		return
	}
	told[key] = true
	v.Who, v.Trusted, v.PodUID = "kubelet", true, redact.Cut(p.uid, 64)
	v.PodNamespace, v.PodName = redact.Cut(p.namespace, 256), redact.Cut(p.name, 256)
	v.Text = redact.Line(redact.Cut(v.Text, 1024))
	emit(observe.Observation{At: now, Voice: v})
}

// ends is why the pod ends; nil while it does not.
func (p *pod) ends(now time.Time) *incident.Voice {
	switch {
	case p.reason == evicted:
		return &incident.Voice{Kind: incident.VoiceEvicted, At: now, Text: evicted + ": " + p.message}
	case p.reason == deadline:
		return &incident.Voice{Kind: incident.VoiceEnds, At: now, Text: deadline + ": " + p.message}
	case !p.deleteBy.IsZero():
		return &incident.Voice{Kind: incident.VoiceEnds, At: p.deleteBy.Add(-p.grace), Grace: p.grace, Text: "Deleted: the pod has " + p.grace.String() + " to stop"}
	}
	return nil
}

// field takes one field of a v1.Pod (k8s.io/api's core/v1/generated.proto).
func (p *pod) field(f grpcread.Field) error {
	switch f.Number {
	case 1: // metadata
		return grpcread.Fields(f.Bytes, p.meta)
	case 2: // spec
		return grpcread.Fields(f.Bytes, p.spec)
	case 3: // status
		return grpcread.Texts(f.Bytes, map[int]*string{3: &p.message, 4: &p.reason})
	}
	return nil
}

// spec takes one field of a PodSpec: limits of the pod itself.
func (p *pod) spec(f grpcread.Field) error {
	const resources, limits = 40, 1
	if f.Number != resources {
		return nil
	}
	return grpcread.Fields(f.Bytes, func(f grpcread.Field) error {
		if f.Number != limits {
			return nil
		}
		var name, quantity string
		err := grpcread.Fields(f.Bytes, func(f grpcread.Field) error {
			switch f.Number {
			case 1:
				name = f.Text()
			case 2: // a Quantity, whose one field is its text
				return grpcread.Texts(f.Bytes, map[int]*string{1: &quantity})
			}
			return nil
		})
		if name == "memory" {
			p.limit = redact.Cut(quantity, 32)
		}
		return err
	})
}

// meta takes one field of an ObjectMeta (k8s.io/apimachinery's pkg/apis/meta/v1).
func (p *pod) meta(f grpcread.Field) error {
	switch f.Number {
	case 1:
		p.name = f.Text()
	case 3:
		p.namespace = f.Text()
	case 5:
		p.uid = f.Text()
	case 8: // creationTimestamp
		return second(f.Bytes, &p.created)
	case 9: // deletionTimestamp
		return second(f.Bytes, &p.deleteBy)
	case 10: // deletionGracePeriodSeconds
		p.grace = time.Duration(min(f.Int, maxGrace)) * time.Second
	}
	return nil
}

// second takes a Time, of whole seconds.
func second(b []byte, to *time.Time) error {
	return grpcread.Fields(b, func(f grpcread.Field) error {
		if f.Number == 1 {
			*to = time.Unix(int64(f.Int), 0).UTC()
		}
		return nil
	})
}

// maxGrace bounds a grace period, in seconds.
const maxGrace = 30 * 24 * 3600
