package store

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/incident"
)

// large is a store of 100,000 incidents of 500 containers, 3 KB each, made once.
var large = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "oomwatch-large")
	if err != nil {
		return "", err
	}
	p := filepath.Join(dir, "o.db")
	s, err := Open(ctx, Options{Path: p})
	if err != nil {
		return "", err
	}
	defer s.Close()
	for i := 0; i < 100_000; {
		var b Batch
		for range 1000 {
			x := inc(fmt.Sprintf("id%06d", i), fmt.Sprintf("%064d", i%500), t0.Add(time.Duration(i)*time.Minute))
			x.Container.Name = fmt.Sprintf("web-%d", i%500)
			x.Host = &incident.Host{Name: "node-7"}
			x.LogTail = []string{strings.Repeat("a line of the log ", 150)}
			if i%3 == 0 {
				x.Kind, x.Cause = incident.KindKill, incident.ExitError
			}
			b.Entries = append(b.Entries, Entry{Incident: x, Receivers: []string{"hook"}})
			i++
		}
		if _, err := s.Save(ctx, b); err != nil {
			return "", err
		}
	}
	return p, nil
})

func largeStore(b *testing.B) *Store {
	p, err := large()
	if err != nil {
		b.Fatal(err)
	}
	return open(b, p)
}

// BenchmarkReadLarge asks a store of 100,000 incidents.
func BenchmarkReadLarge(b *testing.B) {
	s := largeStore(b)
	none := func(Place, []byte) error { return nil }
	for name, ask := range map[string]func() error{
		"explain one name": func() error { return s.Explain(ctx, "web-77", false, none) },
		"explain by id":    func() error { return s.Explain(ctx, "id000077", false, none) },
		"explain newest":   func() error { return s.Explain(ctx, "", false, none) },
		"explain unknown":  func() error { return s.Explain(ctx, "nothing-77", false, none) },
		"page":             func() error { return s.EachBody(ctx, Query{NewestFirst: true, Limit: 100}, none) },
		"page in the middle": func() error {
			return s.EachBody(ctx, Query{NewestFirst: true, Limit: 100, Before: Place{TimeNS: t0.Add(50_000 * time.Minute).UnixNano()}}, none)
		},
		"newest 100 of a cause, oldest first": func() error { return s.EachBody(ctx, Query{Cause: "exit.error", Limit: 100}, none) },
		"all of one name":                     func() error { return s.EachBody(ctx, Query{Container: "web-77"}, none) },
		"everything":                          func() error { return s.EachBody(ctx, Query{}, none) },
		"search 10,000 for what is not there": func() error {
			return s.EachBody(ctx, Query{NewestFirst: true, Words: []string{"nothing-like-it"}, Depth: 10_000}, none)
		},
		"accounts": func() error { _, err := s.Accounts(ctx); return err },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := ask(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkSaveBesideReaders is what a death waits for the store, without readers and
// with four that read all of it again and again.
func BenchmarkSaveBesideReaders(b *testing.B) {
	s := largeStore(b)
	n := 0
	for _, readers := range []int{0, 4} {
		b.Run(fmt.Sprint(readers), func(b *testing.B) {
			reading, stop := context.WithCancel(ctx)
			var wg sync.WaitGroup
			for range readers {
				wg.Go(func() {
					for reading.Err() == nil {
						_ = s.EachBody(reading, Query{}, func(Place, []byte) error { return nil }) // it is cancelled at the end
					}
				})
			}
			var took []time.Duration
			for b.Loop() {
				n++
				begun := time.Now()
				save(b, s, Entry{Incident: inc(fmt.Sprintf("%d-%d", time.Now().UnixNano(), n), "c", time.Now()), Receivers: []string{"hook"}})
				took = append(took, time.Since(begun))
			}
			stop()
			wg.Wait()
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "median-us")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-us")
		})
	}
}
