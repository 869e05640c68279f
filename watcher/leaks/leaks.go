// Package leaks is the source that looks for leaks in the readings that are kept: at
// every service every six hours, and at one after each death of it. What it found last is
// what the page shows.
package leaks

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/observe"
	"github.com/oomwatch/oomwatch/recorder"
	"github.com/oomwatch/oomwatch/triage"
	"github.com/oomwatch/oomwatch/triage/kept"
)

const (
	// first is when all are looked at after a start, and again every: a leak that fills its
	// limit within a day is seen before. A look at a thousand services takes some ten
	// seconds of one core.
	first = 10 * time.Minute
	every = 6 * time.Hour
	// fresh is how old the last look may be for who asks.
	fresh = 15 * time.Minute
	// settle is how long a death waits until its readings are kept.
	settle = 90 * time.Second
	// gone is how long a service may have no readings before it is no more.
	gone = 24 * time.Hour
	// share is what part of the time a look may take: one in so many; hurried is the same
	// while somebody waits for it.
	share, hurried = 200, 2
	// most is how many services wait for a look after a death.
	most = 256
)

// Options are what New needs.
type Options struct {
	// Book is what services are judged by; a nil Past of it is nothing.
	Book kept.Book
	// Running are the ids of the running containers, by service.
	Running func() map[string]string
}

// Source looks for leaks. It implements observe.Source.
type Source struct {
	opt   Options
	died  chan string
	asked chan struct{}

	mu     sync.Mutex
	last   map[string]triage.Service // by the name of the recorder
	looked time.Time                 // when all were looked at
	done   chan struct{}             // closed with the next look at all
}

// New returns a Source.
func New(opt Options) *Source {
	return &Source{opt: opt, died: make(chan string, most), asked: make(chan struct{}, 1), last: map[string]triage.Service{}, done: make(chan struct{})}
}

// Name implements observe.Source.
func (s *Source) Name() string { return "leaks" }

// Died has a service looked at soon. It does not wait: in a storm some are left to the
// next look at all.
func (s *Source) Died(service string) {
	select {
	case s.died <- service:
	default:
	}
}

// Ask has all services looked at soon where the last look is a while ago.
func (s *Source) Ask() {
	if s.opt.Book.Past == nil || time.Since(s.lookedAt()) < fresh {
		return
	}
	select {
	case s.asked <- struct{}{}:
	default:
	}
}

func (s *Source) lookedAt() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.looked
}

// Last is what the last look found of each service, leaks first. Where none has been made
// it waits for the first, as long as ctx allows.
func (s *Source) Last(ctx context.Context) []triage.Service {
	s.mu.Lock()
	done, never := s.done, s.looked.IsZero()
	s.mu.Unlock()
	if never && s.opt.Book.Past != nil {
		select {
		case <-done:
		case <-ctx.Done():
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]triage.Service, 0, len(s.last))
	for _, x := range s.last {
		out = append(out, x)
	}
	slices.SortFunc(out, func(a, b triage.Service) int {
		return cmp.Or(order(a.Class)-order(b.Class), cmp.Compare(a.Service, b.Service))
	})
	return out
}

// Of is what the last look found of one service; false where it was not looked at.
func (s *Source) Of(service string) (triage.Service, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x, ok := s.last[service]
	return x, ok
}

// order puts leaks first and what cannot be judged last.
func order(c triage.Class) int {
	switch c {
	case triage.Leak:
		return 0
	case triage.NotEnoughData:
		return 2
	}
	return 1
}

// Run implements observe.Source: it looks until ctx ends.
func (s *Source) Run(ctx context.Context, emit func(observe.Observation)) error {
	if s.opt.Book.Past == nil {
		<-ctx.Done()
		return nil
	}
	all, soon := time.NewTimer(first), time.NewTimer(0)
	defer all.Stop()
	defer soon.Stop()
	soon.Stop()
	waiting := map[string]bool{}
	for {
		names, pause := waiting, time.Duration(share)
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
		case <-s.asked:
			if time.Since(s.lookedAt()) < fresh {
				continue
			}
			names, pause = nil, hurried
		case <-all.C:
			names = nil
			all.Reset(every)
		}
		found, err := s.look(ctx, names, pause)
		if names != nil {
			clear(names)
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil: // the history says itself that it cannot be read
		case len(found.Found) > 0 || found.All:
			emit(observe.Observation{At: time.Now(), Leaks: found})
		}
	}
}

// look judges the services with these names; nil for all. After each it rests for pause
// times as long as that took, so that a thousand of them hardly show; who asks meanwhile
// makes a look at all quicker.
func (s *Source) look(ctx context.Context, names map[string]bool, pause time.Duration) (*incident.Leaks, error) {
	services, err := s.services(ctx, names)
	if err != nil {
		return nil, err
	}
	out := &incident.Leaks{All: names == nil}
	running := s.opt.Running()
	seen := make(map[string]bool, len(services))
	var asked chan struct{}
	if out.All {
		asked = s.asked
	}
	for _, x := range services {
		if x.Name == recorder.Host || time.Since(x.Last) > gone {
			continue
		}
		began := time.Now()
		judged, ok, err := s.opt.Book.Judge(ctx, x, kept.Options{})
		if err != nil {
			return nil, err
		}
		if ok {
			f := found(judged)
			f.Container = running[x.Name]
			out.Found = append(out.Found, f)
			seen[x.Name] = true
			s.keep(x.Name, judged)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-asked:
			pause = hurried
		case <-time.After(pause * time.Since(began)):
		}
	}
	if out.All {
		s.only(seen)
	}
	return out, nil
}

// services are those of the names, all where that is nil.
func (s *Source) services(ctx context.Context, names map[string]bool) ([]recorder.Service, error) {
	if names == nil {
		return s.opt.Book.Past.Services(ctx)
	}
	var out []recorder.Service
	for name := range names {
		x, ok, err := s.opt.Book.Past.Service(ctx, name)
		if err != nil {
			return nil, err
		}
		if ok {
			out = append(out, x)
		}
	}
	return out, nil
}

func (s *Source) keep(name string, judged triage.Service) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last[name] = judged
}

// only forgets the services that a look at all did not find, and says that it is done.
func (s *Source) only(seen map[string]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name := range s.last {
		if !seen[name] {
			delete(s.last, name)
		}
	}
	s.looked = time.Now()
	close(s.done)
	s.done = make(chan struct{})
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
