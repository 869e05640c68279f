package correlate

import (
	"time"

	"github.com/oomwatch/oomwatch/incident"
)

const (
	// replaceWindow is how long before it is asked to stop, or after it has ended, a
	// container's successor starts: a deploy starts the new one first, or last.
	replaceWindow = 30 * time.Second
	// replaceWait is how long the end of a container that did not stop in time waits for
	// a successor to show that it was a deploy.
	replaceWait = 5 * time.Second
)

// joinService notes which service a container is of, so that its successor is found.
func (c *Correlator) joinService(x *container) {
	s := incident.ServiceOf(&x.Spec.Container)
	if s == x.Spec.ID || x.Spec.Name == "" && x.Spec.Compose == nil {
		s = "" // nothing but its id, or its image, says whose it is
	}
	if s == x.service {
		return
	}
	c.leaveService(x)
	if x.service = s; s == "" {
		return
	}
	if c.services[s] == nil {
		c.services[s] = map[*container]bool{}
	}
	c.services[s][x] = true
	c.wakeReplaced(x)
}

func (c *Correlator) leaveService(x *container) {
	if of := c.services[x.service]; of != nil {
		if delete(of, x); len(of) == 0 {
			delete(c.services, x.service)
		}
	}
}

// wakeReplaced settles the containers that a start may have shown to be replaced.
func (c *Correlator) wakeReplaced(y *container) {
	for x := range c.services[y.service] {
		if x != y && !x.dirty && len(x.Asked) > 0 {
			x.dirty = true
			c.dirty = append(c.dirty, x)
		}
	}
}

// successor is the container of the same service that took the place of one that was
// asked to stop; nil for none.
func (c *Correlator) successor(x *container, r *run) (best *container) {
	asked := r.asked
	if r.exit == nil || len(asked) == 0 {
		return nil
	}
	from, to := asked[0].At.Add(-replaceWindow), r.endTime().Add(replaceWindow)
	var at time.Time
	for y := range c.services[x.service] {
		all := y.timeline()
		if y == x || len(all) == 0 {
			continue
		}
		began := all[0].start // a restart of one that was there already replaces nobody
		if began.IsZero() || began.Before(from) || began.After(to) || best != nil && !sooner(began, at).Equal(began) {
			continue
		}
		if best == nil || began.Before(at) || y.Spec.ID < best.Spec.ID {
			best, at = y, began
		}
	}
	return best
}

// replacedID is the id of the successor; "" for none.
func (c *Correlator) replacedID(x *container, r *run) string {
	if y := c.successor(x, r); y != nil {
		return y.Spec.ID
	}
	return ""
}

// replaceDue is until when the end of a run that did not stop in time waits for its
// successor; due where it is no such end, and where the successor is there.
func (c *Correlator) replaceDue(x *container, r *run, due time.Time) time.Time {
	asked, killed := requests(r.asked)
	if c.opt.Offline || r.exit == nil || !asked || !killed || r.mainKill() != nil || x.service == "" || c.successor(x, r) != nil {
		return due
	}
	return later(due, c.arrival(r.ended).Add(replaceWait))
}
