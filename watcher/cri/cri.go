// Package cri is the source that follows a container runtime of Kubernetes: containerd
// or CRI-O, by the Container Runtime Interface on its unix socket.
//
// It only reads: readCalls are all that the runtime is ever asked.
//
// # What the runtimes say, and what they do not
//
// Found on containerd 1.6.20, 1.7.24, 2.1.9 and 2.4.2; the tests repeat it on 1.6 and 2.x:
//
//   - The moments come from containerd's own events service, in its namespace k8s.io:
//     /tasks/start with the host pid, /tasks/oom, /tasks/exit. An exec's end is a
//     /tasks/exit too, with an id other than its container's; a sandbox has the same
//     events as a container, an OOM of a container among them.
//   - CRI's GetContainerEvents is not asked for: 1.6 has none, 1.7 deals its events out
//     among the subscribers, so that the kubelet would miss those that we get, and 2.x
//     waits for a subscriber that does not read, and with it every container. A
//     subscriber of the events service slows nobody.
//   - Names, limits, the log's path and the reason come from CRI's ContainerStatus.
//   - No event says that somebody asked to stop or to kill: the trace of signals does.
//   - A container that cannot be started: /containers/create and then nothing; its
//     status becomes EXITED, StartError, 128 with a message. Created containers are
//     asked about until they run.
//   - A container has one run: one that is started again is another container.
//   - From 1.7 on a container that ended while containerd was down has the exit code 255
//     and the time of containerd's start.
//   - "OOMKilled" is wrong both ways: on cgroup v1 an OOM kill at the pod's limit, or at
//     one above it, marks every container below; on v2 the exit can overtake it.
//
// Other runtimes have no events that could be followed: their containers are listed each
// second, and who has changed is asked about. Found on CRI-O 1.34.0; TestRecorded repeats it:
//
//   - The pid of a container's main process stays in the verbose answer after its end.
//   - Codes and times of ends while it was down are right: conmon keeps them. Without its
//     conmon a container is listed as running until CRI-O is asked to stop it or starts
//     again; then its code is -1, its end has no time after a start of CRI-O, and each
//     answer about it takes four seconds.
//   - A command that is not there fails the creation: there is no container. A start that
//     fails, as of one killed before it, has the container removed at once.
//   - "OOMKilled" is also what the exit 0 of a container reads whose child was OOM-killed.
//   - ImageFsInfo counts the metadata of images, not their layers.
package cri

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/observe"
	"github.com/oomwatch/oomwatch/watcher/logtail"
)

// Known are the sockets that are looked for where none is named.
var Known = []string{"unix:///run/containerd/containerd.sock", "unix:///run/k3s/containerd/containerd.sock", "unix:///run/crio/crio.sock"}

// Options say which runtime to follow and how.
type Options struct {
	// Name is what the source is called, in observations and in the daemon's state.
	Name string
	// Socket is "unix:///path" or the path alone.
	Socket string
	// Optional is true for a socket that nobody named: while it is missing, or speaks no
	// CRI, nothing is said of it.
	Optional bool
	// Since is the time of the last event known: the last words of what ended after it
	// are asked for.
	Since time.Time
	// LogLines is how many last log lines of a dead container to read; 0 for none.
	LogLines int
	// Measure fills in what is free on the filesystems of a container, and says why nothing
	// could be read of some; nil for nobody.
	Measure func(context.Context, []incident.Filesystem) (out []incident.Filesystem, problem string)
	// Logger may be nil.
	Logger *zap.Logger

	// poll is true for a runtime whose events are not to be followed.
	poll bool
}

// Source follows one runtime. It implements observe.Source.
type Source struct {
	opts   Options
	socket string
	log    *zap.Logger
	pace   pace
}

// pace is every period and deadline of the source.
type pace struct {
	call             time.Duration // deadline of a call
	poll             time.Duration // between two lists, where there are events
	pollAlone        time.Duration // between two lists, where there are none
	reconcile        time.Duration // between two full lists that are told
	settle           time.Duration // from the subscription to the first list
	detail           time.Duration // deadline of all that is asked after a death
	minWait, maxWait time.Duration // between two tries to connect
	absentWait       time.Duration // between two looks for a socket that is not there
	rareWait         time.Duration // the same for one that was never there, and that nobody named
	ring             int           // events held for the loop
}

func defaultPace() pace {
	return pace{call: 3 * time.Second, poll: 5 * time.Second, pollAlone: time.Second, reconcile: 5 * time.Minute, settle: 200 * time.Millisecond,
		detail: 2 * time.Second, minWait: 100 * time.Millisecond, maxWait: 10 * time.Second, absentWait: time.Second, rareWait: 10 * time.Second, ring: 4096}
}

// names are what the sources of the known sockets are called.
var names = map[string]string{Known[0]: "containerd", Known[1]: "containerd k3s", Known[2]: "cri-o"}

// NameOf is what the source of a socket is called.
func NameOf(socket string) string {
	if n := names[socket]; n != "" {
		return n
	}
	return "cri " + socket
}

// SocketPath is the path of a socket as it is written: "unix:///run/x.sock", or a path.
func SocketPath(s string) (string, error) {
	p := strings.TrimPrefix(s, "unix://")
	if !filepath.IsAbs(p) {
		return "", fmt.Errorf("%q is no socket of a runtime: write unix:///run/containerd/containerd.sock", s)
	}
	return filepath.Clean(p), nil
}

// New checks the options. It neither connects nor starts anything; a runtime that is away
// is Run's to report.
func New(opts Options) (*Source, error) {
	socket, err := SocketPath(opts.Socket)
	if err != nil {
		return nil, err
	}
	if opts.LogLines < 0 || opts.LogLines > logtail.MaxLines {
		return nil, errors.New("log lines: want a number from 0 to 1000")
	}
	if opts.Logger == nil {
		opts.Logger = zap.NewNop()
	}
	if opts.Name == "" {
		opts.Name = NameOf(opts.Socket)
	}
	return &Source{opts: opts, socket: socket, log: opts.Logger.Named(opts.Name), pace: defaultPace()}, nil
}

// Name implements observe.Source.
func (s *Source) Name() string { return s.opts.Name }

// Run follows the runtime until ctx ends, through every outage, and returns nil then. It
// emits a SourceState at every change; after each connect, and every few minutes, a List;
// an Event at a start, an OOM and a removal, with a Container after the start; an Exit at
// each end, and a Detail after it.
func (s *Source) Run(ctx context.Context, emit func(observe.Observation)) error {
	ctx, cancel := context.WithCancel(ctx)
	r := newRun(s, emit)
	var wg sync.WaitGroup
	wg.Go(func() { r.follow(ctx) })
	for range workers {
		wg.Go(func() { r.work(ctx) })
	}
	r.loop(ctx)
	cancel()
	wg.Wait()
	return nil
}
