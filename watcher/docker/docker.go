// Package docker is the source that follows a Docker Engine: its event stream,
// its containers' particulars while they can be asked, and their last words.
//
// It only reads. The transport refuses everything but GET and HEAD on the few
// paths it needs, whatever the code above it does.
//
// # What the engine says, and what it does not
//
// Found on Docker 20.10.24 (API 1.41), cgroup v1; the tests repeat it:
//
//   - An ordinary death: create, start (160-220 ms later), die. With an OOM kill
//     oom comes 20-40 ms before die. FinishedAt can lie a millisecond BEFORE
//     StartedAt when a program ends at once.
//   - An OOM kill within the first milliseconds of a run gives no oom event, and
//     OOMKilled stays false: the engine was not listening yet.
//   - docker stop past its grace period: kill (15), kill (9) when the period
//     ends, die 20 ms later, stop 10-40 ms after die. docker kill: kill, die.
//     docker restart: kill, [kill], die, stop, start, restart.
//   - A container that cannot be started: create and NOTHING else, neither start
//     nor die, at the first try and at every later one. The state stays
//     "created", ExitCode becomes 126, 127 or 128 and Error says why. With --rm
//     a destroy follows and the error is gone. So such a start is watched by
//     asking: see startWatch.
//   - docker run --rm: destroy 7-30 ms after die; inspect may still answer then.
//   - While a container is being started an inspect of it waits for the outcome, so
//     the one asked for at create brings its answer now and then after the death
//     of a container that lives for milliseconds.
//   - Attributes of an event are the container's labels with the event's own
//     among them, and a LABEL WINS: a container with the label exitCode=0 dies
//     with exitCode=0 whatever happened. See shadow.
package docker

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/oomwatch/oomwatch/observe"
	"github.com/oomwatch/oomwatch/watcher/logtail"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

// SourceName is the name of the source where one engine alone is followed.
const SourceName = observe.DefaultEngine

// Options say which engine to follow and how.
type Options struct {
	// Name is what the source is called, in observations and in the daemon's state; ""
	// means SourceName. Two engines need two names.
	Name string
	// Host is "unix:///path" or "tcp://host:port". "" means DOCKER_HOST, else
	// the default socket, else the user's own (rootless) one.
	Host string
	// Optional is true for an engine that nobody named: while its socket is not there,
	// nothing is said of it.
	Optional bool
	// Logger may be nil.
	Logger *zap.Logger
	// Registerer may be nil.
	Registerer prometheus.Registerer
	// Since is the time of the last event known, by the engine's clock: the
	// engine is asked to repeat what came after. Zero asks for no repeat.
	Since time.Time
	// LogLines is how many last log lines of a dead container to fetch; 0 for none.
	LogLines int
}

// Source follows one engine. It implements observe.Source.
type Source struct {
	opts    Options
	log     *zap.Logger
	metrics *metrics
	pace    pace
	gauge   gauge
}

// pace is every period and deadline of the source.
type pace struct {
	ping, pingWait   time.Duration // how often to ask whether the engine lives, and for how long to wait
	call             time.Duration // deadline of one inspect, version or info
	list             time.Duration // deadline of the list of containers
	detail           time.Duration // deadline of all that is asked after a death
	minWait, maxWait time.Duration // between two tries to connect
	absentWait       time.Duration // the longest between two looks for a missing socket
	rareWait         time.Duration // the same for one that was never there, and that nobody named
	reconcile        time.Duration // between two full lists while all is well
	settle           time.Duration // quiet time before a list is believed
	cursor           time.Duration // the longest between an event and the cursor that covers it
	ring             int           // events held for the watcher
}

func defaultPace() pace {
	return pace{
		ping: 10 * time.Second, pingWait: 3 * time.Second, call: 5 * time.Second, list: 20 * time.Second, detail: 2 * time.Second,
		minWait: 100 * time.Millisecond, maxWait: 10 * time.Second, absentWait: time.Second, rareWait: 10 * time.Second,
		reconcile: 5 * time.Minute, settle: 100 * time.Millisecond, cursor: time.Second, ring: 4096,
	}
}

// New checks the options. It neither connects nor starts anything; an engine that is away
// is Run's to report. An error tells what is wrong with the host and what to write instead.
func New(opts Options) (*Source, error) {
	if _, err := findHost(opts.Host); err != nil {
		return nil, err
	}
	if opts.LogLines < 0 || opts.LogLines > logtail.MaxLines {
		return nil, errors.New("log lines: want a number from 0 to 1000")
	}
	if opts.Logger == nil {
		opts.Logger = zap.NewNop()
	}
	if opts.Name == "" {
		opts.Name = SourceName
	}
	return &Source{opts: opts, log: opts.Logger.Named(opts.Name), metrics: newMetrics(opts.Registerer), pace: defaultPace(), gauge: newGauge()}, nil
}

// Name implements observe.Source.
func (s *Source) Name() string { return s.opts.Name }

// Run follows the engine until ctx ends, through every outage, and returns nil
// then. What it emits, and in which order:
//
//   - A Host and a SourceState once connected, a SourceState at every change.
//   - Every event, in the engine's order, as it comes; events that the engine
//     repeats are emitted once.
//   - A Container after create, start, rename and update, a Detail after die, as soon as
//     the engine has answered, so after the event and maybe after later events.
//   - After every connect, after a loss, and every few minutes a Reconcile. It is
//     taken beside the stream of events, which it does not hold up. Containers
//     that had events meanwhile are asked again before it is emitted, and its
//     At is when the list was begun: what happened after that may or may not be in it.
func (s *Source) Run(ctx context.Context, emit func(observe.Observation)) error {
	ctx, cancel := context.WithCancel(ctx)
	r := newRun(s, emit)
	var wg sync.WaitGroup
	wg.Go(func() { r.follow(ctx) })
	for range slowWorkers {
		wg.Go(func() { r.work(ctx, r.slow) })
	}
	for range quickWorkers {
		wg.Go(func() { r.work(ctx, r.quick) })
		wg.Go(func() { r.work(ctx, r.deaths) })
	}
	r.loop(ctx, &wg)
	cancel()
	wg.Wait()
	return nil
}
