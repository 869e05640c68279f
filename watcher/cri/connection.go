package cri

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/internal/grpcread"
	"github.com/oomwatch/oomwatch/redact"
)

// connection is one stay with a runtime.
type connection struct {
	client *client
	// runtime is "containerd", "cri-o" or the runtime's own name.
	runtime string
	host    incident.Host
	events  bool // its events are followed
}

// trouble is what does not work, in words, and what to do.
type trouble struct {
	reason, fix string
	// absent is true where the socket is not there, mute where what listens speaks no CRI.
	absent, mute bool
}

// note is a word from the connection to the loop.
type note struct {
	at        time.Time
	connected *connection
	listed    *listing
	trouble   *trouble
}

// listing is the runtime's list, and when it was asked for.
type listing struct {
	conn    *connection
	at      time.Time
	entries []entry
}

// connect asks the runtime who it is.
func connect(ctx context.Context, s *Source) (*connection, *trouble) {
	if _, err := os.Stat(s.socket); errors.Is(err, fs.ErrNotExist) {
		return nil, diagnose(s.socket, err) // a look costs less than a client
	}
	c := newClient(s.socket, s.pace.call)
	v, err := c.version(ctx)
	if err != nil {
		c.close()
		return nil, diagnose(s.socket, err)
	}
	runtime := runtimeName(v.name)
	return &connection{client: c, runtime: runtime, events: runtime == "containerd" && !s.opts.poll,
		host: incident.Host{Engine: redact.Sanitize(redact.Cut(strings.TrimSpace(runtime+" "+v.version), 64))}}, nil
}

// runtimeName is the runtime's name as incidents give it.
func runtimeName(said string) string {
	switch n := strings.ToLower(said); n {
	case "containerd":
		return n
	case "cri-o", "crio":
		return "cri-o"
	default:
		return redact.Sanitize(redact.Cut(n, 32))
	}
}

// follow connects, follows and connects again until ctx ends.
func (r *run) follow(ctx context.Context) {
	wait, met := r.s.pace.minWait, false
	for ctx.Err() == nil {
		begin := time.Now()
		t := r.session(ctx)
		if ctx.Err() != nil {
			return
		}
		r.inbox.tell(note{at: time.Now(), trouble: t})
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
		sleep(ctx, wait/2+rand.N(wait/2+1))
		wait *= 2
	}
}

// sleep waits, or less where ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// session is one stay: it follows the events, lists now and then, and returns why it ended.
func (r *run) session(ctx context.Context) *trouble {
	c, t := connect(ctx, r.s)
	if t != nil {
		return t
	}
	defer c.client.close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	every := r.s.pace.pollAlone
	if c.events {
		every = r.s.pace.poll
		go func() { ended <- c.client.subscribe(ctx, r.inbox.put) }()
		defer func() { cancel(); <-ended }()
		// The first word of the stream comes with the first event: that it is open is
		// not told, only that it is refused. What happens before it is finds its place
		// in the list.
		select {
		case err := <-ended:
			ended <- err
			return broken(r.s.socket, err)
		case <-time.After(r.s.pace.settle):
		}
	}
	r.conn.Store(c)
	defer r.conn.CompareAndSwap(c, nil)
	r.inbox.tell(note{at: time.Now(), connected: c})
	for {
		at := time.Now()
		entries, err := c.client.list(ctx, "")
		if err != nil {
			return diagnose(r.s.socket, err)
		}
		r.inbox.tell(note{at: at, listed: &listing{conn: c, at: at, entries: entries}})
		timer := time.NewTimer(every)
		select {
		case <-ctx.Done():
			timer.Stop()
			return &trouble{reason: "ending"}
		case <-r.listNow:
			timer.Stop()
		case <-timer.C:
		case err := <-ended:
			timer.Stop()
			ended <- err
			return broken(r.s.socket, err)
		}
	}
}

// broken is the trouble of an event stream that has ended.
func broken(socket string, err error) *trouble {
	if err == nil {
		err = io.EOF
	}
	return diagnose(socket, err)
}

// diagnose says in words why a call failed.
func diagnose(socket string, err error) *trouble {
	t := &trouble{reason: redact.Sanitize(redact.Cut(err.Error(), 300)), fix: "look at the runtime: systemctl status containerd (or crio), journalctl -u containerd"}
	var status *grpcread.Status
	switch {
	case errors.Is(err, fs.ErrNotExist):
		t.absent, t.reason, t.fix = true, socket+" is not there", "start the runtime, or name its socket with --cri unix:///PATH"
	case errors.Is(err, fs.ErrPermission):
		t.reason, t.fix = socket+" may not be opened", "run oomwatch as root: a runtime's socket is root's alone"
	case errors.Is(err, syscall.ECONNREFUSED):
		t.absent, t.reason = true, "nobody listens on "+socket
	case errors.Is(err, context.DeadlineExceeded), grpcread.IsCode(err, grpcread.DeadlineExceeded):
		t.reason = "the runtime does not answer on " + socket
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		t.reason = "the runtime at " + socket + " ended the connection"
	case grpcread.IsCode(err, grpcread.Unimplemented):
		t.mute, t.reason = true, "what listens on "+socket+" serves no CRI v1"
		t.fix = "enable containerd's CRI plugin (disabled_plugins in /etc/containerd/config.toml), or leave this socket out with --cri off"
	case errors.As(err, &status):
		t.reason = fmt.Sprintf("the runtime at %s answers: %s", socket, redact.Sanitize(redact.Cut(status.Message, 300)))
	}
	return t
}
