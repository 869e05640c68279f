package cri

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/internal/grpcread"
	"github.com/oomwatch/oomwatch/redact"
	"github.com/oomwatch/oomwatch/watcher/logtail"
)

// workers is how many questions about single containers run at once.
const workers = 4

type jobKind int

const (
	jobLook  jobKind = iota // it is new, or has changed
	jobStart                // it has started
	jobList                 // for a full list
	jobDeath                // what can be learned after its end
)

// job is a question about a container.
type job struct {
	kind jobKind
	id   string
	// at is when it ended, logs whether its last words are wanted, last what was known of
	// it before; for jobDeath.
	at   time.Time
	logs bool
	last *status
	full *fullList // of jobList
	// fresh is true for an id of which it is not known what it is: a sandbox, of which a
	// status would be an error in the runtime's log, or a container.
	fresh bool
}

// answer is what came of a job.
type answer struct {
	job
	status  *status
	pod     *sandbox // nil where it could not be asked
	runtime string
	err     error
	tail    logtail.Words
	logErr  error
	// disks are the filesystems that it could write to, unread why not all were looked at.
	disks  []incident.Filesystem
	unread string
}

var errAway = errors.New("the runtime is away")

// ask has a worker answer a job.
func (r *run) ask(j job) {
	k := r.get(j.id)
	if j.kind == jobLook || j.kind == jobStart {
		if k.asked {
			k.again = true
			return
		}
		k.asked, j.fresh = true, !k.told
	}
	r.overflow = append(r.overflow, j)
}

// work answers jobs until ctx ends.
func (r *run) work(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case j := <-r.jobs:
			a := r.answer(ctx, j)
			select {
			case r.answers <- a:
			case <-ctx.Done():
				return
			}
		}
	}
}

func (r *run) answer(ctx context.Context, j job) answer {
	a := answer{job: j}
	c := r.conn.Load()
	switch {
	case c == nil:
		a.err = errAway
	case j.kind == jobDeath && j.last != nil && j.last.exitCode == noCode:
		a.runtime, a.status = c.runtime, j.last // CRI-O would look again for what is nowhere
	default:
		a.runtime = c.runtime
		if j.kind == jobDeath {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, r.s.pace.detail)
			defer cancel()
			a.status, a.err = ended(ctx, c.client, j.id)
		} else if a.err = c.client.known(ctx, &j); a.err == nil {
			a.status, a.err = c.client.status(ctx, j.id)
		}
	}
	known := j.last
	if a.status != nil {
		known = a.status
		if c != nil {
			a.pod = r.pods.of(ctx, c.client, a.status.sandbox)
		}
	}
	if j.kind == jobDeath && j.logs {
		if known == nil || known.logPath == "" {
			a.logErr = errors.New("the runtime keeps no log of it")
		} else {
			a.tail, a.logErr = readLog(known.logPath, r.s.opts.LogLines)
		}
	}
	if j.kind == jobDeath && known != nil && r.s.opts.Measure != nil {
		// While the filesystem is as the program left it.
		a.disks, a.unread = r.s.opts.Measure(ctx, known.places().Filesystems)
	}
	return a
}

// known is an error, that of a container that is gone, for a fresh id that is no
// container's.
func (c *client) known(ctx context.Context, j *job) error {
	if !j.fresh {
		return nil
	}
	entries, err := c.list(ctx, j.id)
	if err == nil && len(entries) == 0 {
		err = &grpcread.Status{Code: grpcread.NotFound, Message: "no such container"}
	}
	return err
}

// ended asks until the runtime shows the end: it does so some milliseconds after its
// event, when the log is whole.
func ended(ctx context.Context, c *client, id string) (*status, error) {
	for {
		s, err := c.status(ctx, id)
		if err != nil || s.state == exited || ctx.Err() != nil {
			return s, err
		}
		sleep(ctx, 20*time.Millisecond)
	}
}

// problem says in words what could not be learned after a death, "" when all could.
func problem(a *answer) string {
	switch {
	case a.logErr != nil:
		return "its log cannot be read: " + redact.Sanitize(redact.Cut(a.logErr.Error(), 200))
	case a.err == nil:
		return ""
	case isGone(a.err):
		return "the container was removed before it could be inspected"
	}
	return "it cannot be inspected: " + redact.Sanitize(redact.Cut(a.err.Error(), 200))
}

// podCache holds the sandboxes that were asked for.
type podCache struct {
	mu  sync.Mutex
	all map[string]*sandbox
}

// maxPods bounds the sandboxes that are remembered.
const maxPods = 4096

// of returns a sandbox; nil where it cannot be had, as when it is gone.
func (p *podCache) of(ctx context.Context, c *client, id string) *sandbox {
	if id == "" {
		return nil
	}
	p.mu.Lock()
	s := p.all[id]
	p.mu.Unlock()
	if s != nil {
		return s
	}
	s, err := c.sandbox(ctx, id)
	if err != nil {
		return nil // the container's own labels name the pod
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.all) >= maxPods {
		clear(p.all)
	}
	p.all[id] = s
	return s
}
