package daemon

import (
	"context"
	"sync"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/observe"
	"github.com/oomwatch/oomwatch/recorder"
	"github.com/oomwatch/oomwatch/store"
	"github.com/oomwatch/oomwatch/triage"
	"github.com/oomwatch/oomwatch/triage/kept"
	"github.com/oomwatch/oomwatch/watcher/leaks"
	"github.com/oomwatch/oomwatch/watcher/processes"
)

// killsMost is how many of a service's incidents it is judged by, the newest ones.
const killsMost = 1000

// bookOf is what services are judged by, wherever a class is said: the readings and the
// incidents that are kept.
func bookOf(history *store.History, st *store.Store, now *presence) kept.Book {
	var b kept.Book
	if history == nil {
		return b
	}
	b.Past = history
	b.Incidents = func(ctx context.Context, service string, since time.Time) (out []*incident.Incident, err error) {
		err = st.Each(ctx, store.Query{Since: since, Container: service, Limit: killsMost}, func(_ store.Place, inc *incident.Incident) error {
			if inc.Container != nil && incident.ServiceOf(inc.Container) == service {
				out = append(out, inc)
			}
			return nil
		})
		return out, err
	}
	if now != nil {
		b.Present = now.of
	}
	return b
}

// presence knows what runs now of a service.
type presence struct {
	rec     *recorder.Recorder
	growers *processes.Growers // nil for none

	mu     sync.Mutex
	images map[string]string // by container
}

// imagesMost is of how many containers the image is remembered.
const imagesMost = 8192

// hear notes the images of containers.
func (p *presence) hear(o observe.Observation) {
	p.mu.Lock()
	defer p.mu.Unlock()
	note := func(c *observe.Container) {
		if len(p.images) >= imagesMost {
			clear(p.images)
		}
		if c.Image != "" {
			p.images[c.ID] = c.Image
		}
	}
	if o.Container != nil {
		note(o.Container)
	}
	if o.List != nil {
		for i := range o.List.Containers {
			note(&o.List.Containers[i])
		}
	}
}

// of is what runs of a service.
func (p *presence) of(service string) (out kept.Present) {
	p.rec.Each(func(l recorder.Live) {
		if l.Service == service {
			out.Container = l.ID
		}
	})
	if out.Container == "" {
		return out
	}
	p.mu.Lock()
	out.Image = p.images[out.Container]
	p.mu.Unlock()
	if p.growers != nil {
		out.Process, out.Runtime = p.growers.Say(out.Container, time.Now())
	}
	return out
}

// judge is what triage says of a service, for the verdict on a death. It does without what
// runs now: a death does not wait for all of /proc to be read.
func judge(book kept.Book) func(ctx context.Context, service string, killed time.Time) (*incident.Judged, error) {
	if book.Past == nil {
		return nil
	}
	book.Present = nil
	return func(ctx context.Context, service string, killed time.Time) (*incident.Judged, error) {
		s, ok, err := book.Name(ctx, service, kept.Options{Killed: killed})
		if err != nil || !ok {
			return nil, err
		}
		j := &incident.Judged{Class: string(s.Class), Confidence: s.Confidence, Reasons: s.Reasons}
		if s.Class == triage.Leak {
			j.Rate = s.Rate
		}
		return j, nil
	}
}

// leaksWait is how long a page waits for the first look.
const leaksWait = 2 * time.Second

// Leaks implements web.Backend: what the last look found, and never a look for one request.
func (b *backend) Leaks(ctx context.Context) ([]triage.Service, error) {
	if b.leaks == nil {
		return nil, nil
	}
	b.leaks.Ask()
	ctx, cancel := context.WithTimeout(ctx, leaksWait)
	defer cancel()
	return b.leaks.Last(ctx), nil
}

var _ observe.Source = (*leaks.Source)(nil)
