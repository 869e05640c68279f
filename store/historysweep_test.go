package store

import (
	"errors"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oomwatch/oomwatch/recorder"
)

// TestSweep: who goes through all services reads the same as who asks for each, what has
// been rolled up and what has not; names are those of Services, also of one too young to
// have been rolled up.
func TestSweep(t *testing.T) {
	h := openHistory(t, filepath.Join(t.TempDir(), "x.db"), nil)
	rec := recorder.New(recorder.Options{Keeper: h})
	from := time.Unix(1_700_000_000, 0).UTC()
	record(t, rec, from, 2*time.Hour, "a", "b")
	young := from.Add(2 * time.Hour)
	record(t, rec, young, time.Minute, "young")
	sweep, err := h.Sweep(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	services, err := h.Services(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	names, err := h.Names(t.Context())
	if err != nil || len(names) != 3 {
		t.Fatalf("names %v: %v", names, err)
	}
	for i, s := range services {
		if names[i] != s.Name {
			t.Errorf("name %d is %q, want %q", i, names[i], s.Name)
		}
		one, ok, err := h.Service(t.Context(), s.Name)
		if err != nil || !ok || one != s {
			t.Errorf("service %+v, by its name %+v: %v", s, one, err)
		}
		for _, step := range []time.Duration{recorder.StepRead, recorder.StepShort, recorder.StepLong} {
			for _, since := range []time.Time{from, from.Add(time.Hour), s.Last.Add(-10 * time.Minute)} {
				want, err := h.Series(t.Context(), s.Name, step, since, s.Last)
				if err != nil {
					t.Fatal(err)
				}
				var each, swept []recorder.Reading
				err = errors.Join(
					h.Each(t.Context(), s.Name, step, since, s.Last, func(r *recorder.Reading) { each = append(each, *r) }),
					sweep.Each(t.Context(), s.Name, step, since, s.Last, func(r *recorder.Reading) { swept = append(swept, *r) }))
				if err != nil {
					t.Fatal(err)
				}
				if len(want.Readings) == 0 || !slices.IsSortedFunc(want.Readings, func(a, b recorder.Reading) int { return a.At.Compare(b.At) }) {
					t.Errorf("%s at %v since %v: %d readings, or out of order", s.Name, step, since, len(want.Readings))
				}
				if diff := cmp.Diff(want.Readings, each) + cmp.Diff(want.Readings, swept); diff != "" {
					t.Errorf("%s at %v since %v: %s", s.Name, step, since, diff)
				}
			}
		}
	}
}
