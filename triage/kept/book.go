package kept

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/proc"
	"github.com/oomwatch/oomwatch/recorder"
	"github.com/oomwatch/oomwatch/triage"
)

// Book is what services are judged by. Judge is the one function that says what class the
// memory of a recorded service is of: explain, alerts, the page and triage all ask it.
type Book struct {
	Past Past
	// Incidents are what is kept of a service since a time; nil for nothing.
	Incidents func(ctx context.Context, service string, since time.Time) ([]*incident.Incident, error)
	// Present says what of a service runs now; nil where nobody knows.
	Present func(service string) Present
}

// Present is what of a service runs now. A field is "" where it is not known.
type Present struct {
	// Container is the id of the container whose readings the service's are now.
	Container, Image string
	// Process says which of its processes holds the most, and Runtime what that one is.
	Process, Runtime string
}

// Options are how to judge; the zero value judges all that is kept.
type Options struct {
	// From leaves out what was earlier, Until what was later; zero for no bound.
	From, Until time.Time
	// Killed is when the kernel killed something of it that is not kept yet.
	Killed time.Time
	// Windows asks for what the last hour, six hours, day and week show.
	Windows bool
}

// rooms are the memory for the readings of one service: a month is megabytes.
var rooms = sync.Pool{New: func() any { return new([]triage.Reading) }}

// Judge judges a service by its readings of the last Span, by the kills that are kept of
// it, and by what of it runs now. It is false where no readings are kept.
func (b *Book) Judge(ctx context.Context, s recorder.Service, o Options) (triage.Service, bool, error) {
	now := o.Until.IsZero()
	if !now && s.Last.After(o.Until) {
		s.Last = o.Until
	}
	from := s.From(Span)
	if o.From.After(from) {
		from = o.From
	}
	if from.After(s.Last) {
		return triage.Service{}, false, nil
	}
	room := rooms.Get().(*[]triage.Reading)
	defer rooms.Put(room)
	h, all, err := History(ctx, b.Past, s, from, *room)
	*room = all
	if err != nil || len(h.Runs) == 0 {
		return triage.Service{}, false, err
	}
	var list []*incident.Incident
	if b.Incidents != nil && s.Name != recorder.Host {
		if list, err = b.Incidents(ctx, s.Name, from); err != nil {
			return triage.Service{}, false, err
		}
	}
	var deaths triage.Collector
	killed := o.Killed
	for _, inc := range list {
		if !now && inc.Time.After(o.Until) {
			continue
		}
		d, ok := triage.FromIncident(inc, s.Name)
		if !ok {
			continue
		}
		Killed(h.Runs, inc.Time)
		if d.Scope != triage.HostMemory { // those are of the host
			deaths.Add(d)
		}
		if killed.Sub(inc.Time).Abs() < sameKill {
			killed = time.Time{}
		}
	}
	if !killed.IsZero() {
		Killed(h.Runs, killed)
	}
	var p Present
	if b.Present != nil && now && s.Name != recorder.Host {
		p = b.Present(s.Name)
	}
	if p.Process == "" {
		p.Process, p.Runtime = lastKilled(list)
	}
	images(h.Runs, list, p.Image)
	h.Windows, h.Process, h.Runtime = o.Windows, p.Process, p.Runtime
	judged := triage.JudgeHistory(h)
	for _, out := range deaths.Services(judged) {
		if out.Service == judged.Service {
			judged = out
			break
		}
	}
	return judged, true, nil
}

// All judges services, as many at a time as there are cores; nil for one of which nothing
// is kept.
func (b *Book) All(ctx context.Context, services []recorder.Service, o Options) ([]*triage.Service, error) {
	out := make([]*triage.Service, len(services))
	errs := make([]error, min(runtime.GOMAXPROCS(0), len(services)))
	var next atomic.Int64
	var wait sync.WaitGroup
	for w := range errs {
		wait.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(services) {
					return
				}
				found, ok, err := b.Judge(ctx, services[i], o)
				if err != nil {
					errs[w] = err
					return
				}
				if ok {
					out[i] = &found
				}
			}
		})
	}
	wait.Wait()
	return out, errors.Join(errs...)
}

// lastKilled says what the kernel killed last of a service, and what runtime that has.
func lastKilled(list []*incident.Incident) (process, runtime string) {
	for _, inc := range slices.Backward(list) {
		v := inc.Victim
		if v == nil || inc.OOM == nil || v.Comm == "" {
			continue
		}
		process = fmt.Sprintf("the kernel killed its process %s last (pid %d)", v.Comm, v.PID)
		if v.AnonRSS != nil {
			process += ", with " + incident.FormatBytes(*v.AnonRSS) + " of anonymous memory"
		}
		return process, proc.RuntimeOf(v.Comm)
	}
	return "", ""
}

// Name judges the service of a name, with the options of Judge.
func (b *Book) Name(ctx context.Context, service string, o Options) (triage.Service, bool, error) {
	s, ok, err := b.Past.Service(ctx, service)
	if err != nil || !ok {
		return triage.Service{}, false, err
	}
	return b.Judge(ctx, s, o)
}

// sameKill is how far two sources may date the same kill apart.
const sameKill = 5 * time.Second

// images notes what each run ran: an incident names the image of the run that it fell
// into, and the newest run is what runs now.
func images(runs []triage.Run, list []*incident.Incident, now string) {
	seconds := func(t time.Time) float64 { return float64(t.UnixNano()) / 1e9 }
	for i := range runs {
		r := &runs[i]
		first, last := r.Readings[0].At, r.Readings[len(r.Readings)-1].At
		end := math.Inf(1)
		if i+1 < len(runs) {
			end = runs[i+1].Readings[0].At
		} else if now != "" {
			r.Image = now
			continue
		}
		end = min(end, last+60)
		k := slices.IndexFunc(list, func(inc *incident.Incident) bool {
			at := seconds(inc.Time)
			return inc.Container != nil && inc.Container.Image != "" && at > first && at <= end
		})
		if k >= 0 {
			r.Image = list[k].Container.Image
		}
	}
}
