package leaks

import (
	"context"
	"errors"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/observe"
	"github.com/oomwatch/oomwatch/recorder"
	"github.com/oomwatch/oomwatch/triage"
	"github.com/oomwatch/oomwatch/triage/kept"
)

const mib = 1 << 20

// past makes up readings: of each service what it holds at an age, in MiB.
type past struct {
	from  time.Time
	of    map[string]func(days float64) float64
	fails atomic.Bool
	asked map[string]int
}

func (p *past) Services(context.Context) (out []recorder.Service, err error) {
	if p.fails.Load() {
		return nil, errors.New("the disk is gone")
	}
	for name := range p.of {
		out = append(out, recorder.Service{Name: name, First: p.from, Last: time.Now()})
	}
	out = append(out, recorder.Service{Name: "shop/old", First: p.from.Add(-48 * time.Hour), Last: p.from.Add(-30 * time.Hour)})
	return out, nil
}

func (p *past) Service(_ context.Context, name string) (s recorder.Service, ok bool, err error) {
	if p.fails.Load() {
		return s, false, errors.New("the disk is gone")
	}
	return recorder.Service{Name: name, First: p.from, Last: time.Now()}, p.of[name] != nil, nil
}

func (p *past) Each(_ context.Context, service string, _ time.Duration, from, to time.Time, f func(*recorder.Reading)) error {
	p.asked[service]++
	for at := from; at.Before(to); at = at.Add(5 * time.Minute) {
		r := recorder.Unknown()
		r.At, r.Limit, r.OOMKill = at, 1024*mib, 0
		r.Used = int64(mib * p.of[service](at.Sub(p.from).Hours()/24))
		f(&r)
	}
	return nil
}

// TestOnceADay drives the clock for three weeks: a leak is found once it is likely, and is
// over when it is; what is healthy is not, and what is no more is not looked at.
func TestOnceADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		p := &past{from: time.Now(), asked: map[string]int{}, of: map[string]func(float64) float64{
			"shop/leaky":   func(d float64) float64 { return 200 + 40*d + math.Sin(1000*d) },
			"shop/healthy": func(d float64) float64 { return 200 + 80*math.Sin(2*math.Pi*d) },
		}}
		book := kept.Book{Past: p, Present: func(service string) kept.Present {
			return kept.Present{Process: "its largest process is of " + service, Runtime: "JVM"}
		}}
		s := New(Options{Book: book, Running: func() map[string]string { return map[string]string{"shop/leaky": "aaa", "shop/healthy": "bbb"} }})
		var mu sync.Mutex // of looks
		var told []*incident.Leaks
		seen := func() []*incident.Leaks { mu.Lock(); defer mu.Unlock(); return slices.Clone(told) }
		ended := make(chan error)
		go func() {
			ended <- s.Run(ctx, func(o observe.Observation) {
				mu.Lock()
				defer mu.Unlock()
				told = append(told, o.Leaks)
			})
		}()

		time.Sleep(14*24*time.Hour + time.Hour)
		synctest.Wait()
		looks := seen()
		if n := len(looks); n != 4*14+1 {
			t.Fatalf("%d looks in 14 days and an hour, want one every six hours", n)
		}
		of := func(l *incident.Leaks, service string) *incident.Leak {
			for i := range l.Found {
				if l.Found[i].Service == service {
					return &l.Found[i]
				}
			}
			return &incident.Leak{}
		}
		last := looks[len(looks)-1]
		leaky := of(last, "shop/leaky")
		if leaky.Confidence != incident.Likely || leaky.Container != "aaa" || leaky.SecondsToLimit == nil || leaky.Limit != 1024*mib {
			t.Errorf("the leak: %+v", leaky)
		}
		if n := len(leaky.Reasons); n == 0 || leaky.Reasons[n-1] != "its largest process is of shop/leaky; its runtime is JVM" {
			t.Errorf("reasons %q name no process", leaky.Reasons)
		}
		if rate := leaky.Rate * 86400 / mib; math.Abs(rate-40) > 2 {
			t.Errorf("rate %.1f MiB a day, want 40", rate)
		}
		for i, l := range looks {
			if f := of(l, "shop/healthy"); f.Confidence != "" {
				t.Errorf("look %d: the healthy one leaks: %+v", i, f)
			}
			if !l.All {
				t.Errorf("look %d is not of all", i)
			}
		}
		if p.asked["shop/old"] > 0 {
			t.Error("a service that is no more was read")
		}

		// What was found is at hand for the page, leaks first, and no look is made for it.
		asked := p.asked["shop/leaky"]
		if list := s.Last(ctx); len(list) != 2 || list[0].Service != "shop/leaky" || list[0].Class != triage.Leak || list[1].Class != triage.Steady {
			t.Errorf("at hand: %+v", list)
		}
		if f, ok := s.Of("shop/leaky"); !ok || f.Class != triage.Leak {
			t.Errorf("of the leak: %v %s", ok, f.Class)
		}
		if n := p.asked["shop/leaky"] - asked; n != 0 {
			t.Errorf("%d looks for one request", n)
		}
		// Who asks has a new look made where the last is old, and only then.
		time.Sleep(fresh + time.Minute)
		for range 10 {
			s.Ask()
		}
		time.Sleep(time.Minute)
		s.Ask()
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := len(seen()) - len(looks); n != 1 {
			t.Errorf("%d looks because of eleven requests, want one", n)
		}
		looks = seen()

		// After a death only that one is looked at, when its readings are kept.
		before, healthy := len(looks), p.asked["shop/healthy"]
		for range 3 * most {
			s.Died("shop/leaky")
		}
		time.Sleep(settle - time.Second)
		synctest.Wait()
		if len(seen()) != before {
			t.Error("looked at before its readings are kept")
		}
		time.Sleep(time.Hour / 2)
		synctest.Wait()
		looks = seen()
		if n := len(looks) - before; n != 1 || looks[before].All || len(looks[before].Found) != 1 {
			t.Errorf("%d looks after deaths, want one of one service", n)
		}
		if p.asked["shop/healthy"] != healthy {
			t.Error("another service was read because of a death")
		}

		// A history that cannot be read says nothing, also not that a leak is over.
		p.fails.Store(true)
		before = len(looks)
		time.Sleep(3 * 24 * time.Hour)
		synctest.Wait()
		if len(seen()) != before {
			t.Error("a look without a history")
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// TestNoHistory: without one it waits for its end.
func TestNoHistory(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := New(Options{}).Run(ctx, func(observe.Observation) { t.Error("something was seen") }); err != nil {
		t.Error(err)
	}
}
