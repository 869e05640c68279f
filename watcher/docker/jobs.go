package docker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/observe"
	"github.com/oomwatch/oomwatch/redact"
	"github.com/oomwatch/oomwatch/verdict"
	"github.com/oomwatch/oomwatch/watcher/logtail"
)

// Workers ask the engine about single containers. An inspect waits in the engine
// while the container is being started (200 ms and more), so those at create
// have workers of their own, and a death never waits behind them.
const (
	slowWorkers  = 8
	quickWorkers = 4 // for starts and changes, and as many for deaths
)

type jobKind string

const (
	jobCreate jobKind = "create"
	jobStart  jobKind = "start"
	jobChange jobKind = "change" // of its name, or of its limits
	jobCheck  jobKind = "check"  // did a start fail?
	jobDeath  jobKind = "death"
)

// job is a question about a container.
type job struct {
	kind jobKind
	id   string
	at   time.Time // of the event
	// For a death: what is known before, and the Exit itself when it waits
	// for its exit code.
	tty  bool
	rm   bool
	logs bool // its last words are wanted
	// since is when the run began whose log is wanted; zero when not known.
	since time.Time
	exit  *observe.Observation
	disks []incident.Filesystem // what it could write to
}

// answer is what came of a job.
type answer struct {
	job
	doc     *document // nil when it could not be had
	err     error     // why
	runtime string
	tail    logtail.Words
	logErr  error
	unread  string // why disks were not looked at
}

// work answers jobs until ctx ends.
func (r *run) work(ctx context.Context, jobs <-chan job) {
	for {
		select {
		case <-ctx.Done():
			return
		case j := <-jobs:
			a := r.ask(ctx, j)
			select {
			case r.answers <- a:
			case <-ctx.Done():
				return
			}
		}
	}
}

var errAway = errors.New("the engine is away")

func (r *run) ask(ctx context.Context, j job) answer {
	a := answer{job: j}
	c := r.conn.Load()
	if c == nil {
		a.err = errAway
		return a
	}
	a.runtime = c.runtime
	if j.kind != jobDeath {
		a.doc, a.err = c.inspect(ctx, j.id)
		return a
	}
	ctx, cancel := context.WithTimeout(ctx, r.s.pace.detail)
	defer cancel()
	if time.Since(j.at) > time.Minute {
		// An old death, repeated: the container may have run again since, and
		// its log must be cut where this run ended.
		a.doc, a.err = c.inspect(ctx, j.id)
		if j.logs {
			tty := j.tty || a.doc != nil && a.doc.Config != nil && a.doc.Config.Tty
			a.tail, a.logErr = c.logs(ctx, j.id, tty, r.s.opts.LogLines, j.since, j.at.Add(time.Second))
		}
		a.disks, a.unread = nil, "it ended too long ago"
		return a
	}
	// With --rm there are milliseconds: both at once.
	var wg sync.WaitGroup
	wg.Go(func() { a.doc, a.err = c.inspect(ctx, j.id) })
	if j.logs {
		wg.Go(func() { a.tail, a.logErr = c.logs(ctx, j.id, j.tty, r.s.opts.LogLines, j.since, time.Time{}) })
	}
	wg.Wait()
	if a.doc != nil {
		a.disks = a.doc.filesystems()
	}
	// No log at all can mean that there was no room for one.
	silent := j.logs && a.logErr == nil && len(a.tail.Raw) == 0
	if !silent && verdict.FindDiskFull(a.tail.Raw) == nil {
		a.disks = nil
		return a
	}
	// While the filesystem is as the program left it.
	a.disks, a.unread = r.s.gauge.measure(ctx, c.ep, a.disks)
	return a
}

// offer puts a job to its workers; false when too many wait. A full list is
// taken then, which answers the same questions later.
func (r *run) offer(j job) bool {
	jobs := r.quick
	switch j.kind {
	case jobCreate, jobCheck:
		jobs = r.slow
	case jobDeath:
		jobs = r.deaths
	}
	select {
	case jobs <- j:
		return true
	default:
		r.s.metrics.skipped.WithLabelValues(string(j.kind)).Inc()
		r.rec.again = true
		return false
	}
}

// answered turns an answer into observations.
func (r *run) answered(a answer) {
	switch a.kind {
	case jobDeath:
		r.afterDeath(a)
		return
	case jobCheck:
		r.afterCheck(a)
		return
	}
	if a.doc == nil {
		if !isGone(a.err) && !errors.Is(a.err, errAway) {
			r.s.log.Debug("inspect " + string(a.kind) + ": " + a.err.Error())
		}
		if a.kind == jobStart {
			r.emit(observe.Observation{At: a.at, Container: &observe.Container{Container: incident.Container{ID: a.id}, AnswersStart: a.at}})
		}
		return
	}
	if r.known[a.doc.ID] != nil { // else it was removed meanwhile, and would be held for good
		r.learn(a.doc)
	}
	c := a.doc.container(a.runtime)
	if a.kind == jobStart {
		c = atStart(c, a.at)
		if k := r.known[a.id]; k != nil && !k.detailed.Before(a.at) {
			c.PID = 0 // what could be learned of that run has been said
		}
		c.AnswersStart = a.at
	}
	at := a.at
	if c.Exit != nil {
		at = time.Now() // the engine told of the end before it showed it
	}
	r.emit(observe.Observation{At: at, Container: &c})
	if a.kind == jobCreate {
		r.afterCheck(a)
	}
}

// afterDeath emits what was learned after a death, and the death itself where
// it waited for its exit code.
func (r *run) afterDeath(a answer) {
	d := observe.Detail{ID: a.id, DiedAt: a.at, LogTail: a.tail.Shown, RawTail: a.tail.Raw, Problem: problem(a), Filesystems: a.disks, FilesystemsUnread: a.unread}
	if a.doc != nil {
		c := a.doc.container(a.runtime)
		back := !c.FinishedAt.IsZero() && c.StartedAt.Sub(c.FinishedAt) > setBack
		if c.StartedAt.After(a.at) && !back {
			// It runs again: its state is not that of this death any more.
			c.Exit, c.ExitCode, c.FinishedAt = nil, nil, time.Time{}
		}
		d.Inspect = &c
	}
	if a.exit != nil {
		if d.Inspect != nil && d.Inspect.Exit != nil {
			a.exit.Exit.ExitCode = d.Inspect.Exit.ExitCode
		}
		r.emit(*a.exit)
	}
	if k := r.known[a.id]; k != nil {
		k.detailed = a.at
	}
	r.emit(observe.Observation{At: a.at, Detail: &d})
}

// problem says in words what could not be learned, "" when all could.
func problem(a answer) string {
	logErr := a.logErr
	switch {
	case a.err == nil && logErr == nil:
		return ""
	case errors.Is(a.err, errAway):
		return "the engine went away before it could be asked"
	case logErr != nil && a.rm && (isGone(logErr) || a.err == nil || isGone(a.err)):
		return "the container was removed at once (--rm), and its log with it"
	case logErr != nil && isGone(logErr):
		return "the container was removed before its log could be read"
	case errors.Is(a.err, context.DeadlineExceeded) || errors.Is(logErr, context.DeadlineExceeded):
		return "the engine did not answer in time"
	case logErr != nil:
		return fmt.Sprintf("its log cannot be read: %s", redact.Sanitize(redact.Cut(logErr.Error(), 200)))
	case isGone(a.err):
		return "the container was removed before it could be inspected"
	}
	return fmt.Sprintf("it cannot be inspected: %s", redact.Sanitize(redact.Cut(a.err.Error(), 200)))
}
