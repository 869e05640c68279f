package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/client"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/redact"
	"github.com/oomwatch/oomwatch/watcher/logtail"
)

// connection is one stay with an engine: from a successful negotiation to the
// end of its event stream.
type connection struct {
	ep      endpoint
	pace    pace
	cli     *client.Client
	pinger  *client.Client // on a connection of its own
	opened  *atomic.Bool   // the event stream was granted
	close   func()
	runtime string        // "docker" or "podman"
	host    incident.Host // what the engine says of itself
	weak    *trouble      // what does not work though the stream does
}

// connect negotiates with the engine and asks who it is.
func connect(ctx context.Context, s *Source) (*connection, *trouble) {
	ep, err := findHost(s.opts.Host)
	if err != nil {
		return nil, &trouble{reason: err.Error(), fix: "fix DOCKER_HOST or --docker"}
	}
	if ep.proto == "unix" {
		// Most hosts lack one engine or another, and a look costs less than a client.
		if _, err := os.Stat(ep.addr); errors.Is(err, fs.ErrNotExist) {
			return nil, diagnoseSocket(ep)
		}
	}
	cli, t1, err := ep.client(s.metrics)
	if err != nil {
		return nil, &trouble{reason: err.Error(), fix: "check DOCKER_CERT_PATH, DOCKER_TLS_VERIFY and DOCKER_API_VERSION"}
	}
	pinger, t2, err := ep.client(s.metrics)
	if err != nil {
		return nil, &trouble{reason: err.Error(), fix: "check DOCKER_CERT_PATH, DOCKER_TLS_VERIFY and DOCKER_API_VERSION"}
	}
	c := &connection{ep: ep, pace: s.pace, cli: cli, pinger: pinger, opened: &t1.streaming, runtime: "docker", close: func() {
		t1.next.CloseIdleConnections()
		t2.next.CloseIdleConnections()
	}}
	if err := c.negotiate(ctx); err != nil {
		c.close()
		return nil, diagnose(ep, "ping", err)
	}
	if err := c.askVersion(ctx); err != nil {
		// Who it is matters less than what it says.
		c.host.Engine = c.runtime
		c.weak = diagnose(ep, "GET /version", err)
		if ctx.Err() != nil || errors.Is(err, context.DeadlineExceeded) {
			c.close()
			return nil, c.weak
		}
	}
	return c, nil
}

func (c *connection) negotiate(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.pace.pingWait)
	defer cancel()
	_, err := c.cli.Ping(ctx, client.PingOptions{NegotiateAPIVersion: true})
	return err
}

func (c *connection) askVersion(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.pace.call)
	defer cancel()
	v, err := c.cli.ServerVersion(ctx, client.ServerVersionOptions{})
	if err != nil {
		return err
	}
	version := v.Version
	for _, part := range v.Components {
		if strings.HasPrefix(part.Name, "Podman") {
			c.runtime, version = "podman", part.Version
		}
	}
	c.host.Engine = redact.Sanitize(redact.Cut(strings.TrimSpace(c.runtime+" "+version), 64))
	return nil
}

// subscribe opens the event stream. since zero asks for live events only. The
// stream ends with cancel.
func (c *connection) subscribe(ctx context.Context, since time.Time) (client.EventsResult, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	opts := client.EventsListOptions{Filters: make(client.Filters).Add("type", "container")}
	for _, a := range actions {
		opts.Filters.Add("event", string(a))
	}
	if !since.IsZero() {
		opts.Since = stamp(since)
	}
	// Events returns once the engine has begun to answer; a frozen one never does.
	patience := time.AfterFunc(c.pace.call, cancel)
	res := c.cli.Events(ctx, opts)
	patience.Stop()
	return res, cancel
}

// stamp writes a time as the engine takes one: seconds with nine decimals.
func stamp(t time.Time) string { return fmt.Sprintf("%d.%09d", t.Unix(), t.Nanosecond()) }

// lookBack is how far back the engine is asked for its oldest event by the doctor.
const lookBack = 30 * 24 * time.Hour

// oldestEvent is the time of the oldest event of any sort that the engine still holds,
// not older than since; zero where it holds none, or gives no answer. It keeps the newest
// few hundred, and none over a restart of its own.
func oldestEvent(ctx context.Context, cli *client.Client, since time.Time) time.Time {
	res := cli.Events(ctx, client.EventsListOptions{Since: stamp(since), Until: stamp(time.Now())})
	select {
	case m := <-res.Messages:
		return eventTime(m)
	case <-res.Err:
	case <-ctx.Done():
	}
	return time.Time{}
}

// sayReach says how far back the events reach that the engine was asked to repeat.
func (r *run) sayReach(ctx context.Context, c *connection, since time.Time) {
	if since.IsZero() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, c.pace.call)
	defer cancel()
	if at := oldestEvent(ctx, c.pinger, since); !at.IsZero() {
		r.inbox.tell(note{at: time.Now(), reach: at})
	}
}

// ping asks whether the engine lives.
func (c *connection) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.pace.pingWait)
	defer cancel()
	_, err := c.pinger.Ping(ctx, client.PingOptions{})
	return err
}

func (c *connection) inspect(ctx context.Context, id string) (*document, error) {
	ctx, cancel := context.WithTimeout(ctx, c.pace.call)
	defer cancel()
	res, err := c.cli.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
	if err != nil {
		return nil, err
	}
	return documentOf(&res.Container), nil
}

