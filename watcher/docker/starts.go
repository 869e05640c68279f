package docker

import (
	"fmt"
	"strings"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/observe"
	"github.com/oomwatch/oomwatch/redact"
)

// check watches a container that was created and not started: when its start
// fails the engine tells no event, so it is asked.
type check struct {
	since time.Time
	n     int       // checks made
	due   time.Time // of the next one
	asked bool      // the answer to one is awaited
}

// checkAfter is when the checks come, counted from the create. An inspect made
// while the engine is starting the container waits for the outcome, so the
// first one mostly brings it. After the last they go on at that distance.
var checkAfter = []time.Duration{
	25 * time.Millisecond, 100 * time.Millisecond, 400 * time.Millisecond, time.Second, 3 * time.Second, 10 * time.Second, 40 * time.Second,
}

// maxChecks bounds the containers that are watched so; the oldest go.
const maxChecks = 256

// watchStart begins to watch a created container.
func (r *run) watchStart(id string, now time.Time) {
	if len(r.checks) >= maxChecks {
		oldest := ""
		for id, c := range r.checks {
			if oldest == "" || c.since.Before(r.checks[oldest].since) {
				oldest = id
			}
		}
		delete(r.checks, oldest)
	}
	r.checks[id] = &check{since: now, due: now.Add(checkAfter[0])}
}

// watchStartSlowly watches a container found in state created: it may have been
// so for long.
func (r *run) watchStartSlowly(id string, now time.Time) {
	if r.checks[id] != nil || len(r.checks) >= maxChecks {
		return
	}
	last := checkAfter[len(checkAfter)-1]
	r.checks[id] = &check{since: now, n: len(checkAfter) - 1, due: now.Add(last)}
}

// runChecks asks for those that are due.
func (r *run) runChecks(now time.Time) {
	if r.conn.Load() == nil {
		for _, c := range r.checks {
			if c.due.Before(now) {
				c.due = now.Add(time.Second)
			}
		}
		return
	}
	for id, c := range r.checks {
		if c.asked || c.due.After(now) {
			continue
		}
		c.asked = r.offer(job{kind: jobCheck, id: id, at: now})
		c.n++
		last := len(checkAfter) - 1
		if c.n <= last {
			c.due = c.since.Add(checkAfter[c.n])
		} else {
			c.due = now.Add(checkAfter[last])
		}
	}
}

// afterCheck tells a start that failed, once.
func (r *run) afterCheck(a answer) {
	if c := r.checks[a.id]; c != nil && a.kind == jobCheck {
		c.asked = false
	}
	if a.doc == nil {
		if isGone(a.err) {
			delete(r.checks, a.id)
		}
		return
	}
	k := r.get(a.id)
	s := a.doc.State
	if s == nil || s.Status != stateCreated && s.Status != stateRemoving || k.started {
		delete(r.checks, a.id)
		return
	}
	if k.failed {
		return
	}
	if s.Error == "" {
		if !k.cleaned {
			return
		}
		s.Error = fmt.Sprintf(noReason, redact.Cut(redact.Line(a.doc.Path), 200))
	}
	r.failedStart(a.doc, a.runtime)
}

// noReason stands for the error of a start of which Podman 4 keeps none.
const noReason = "Podman could not start %q and keeps no reason; podman start prints it"

// failedStart emits the end of a container that never ran. The engine gives no
// time of it; it is when it was found out.
func (r *run) failedStart(d *document, runtime string) {
	delete(r.checks, d.ID)
	r.get(d.ID).failed = true
	c := d.container(runtime)
	now := time.Now().UTC()
	x := observe.Exit{ID: d.ID, Name: c.Name, Image: c.Image, Labels: c.Labels, Exit: incident.Exit{
		At: now, ExitCode: startCode(d.State), Error: redact.Cut(redact.Line(d.State.Error), 2048), Inspected: true,
	}}
	r.emit(observe.Observation{At: now, Exit: &x})
}

// destroyed emits a removal. A container with --rm that goes without ever having
// run is one whose start failed, the error gone with it.
func (r *run) destroyed(o observe.Observation, k *known) {
	id := o.Event.ID
	if k.rm && !k.started && !k.failed && r.checks[id] != nil {
		x := observe.Exit{ID: id, Name: o.Event.Name, Image: o.Event.Image, Labels: o.Event.Labels, Exit: incident.Exit{
			At: o.At, ExitCode: startFailed, Raw: o.Event.Raw,
			Error: "the engine removed it (--rm) before it ever ran: its start failed, and the engine's error went with it",
		}}
		r.emit(observe.Observation{At: o.At, Exit: &x})
	}
	delete(r.checks, id)
	delete(r.known, id)
	r.emit(o)
}

// startCode is the exit code of a start that failed. Podman leaves it at 0, which
// no start can fail with; from its error comes what Docker makes of the same one.
func startCode(s *state) int {
	if s.ExitCode != 0 || s.Error == "" {
		return s.ExitCode
	}
	text := strings.ToLower(s.Error)
	for _, x := range []struct {
		code  int
		words string
	}{
		{126, "permission denied"}, {126, "operation not permitted"}, {126, "is a directory"}, {126, "not a regular file"},
		{127, "executable file not found"}, {127, "executable file `"}, {127, "no such file or directory"},
	} {
		if strings.Contains(text, x.words) {
			return x.code
		}
	}
	return startFailed
}

// startFailed is the exit code that the engine gives to a start that failed
// where it knows no better.
const startFailed = 128
