package store

import (
	"fmt"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/incident"
)

// grown is a store with n incidents, each owed to one receiver that is down.
func grown(b *testing.B, n int) *Store {
	s := open(b, path(b))
	for at := 0; at < n; {
		var batch Batch
		for ; at < n && len(batch.Entries) < 1000; at++ {
			x := inc(fmt.Sprintf("old%07d", at), fmt.Sprint("c", at%500), t0.Add(time.Duration(at)*time.Second))
			batch.Entries = append(batch.Entries, Entry{Incident: x, Receivers: []string{"down"}})
		}
		if _, err := s.Save(ctx, batch); err != nil {
			b.Fatal(err)
		}
	}
	return s
}

// BenchmarkGrown shows that what is done for each incident does not cost more the
// more is kept and owed.
func BenchmarkGrown(b *testing.B) {
	for _, n := range []int{100, 10_000} {
		b.Run(fmt.Sprintf("kept=%d", n), func(b *testing.B) {
			s := grown(b, n)
			i := 0
			b.Run("save", func(b *testing.B) {
				for b.Loop() {
					i++
					save(b, s, Entry{Incident: inc(fmt.Sprintf("new%07d", i), "fresh", time.Now()), Receivers: []string{"hook"}})
				}
			})
			b.Run("due", func(b *testing.B) {
				for b.Loop() {
					if _, err := s.Due(ctx, "down", time.Now(), 64); err != nil {
						b.Fatal(err)
					}
				}
			})
			b.Run("settle", func(b *testing.B) {
				due, err := s.Due(ctx, "down", time.Now(), 1)
				if err != nil {
					b.Fatal(err)
				}
				for b.Loop() {
					if err := s.Settle(ctx, incident.Outcome{State: incident.Pending, At: time.Now(), Next: time.Now().Add(time.Hour)}, due[0]); err != nil {
						b.Fatal(err)
					}
				}
			})
			b.Run("next", func(b *testing.B) {
				for b.Loop() {
					if _, err := s.NextDue(ctx, "down"); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}

// TestNextDueLooksAtTheHeadOfEachLane: what stands behind a failure is not due
// before that is.
func TestNextDueLooksAtTheHeadOfEachLane(t *testing.T) {
	s := open(t, path(t))
	now := time.Now()
	save(t, s, Entry{Incident: inc("a1", "a", t0), Receivers: []string{"hook"}}, Entry{Incident: inc("a2", "a", t0), Receivers: []string{"hook"}})
	if next, err := s.NextDue(ctx, "hook"); err != nil || next.IsZero() || next.After(now) {
		t.Errorf("at first: %v, %v", next, err)
	}
	due, err := s.Due(ctx, "hook", now, 10)
	if err != nil || len(due) != 2 {
		t.Fatalf("due: %v, %v", due, err)
	}
	later := now.Add(time.Hour)
	if err := s.Settle(ctx, incident.Outcome{State: incident.Pending, At: now, Next: later, Error: "503"}, due[0]); err != nil {
		t.Fatal(err)
	}
	if next, err := s.NextDue(ctx, "hook"); err != nil || !next.Equal(time.Unix(0, later.UnixNano())) {
		t.Errorf("behind a failure: %v, want %v; %v", next, later, err)
	}
	save(t, s, Entry{Incident: inc("b1", "b", t0), Receivers: []string{"hook"}})
	if next, err := s.NextDue(ctx, "hook"); err != nil || next.After(now) {
		t.Errorf("with another container: %v, %v", next, err)
	}
	if next, err := s.NextDue(ctx, "nobody"); err != nil || !next.IsZero() {
		t.Errorf("of nobody: %v, %v", next, err)
	}
}
