package store

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oomwatch/oomwatch/recorder"
)

func openHistory(t testing.TB, store string, edit func(*HistoryOptions)) *History {
	t.Helper()
	opt := HistoryOptions{Store: store}
	if edit != nil {
		edit(&opt)
	}
	h, err := OpenHistory(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

// record runs a recorder over a span of time, a second at a time, and gives what
// each service was read to use.
func record(t testing.TB, rec *recorder.Recorder, from time.Time, span time.Duration, services ...string) map[string][]recorder.Reading {
	t.Helper()
	all := map[string][]recorder.Reading{}
	tracks := map[string]*recorder.Track{}
	for _, s := range services {
		tracks[s] = rec.Begin("id-of-"+s, s, from.Add(-time.Hour))
	}
	for at := from; at.Before(from.Add(span)); at = at.Add(time.Second) {
		for _, s := range services {
			r := recorder.Unknown()
			r.At, r.Used, r.Anon, r.OOMKill = at, at.Unix()%977<<12, at.Unix()%91<<12, 0
			tracks[s].Add(&r)
			all[s] = append(all[s], r)
		}
		if at.Unix()%30 == 0 {
			if err := rec.Keep(t.Context(), at); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, s := range services {
		// A series that was begun by the present recorder begins with a start.
		tracks[s].End(from.Add(span))
	}
	return all
}

// between is the readings from one time to another.
func between(all []recorder.Reading, from, to time.Time) []recorder.Reading {
	var out []recorder.Reading
	for _, r := range all {
		if !r.At.Before(from) && !r.At.After(to) {
			out = append(out, r)
		}
	}
	return out
}

func TestHistoryIsWhatWasRecorded(t *testing.T) {
	store := filepath.Join(t.TempDir(), "oomwatch.db")
	h := openHistory(t, store, nil)
	rec := recorder.New(recorder.Options{Keeper: h})
	from := time.Unix(1_700_000_000, 0).UTC()
	all := record(t, rec, from, 3*time.Hour, "shop/web", "db")
	for name := range all {
		all[name][0].Start = true
	}
	end := from.Add(3 * time.Hour)
	if err := rec.Keep(t.Context(), end); err != nil {
		t.Fatal(err)
	}
	check := func(h *History) {
		t.Helper()
		services, err := h.Services(t.Context())
		if err != nil || len(services) != 2 || services[0].Name != "db" || services[1].Name != "shop/web" ||
			services[0].First.Sub(from).Abs() > time.Minute || services[0].Last.Before(end.Add(-2*time.Second)) {
			t.Fatalf("services: %+v, %v", services, err)
		}
		for _, span := range [][2]time.Time{{from, end}, {from.Add(47 * time.Minute), from.Add(131 * time.Minute)}, {end.Add(-time.Minute), end}} {
			got, err := h.History(t.Context(), "db", span[0], span[1])
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range got {
				want := all["db"]
				if s.Step == recorder.StepRead {
					want = between(want, s.Readings[0].At, end) // how far back is judged below
				} else {
					want = recorder.Roll(want, s.Step)
				}
				if diff := cmp.Diff(between(want, span[0], span[1]), s.Readings); diff != "" {
					t.Errorf("at %v from %v: %s", s.Step, span[0].Sub(from), diff)
				}
			}
			if len(got) < 2 || span[0] == from && len(got[0].Readings) < int(recorder.KeepRead/time.Second)-60 {
				t.Errorf("from %v: %d series", span[0].Sub(from), len(got))
			}
		}
		if got, err := h.History(t.Context(), "no such", from, end); err != nil || len(got) != 0 {
			t.Errorf("of nobody: %v, %v", got, err)
		}
	}
	check(h)
	// Beside the one that writes, and after it.
	check(openHistory(t, store, func(o *HistoryOptions) { o.ReadOnly = true }))
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	check(openHistory(t, store, func(o *HistoryOptions) { o.ReadOnly = true }))
}

// What is too old goes, little by little, and the file does not grow for ever.
func TestHistoryIsPruned(t *testing.T) {
	h := openHistory(t, filepath.Join(t.TempDir(), "x"), func(o *HistoryOptions) { o.Keep = 4 * time.Hour })
	rec := recorder.New(recorder.Options{Keeper: h})
	from := time.Unix(1_700_000_000, 0).UTC()
	record(t, rec, from, time.Hour, "gone")
	var sizes []int64
	for i := range 5 {
		at := from.Add(time.Duration(2+3*i) * time.Hour)
		record(t, rec, at, 3*time.Hour, "stays")
		n, err := h.Size(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, n)
	}
	if sizes[4] > sizes[2]*11/10 {
		t.Errorf("the file grows: %v", sizes)
	}
	services, err := h.Services(t.Context())
	if err != nil || len(services) != 1 || services[0].Name != "stays" {
		t.Fatalf("left: %+v, %v", services, err)
	}
	// A block goes when all of it is too old: half a day of minutes at most.
	if age := services[0].Last.Sub(services[0].First); age < 4*time.Hour || age > 16*time.Hour {
		t.Errorf("%v is kept", age)
	}
}

func TestHistoryIsBoundedInSize(t *testing.T) {
	const most = 64 << 10
	h := openHistory(t, filepath.Join(t.TempDir(), "x.db"), func(o *HistoryOptions) { o.MaxBytes = most })
	rec := recorder.New(recorder.Options{Keeper: h})
	from := time.Unix(1_700_000_000, 0).UTC()
	record(t, rec, from, 26*time.Hour, "s0")
	if h.squeezed == 0 || h.keepLong() != leastKeep {
		t.Errorf("squeezed by %v, keeps %v", h.squeezed, h.keepLong())
	}
	s, err := h.Series(t.Context(), "s0", recorder.StepLong, from, from.Add(30*time.Hour))
	if err != nil || len(s.Readings) == 0 || s.Readings[len(s.Readings)-1].At.Before(from.Add(26*time.Hour-time.Minute)) {
		t.Errorf("the newest is not kept: %v", err)
	}
}

func TestHistoryLeavesRoomForIncidents(t *testing.T) {
	h := openHistory(t, filepath.Join(t.TempDir(), "x.db"), nil)
	h.free = func(string) (int64, error) { return reserve - 1, nil }
	rec := recorder.New(recorder.Options{Keeper: h})
	from := time.Unix(1_700_000_000, 0).UTC()
	tr := rec.Begin("id", "db", from)
	r := recorder.Unknown()
	r.At, r.Used = from, 1<<20
	tr.Add(&r)
	if err := rec.Keep(t.Context(), from); !errors.Is(err, ErrNoRoom) {
		t.Fatalf("kept on a full disk: %v", err)
	}
	h.free = freeBytes
	if err := rec.Keep(t.Context(), from.Add(30*time.Second)); err != nil {
		t.Fatal(err)
	}
	if s, err := h.Series(t.Context(), "db", recorder.StepRead, from, from); err != nil || len(s.Readings) != 1 {
		t.Errorf("after there was room again: %+v, %v", s, err)
	}
}

// A damaged row is skipped; a damaged file is moved aside, while it is in use too.
func TestDamagedHistory(t *testing.T) {
	ctx := context.Background()
	store := filepath.Join(t.TempDir(), "x.db")
	h := openHistory(t, store, nil)
	rec := recorder.New(recorder.Options{Keeper: h})
	from := time.Unix(1_700_000_000, 0).UTC()
	record(t, rec, from, 2*time.Hour, "a", "b")
	if _, err := h.db.Exec("UPDATE blocks SET crc = crc + 1 WHERE key >> 36 = 1"); err != nil {
		t.Fatal(err)
	}
	full := func(name string) int {
		s, err := h.Series(ctx, name, recorder.StepLong, from, from.Add(2*time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		return len(s.Readings)
	}
	if a, b := full("a"), full("b"); min(a, b) > 60 || max(a, b) != 120 {
		t.Errorf("%d and %d minutes are read; of one all are damaged but the last", a, b)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(HistoryPath(store))
	if err != nil {
		t.Fatal(err)
	}
	for i := 4096; i < len(file); i += 512 {
		file[i] ^= 0xff
	}
	if err := os.WriteFile(HistoryPath(store), file, 0o600); err != nil {
		t.Fatal(err)
	}
	h = openHistory(t, store, nil)
	rec = recorder.New(recorder.Options{Keeper: h})
	record(t, rec, from.Add(3*time.Hour), time.Hour, "a")
	s, err := h.Series(ctx, "a", recorder.StepLong, from, from.Add(5*time.Hour))
	if err != nil || len(s.Readings) < 59 {
		t.Errorf("after the damage: %d minutes, %v", len(s.Readings), err)
	}
	aside, err := filepath.Glob(HistoryPath(store) + ".corrupt-*")
	if err != nil || len(aside) == 0 {
		t.Errorf("moved aside: %v, %v", aside, err)
	}
}

func TestHistoryRefusesAnotherFile(t *testing.T) {
	dir := t.TempDir()
	s := open(t, filepath.Join(dir, "x-history.db"))
	s.Close()
	if _, err := OpenHistory(t.Context(), HistoryOptions{Store: filepath.Join(dir, "x.db")}); err == nil {
		t.Error("the store was opened as a history")
	}
}
