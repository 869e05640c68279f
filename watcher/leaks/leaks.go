// Package leaks is the source that looks for leaks in the readings that are kept: at
// every service once a day, and at one after each death of it.
package leaks

import (
	"context"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/observe"
	"github.com/oomwatch/oomwatch/recorder"
	"github.com/oomwatch/oomwatch/triage"
	"github.com/oomwatch/oomwatch/triage/kept"
)

const (
	// first is when all are looked at after a start, and again every: a leak is slow.
	first = 10 * time.Minute
	every = 24 * time.Hour
	// settle is how long a death waits until its readings are kept.
	settle = 90 * time.Second
	// gone is how long a service may have no readings before it is no more.
	gone = 24 * time.Hour
	// share is what part of the time a look may take: one in so many.
	share = 20
	// most is how many services wait for a look after a death.
	most = 256
)

// Options are what New needs.
type Options struct {
	// Past is what is kept; nil for nothing.
	Past kept.Past
	// Running are the ids of the running containers, by service.
	Running func() map[string]string
	// Largest is a running container's process that holds the most, in words; "" where
	// that is not known.
	Largest func(container string) string
}

// Source looks for leaks. It implements observe.Source.
type Source struct {
	opt  Options
	died chan string
}

// New returns a Source.
func New(opt Options) *Source { return &Source{opt: opt, died: make(chan string, most)} }

// Name implements observe.Source.
func (s *Source) Name() string { return "leaks" }

// Died has a service looked at soon. It does not wait: in a storm some are left to the
// daily look.
func (s *Source) Died(service string) {
	select {
	case s.died <- service:
	default:
	}
}

// Run implements observe.Source: it looks until ctx ends.
func (s *Source) Run(ctx context.Context, emit func(observe.Observation)) error {
	if s.opt.Past == nil {
		<-ctx.Done()
		return nil
	}
	all, soon := time.NewTimer(first), time.NewTimer(0)
	defer all.Stop()
	defer soon.Stop()
	soon.Stop()
	waiting := map[string]bool{}
	for {
		names := waiting
		select {
		case <-ctx.Done():
			return nil
		case service := <-s.died:
			if len(waiting) == 0 {
				soon.Reset(settle)
			}
			waiting[service] = true
			continue
		case <-soon.C:
		case <-all.C:
			names = nil
			all.Reset(every)
		}
		found, err := s.look(ctx, names)
		clear(names)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil: // the history says itself that it cannot be read
		case len(found.Found) > 0 || found.All:
			emit(observe.Observation{At: time.Now(), Leaks: found})
		}
	}
}

// look judges the services with these names; nil for all. After each it rests, so that
// a thousand of them hardly show.
func (s *Source) look(ctx context.Context, names map[string]bool) (*incident.Leaks, error) {
	services, err := s.opt.Past.Services(ctx)
	if err != nil {
		return nil, err
	}
	out := &incident.Leaks{All: names == nil}
	for _, x := range services {
		if x.Name == recorder.Host || names != nil && !names[x.Name] || time.Since(x.Last) > gone {
			continue
		}
		began := time.Now()
		h, err := kept.History(ctx, s.opt.Past, x, x.From(kept.Span))
		if err != nil {
			return nil, err
		}
		if len(h.Runs) > 0 {
			out.Found = append(out.Found, found(triage.JudgeHistory(h)))
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(share * time.Since(began)):
		}
	}
	running := s.opt.Running()
	for i := range out.Found {
		f := &out.Found[i]
		f.Container = running[f.Service]
		if f.Container == "" || f.Confidence == "" || s.opt.Largest == nil {
			continue
		}
		if who := s.opt.Largest(f.Container); who != "" {
			f.Reasons = append(f.Reasons, who)
		}
	}
	return out, nil
}

// found is what triage said, as it is told on.
func found(s triage.Service) incident.Leak {
	f := incident.Leak{Service: s.Service}
	if s.Class != triage.Leak {
		return f
	}
	f.Confidence, f.Reasons, f.SecondsToLimit, f.SecondsError = s.Confidence, s.Reasons, s.SecondsToLimit, s.SecondsError
	if len(s.Advice) > 0 {
		f.Advice = s.Advice[0]
	}
	if s.Rate != nil {
		f.Rate = *s.Rate
	}
	if s.Limit != nil {
		f.Limit = *s.Limit
	}
	return f
}
