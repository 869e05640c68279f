package cri

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/observe"
)

// fullList is a list of all containers in the making.
type fullList struct {
	at    time.Time
	wait  map[string]bool // those that were asked about and not answered
	found []observe.Container
}

// listed takes the runtime's list. The first of a connection is told as a whole, and so is
// one every few minutes; the others only show what no event told.
func (r *run) listed(l *listing) {
	if r.first || !r.reconciled.IsZero() && l.at.Sub(r.reconciled) > r.s.pace.reconcile {
		r.first, r.reconciled = false, l.at
		r.beginFull(l)
		return
	}
	in := make(map[string]bool, len(l.entries))
	for _, e := range l.entries {
		in[e.id] = true
		k := r.get(e.id)
		k.pod = false
		seen := created
		if k.last != nil {
			seen = k.last.state
		}
		if !k.told || e.state == running && seen == created || e.state == exited && !k.ended {
			r.ask(job{kind: jobLook, id: e.id})
		}
	}
	for id, k := range r.known {
		if k.told && !in[id] && !k.asked && k.toldAt.Before(l.at) && len(r.overflow) == 0 {
			r.emit(observe.Observation{At: l.at, Event: &observe.Event{ID: id, Kind: observe.Removed}})
			delete(r.known, id)
		}
	}
}

// beginFull asks about every container that may have changed.
func (r *run) beginFull(l *listing) {
	f := &fullList{at: l.at, wait: map[string]bool{}}
	r.full = f
	for _, e := range l.entries {
		r.get(e.id).pod = false
		f.wait[e.id] = true
		r.ask(job{kind: jobList, id: e.id, full: f})
	}
	r.endFull()
}

// intoFull takes an answer into the list.
func (r *run) intoFull(a answer) {
	f := a.full
	if f != r.full {
		return
	}
	delete(f.wait, a.id)
	k := r.known[a.id]
	switch {
	case errors.Is(a.err, errAway):
		r.full = nil // the next connection begins anew
		return
	case a.status != nil && k != nil:
		k.last = a.status
		c := a.status.container(a.runtime, a.pod, k.pid)
		if c.State == "created" {
			r.watchStart(k, time.Now())
		} else if !a.status.failed() {
			k.startedAt = a.status.started
		}
		k.told, k.toldAt = true, time.Now()
		f.found = append(f.found, c)
	case a.err != nil && !isGone(a.err):
		// It is there, whatever else it is: one that is left out was removed.
		f.found = append(f.found, observe.Container{Container: incident.Container{ID: a.id}})
	}
	r.endFull()
}

// maxListed bounds the ends of one list whose last words are asked for.
const maxListed = 64

// endFull emits the list once all have answered.
func (r *run) endFull() {
	f := r.full
	if len(f.wait) > 0 {
		return
	}
	r.full = nil
	slices.SortFunc(f.found, func(a, b observe.Container) int { return strings.Compare(a.ID, b.ID) })
	words := 0
	var after []*known
	in := make(map[string]bool, len(f.found))
	for i := range f.found {
		c := &f.found[i]
		in[c.ID] = true
		k := r.known[c.ID]
		if k == nil {
			continue
		}
		if c.Exit != nil && !k.ended {
			k.ended = true
			if words < maxListed && wantsWords(c.Exit, r.s.opts.Since) && r.s.opts.LogLines > 0 {
				words++
				c.DetailPending = true
				r.ask(job{id: c.ID, kind: jobDeath, at: c.Exit.FinishedAt, logs: true, last: k.last})
			}
		}
		if len(k.held) > 0 {
			after = append(after, k)
		}
	}
	for id, k := range r.known {
		if k.told && !in[id] && k.toldAt.Before(f.at) {
			delete(r.known, id)
		}
	}
	r.emit(observe.Observation{At: f.at, List: &observe.List{Containers: f.found}})
	for _, k := range after {
		r.flush(k)
	}
}

// wantsWords is true for an end that is news: after what is already known of the runtime.
func wantsWords(x *incident.Exit, since time.Time) bool {
	return x.ExitCode != 0 && !x.FinishedAt.IsZero() && !since.IsZero() && x.FinishedAt.After(since)
}
