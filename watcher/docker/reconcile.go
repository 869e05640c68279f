package docker

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/client"
	"github.com/oomwatch/oomwatch/observe"
	"go.uber.org/zap"
)

// listWorkers is how many inspects of many containers run at once.
const listWorkers = 4

// maxRounds is how often containers that keep changing are asked again before
// the list is taken as it is.
const maxRounds = 3

// reconcile is a full list in the making.
type reconcile struct {
	again   bool      // one is wanted
	running bool      // one is being made
	waiting bool      // the engine is being asked; an answer will come
	due     time.Time // when the next step is to be made
	stay    *connection
	at      time.Time // when it was begun
	found   map[string]observe.Container
	touched map[string]bool // containers that had events meanwhile
	round   int
	weak    *trouble // what could not be asked
}

// touch notes that a container had an event, so that what a list being made
// says of it may be old.
func (rec *reconcile) touch(id string) {
	if rec.running {
		rec.touched[id] = true
	}
}

// listing is the answer to a list, or to the inspects of some containers.
type listing struct {
	stay    *connection
	all     bool
	docs    map[string]*document // nil value: gone
	plain   map[string]observe.Container
	runtime string
	err     error
	denied  error
}

// stepReconcile makes the next step of a full list, if it is time for one.
func (r *run) stepReconcile(ctx context.Context, now time.Time) {
	rec := &r.rec
	c := r.conn.Load()
	if c == nil || rec.running && c != rec.stay {
		// The connection it was asked on is gone; the next one begins anew.
		*rec = reconcile{again: true}
	}
	switch {
	case c == nil || rec.waiting:
	case !rec.running && (rec.again || !rec.due.IsZero() && !now.Before(rec.due)):
		*rec = reconcile{running: true, waiting: true, stay: c, at: now, touched: map[string]bool{}, found: map[string]observe.Container{}}
		r.spawn(ctx, func() listing { return listAll(ctx, c) })
	case rec.running && !now.Before(rec.due):
		if len(rec.touched) == 0 || rec.round == maxRounds {
			r.reconciled(now)
			return
		}
		ids := make([]string, 0, len(rec.touched))
		for id := range rec.touched {
			ids = append(ids, id)
		}
		clear(rec.touched)
		rec.round++
		rec.waiting = true
		r.spawn(ctx, func() listing { return inspectMany(ctx, c, ids) })
	}
}

// spawn runs a question beside the loop.
func (r *run) spawn(ctx context.Context, ask func() listing) {
	r.wg.Go(func() {
		l := ask()
		select {
		case r.lists <- l:
		case <-ctx.Done():
		}
	})
}

// listAll asks for every container, and for each.
func listAll(ctx context.Context, c *connection) listing {
	lctx, cancel := context.WithTimeout(ctx, c.pace.list)
	defer cancel()
	res, err := c.cli.ContainerList(lctx, client.ContainerListOptions{All: true})
	if err != nil {
		return listing{stay: c, all: true, err: err}
	}
	ids := make([]string, len(res.Items))
	plain := make(map[string]observe.Container, len(res.Items))
	for i := range res.Items {
		ids[i] = res.Items[i].ID
		plain[ids[i]] = fromSummary(&res.Items[i], c.runtime)
	}
	l := inspectMany(ctx, c, ids)
	l.all, l.plain = true, plain
	return l
}

// inspectMany asks for some containers.
func inspectMany(ctx context.Context, c *connection, ids []string) listing {
	l := listing{stay: c, docs: make(map[string]*document, len(ids)), runtime: c.runtime}
	ask := func(id string) (*document, error) { return c.inspect(ctx, id) }
	askEach(ctx, ids, ask, func(id string, doc *document, err error) {
		switch {
		case err == nil:
			l.docs[id] = doc
		case isGone(err):
			l.docs[id] = nil
		default:
			l.denied = err
		}
	})
	return l
}

// askEach asks about containers, a few at a time, and gives take one answer after the
// other. The end of ctx ends it, and so does a refusal: a proxy that forbids one inspect
// forbids all.
func askEach[T any](ctx context.Context, ids []string, ask func(id string) (T, error), take func(id string, answer T, err error)) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	var refused atomic.Bool
	todo := make(chan string)
	for range min(listWorkers, len(ids)) {
		wg.Go(func() {
			for id := range todo {
				a, err := ask(id)
				if cerrdefs.IsPermissionDenied(err) {
					refused.Store(true)
				}
				mu.Lock()
				take(id, a, err)
				mu.Unlock()
			}
		})
	}
	for _, id := range ids {
		if ctx.Err() != nil || refused.Load() {
			break
		}
		todo <- id
	}
	close(todo)
	wg.Wait()
}