// logs fetches the last lines of a container, as many of them to show as lines;
// since and until, where set, bound them.
func (c *connection) logs(ctx context.Context, id string, tty bool, lines int, since, until time.Time) (logtail.Words, error) {
	kept := max(lines, logtail.Judged)
	opts := client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true, Tail: strconv.Itoa(kept)}
	if !since.IsZero() {
		opts.Since = stamp(since)
	}
	if !until.IsZero() {
		// The engine takes the tail first and cuts at the time then, so lines
		// of the next run push out those that are wanted: ask for more.
		opts.Tail = strconv.Itoa(20 * kept)
		opts.Until = stamp(until)
	}
	r, err := c.cli.ContainerLogs(ctx, id, opts)
	if err != nil {
		return logtail.Words{}, err
	}
	defer r.Close()
	return readTail(r, tty, lines)
}

// isGone is true when the engine knows no such container (any more).
func isGone(err error) bool { return cerrdefs.IsNotFound(err) }

// follow connects, reads and connects again until ctx ends.
func (r *run) follow(ctx context.Context) {
	wait, met := r.s.pace.minWait, false
	for first := true; ; first = false {
		if !first {
			r.s.metrics.reconnects.Inc()
		}
		begin := time.Now()
		t := r.session(ctx)
		if ctx.Err() != nil {
			return
		}
		if time.Since(begin) > r.s.pace.maxWait {
			wait = r.s.pace.minWait
		}
		most := r.s.pace.maxWait
		met = met || !t.absent
		switch {
		case t.absent && !met && r.s.opts.Optional:
			most = r.s.pace.rareWait
		case t.absent:
			most = r.s.pace.absentWait
		}
		wait = min(wait, most)
		pause := time.NewTimer(wait/2 + rand.N(wait/2+1))
		select {
		case <-ctx.Done():
			pause.Stop()
			return
		case <-pause.C:
		}
		wait *= 2
	}
}

// session is one try: it connects and reads events until the stream ends, and
// returns why it did.
func (r *run) session(ctx context.Context) *trouble {
	c, t := connect(ctx, r.s)
	if t != nil {
		r.inbox.tell(note{at: time.Now(), trouble: t})
		return t
	}
	defer c.close()
	since := r.since()
	begin := time.Now()
	res, stop := c.subscribe(ctx, since)
	defer stop()
	if !c.opened.Load() {
		err := <-res.Err
		if errors.Is(err, context.Canceled) && ctx.Err() == nil {
			err = context.DeadlineExceeded
		}
		t := diagnose(c.ep, "GET /events", err)
		r.inbox.tell(note{at: time.Now(), trouble: t})
		return t
	}
	r.connectedAt.CompareAndSwap(0, begin.UnixNano())
	r.conn.Store(c)
	defer r.conn.CompareAndSwap(c, nil)
	r.inbox.tell(note{at: begin, connected: c})

	pings, stopPings := context.WithCancel(ctx)
	pinged := make(chan struct{})
	go func() {
		defer close(pinged)
		r.sayReach(pings, c, since)
		r.watchPings(pings, c)
	}()
	err := r.read(ctx, res)
	stopPings()
	<-pinged

	at := time.Now()
	t = diagnose(c.ep, "event stream", err)
	if ctx.Err() == nil && errors.Is(err, io.EOF) && c.ping(ctx) == nil {
		// A proxy cut the stream, or the engine dropped us: it is there, so
		// the stream is made again before anybody calls it down.
		return t
	}
	r.inbox.tell(note{at: at, trouble: t})
	return t
}

// read takes events off the stream and does nothing else.
func (r *run) read(ctx context.Context, res client.EventsResult) error {
	for {
		select {
		case m := <-res.Messages:
			if n := eventTime(m).UnixNano(); n > r.lastEvent.Load() || r.lastEvent.Load()-n > setBack.Nanoseconds() {
				r.lastEvent.Store(n)
			}
			r.inbox.put(slim(m))
		case err := <-res.Err:
			if err == nil {
				err = io.EOF
			}
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// replayBack is how far before the last event the engine is asked to repeat:
// stamps are not in the order of arrival when several containers act at once.
const replayBack = 2 * time.Second

// since is from when the engine is asked to repeat events: nothing must be
// missed, and what comes twice is dropped.
func (r *run) since() time.Time {
	last := r.lastEvent.Load()
	if last == 0 {
		last = r.connectedAt.Load()
	}
	if last == 0 {
		return time.Time{}
	}
	return time.Unix(0, max(0, last-replayBack.Nanoseconds()))
}

// watchPings notices an engine that is there and does not answer: a quiet event stream
// is no proof of life.
func (r *run) watchPings(ctx context.Context, c *connection) {
	tick := time.NewTicker(r.s.pace.ping)
	defer tick.Stop()
	silent := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		at := time.Now()
		err := c.ping(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !silent:
			t := diagnose(c.ep, "ping", err)
			if errors.Is(err, context.DeadlineExceeded) {
				t = &trouble{reason: fmt.Sprintf("%s does not answer (no reply to a ping within %s)", c.runtime, c.pace.pingWait),
					fix: c.ep.fixLook()}
			}
			r.inbox.tell(note{at: at, trouble: t})
		case err == nil && silent:
			r.inbox.tell(note{at: time.Now(), answers: true})
		}
		silent = err != nil
	}
}