// listed takes the engine's answer into the list being made.
func (r *run) listed(l listing) {
	rec := &r.rec
	if !rec.running || rec.stay != l.stay {
		return
	}
	rec.waiting = false
	if l.err != nil {
		t := diagnose(l.stay.ep, "GET /containers/json", l.err)
		t.reason = "containers cannot be listed: " + t.reason
		r.sayWeak(t)
		*rec = reconcile{due: time.Now().Add(r.s.pace.maxWait)}
		return
	}
	if l.denied != nil && l.all {
		rec.weak = diagnose(l.stay.ep, "GET /containers/ID/json", l.denied)
		rec.weak.reason = "containers cannot be inspected, so limits and errors are not known: " + rec.weak.reason
	}
	for id, doc := range l.docs {
		if doc == nil {
			delete(rec.found, id)
			continue
		}
		r.learn(doc)
		rec.found[id] = doc.container(l.runtime)
		switch s := doc.State; {
		case s == nil || s.Status != stateCreated:
		case s.Error == "":
			r.watchStartSlowly(id, time.Now())
		default:
			// The list tells it.
			r.get(id).failed = true
		}
	}
	for id, c := range l.plain {
		if _, asked := l.docs[id]; !asked {
			rec.found[id] = c
		}
	}
	rec.due = time.Now().Add(r.s.pace.settle)
}

// reconciled emits the list.
func (r *run) reconciled(now time.Time) {
	rec := &r.rec
	out := observe.List{Containers: make([]observe.Container, 0, len(rec.found))}
	for _, c := range rec.found {
		out.Containers = append(out.Containers, c)
	}
	r.lastWords(out.Containers)
	slices.SortFunc(out.Containers, func(a, b observe.Container) int { return strings.Compare(a.ID, b.ID) })
	for id := range r.known {
		if _, ok := rec.found[id]; !ok {
			delete(r.known, id)
		}
	}
	for id := range r.checks {
		if _, ok := rec.found[id]; !ok {
			delete(r.checks, id)
		}
	}
	r.sayWeak(rec.weak)
	at, again := rec.at, rec.again
	*rec = reconcile{again: again, due: now.Add(r.s.pace.reconcile)}
	r.s.log.Debug("reconciled", zap.Int("containers", len(out.Containers)), zap.Duration("took", now.Sub(at)))
	r.emit(observe.Observation{At: at, List: &out})
}

// maxListed bounds the ends of one list whose last words are asked for: a host may
// keep thousands of containers that ended long ago.
const maxListed = 64

// lastWords asks for the last words of the newest ends in a list that no event told
// of, and that came after what is already known of the engine.
func (r *run) lastWords(list []observe.Container) {
	if r.s.opts.LogLines == 0 || r.s.opts.Since.IsZero() {
		return
	}
	var ends []*observe.Container
	for i := range list {
		c := &list[i]
		if c.Exit == nil || c.Exit.ExitCode == 0 || c.Exit.FinishedAt.IsZero() || c.Exit.FinishedAt.Before(r.s.opts.Since) {
			continue
		}
		if k := r.known[c.ID]; k != nil && k.ended.Before(c.Exit.FinishedAt) {
			ends = append(ends, c)
		}
	}
	slices.SortFunc(ends, func(a, b *observe.Container) int { return b.Exit.FinishedAt.Compare(a.Exit.FinishedAt) })
	for _, c := range ends[:min(len(ends), maxListed)] {
		k, end := r.known[c.ID], c.Exit.FinishedAt
		j := job{kind: jobDeath, id: c.ID, at: end, tty: k.tty, rm: k.rm, disks: k.disks, logs: true}
		if !c.StartedAt.IsZero() {
			j.since = c.StartedAt.Add(-early)
		}
		select {
		case r.deaths <- j:
			c.DetailPending, k.ended, k.listed = true, end, true
		default: // the next list asks
		}
	}
}

// sayWeak says that the source is up and what does not work all the same; nil
// for nothing. It leaves a source that is down alone.
func (r *run) sayWeak(t *trouble) {
	if !r.state.Up {
		return
	}
	if c := r.conn.Load(); t == nil && c != nil {
		t = c.weak
	}
	st := observe.SourceState{Name: r.s.Name(), Kind: observe.KindEngine, Up: true}
	if t != nil {
		st.Reason, st.Fix = t.reason, t.fix
	}
	r.say(st, time.Now())
}
