package recorder

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// memory is a Keeper and a Past: what a store does, without one.
type memory struct {
	read   []Block
	rolled map[string]map[time.Duration][]byte
	full   bool
}

func (m *memory) Keep(_ context.Context, blocks []Block) error {
	if m.full {
		return errors.New("no space left on device")
	}
	for _, b := range blocks {
		if b.Step == StepRead {
			m.read = append(m.read, b)
			continue
		}
		if m.rolled[b.Service] == nil {
			m.rolled[b.Service] = map[time.Duration][]byte{}
		}
		var err error
		if m.rolled[b.Service][b.Step], err = Append(m.rolled[b.Service][b.Step], b.Data); err != nil {
			return err
		}
	}
	return nil
}

func (m *memory) Rolled(context.Context) (map[string]time.Time, error) {
	out := map[string]time.Time{}
	for name, steps := range m.rolled {
		rs, err := Decode(nil, steps[StepLong])
		if err != nil {
			return nil, err
		}
		out[name] = rs[len(rs)-1].At
	}
	return out, nil
}

func (m *memory) Read(_ context.Context, f func(Block) error) error {
	for _, b := range m.read {
		if err := f(b); err != nil {
			return err
		}
	}
	return nil
}

// A recorder that is killed and begun again, whose keeper refuses at times, and
// whose containers come and go, keeps what one list of all readings says.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ctx := context.Background()
		mem := &memory{rolled: map[string]map[time.Duration][]byte{}}
		rec := New(Options{Keeper: mem})
		names := []string{"db", "shop/web"}
		now := time.Unix(1_700_000_000, 0).UTC()
		all := map[string][]Reading{}  // as read
		held := map[string][]Reading{} // as kept, or held by the present recorder
		tracks := map[string]*Track{}
		started := map[string]time.Time{}
		fresh := map[string]bool{}
		begin := func(name string) { tracks[name] = rec.Begin(name+"-id", name, started[name]) }
		for _, n := range names {
			started[n], fresh[n] = now, true
			begin(n)
		}
		kept := map[string]int{}
		keep := func() {
			if rec.Keep(ctx, now) == nil {
				for _, n := range names {
					kept[n] = len(held[n])
				}
			}
		}
		var full time.Time
		for range rapid.IntRange(1, 60).Draw(t, "actions") {
			// What is refused for longer is given up: that has a test of its own.
			if now.Sub(full) > 20*time.Minute {
				mem.full = false
			}
			switch rapid.SampledFrom([]string{"read", "read", "read", "wait", "restart", "kill", "full", "keep"}).Draw(t, "action") {
			case "read":
				for i := range rapid.IntRange(1, 90).Draw(t, "n") {
					now = now.Add(time.Second)
					for _, n := range names {
						r := Unknown()
						r.At, r.Used, r.Anon = now, int64(i*4096+len(n)), int64(i%3)<<20
						tracks[n].Add(&r)
						r.Start, fresh[n] = fresh[n], false
						all[n], held[n] = append(all[n], r), append(held[n], r)
					}
					if now.Second()%30 == 7 {
						keep()
					}
				}
			case "wait":
				now = now.Add(time.Duration(rapid.IntRange(1, 400).Draw(t, "s")) * time.Second)
			case "restart":
				n := rapid.SampledFrom(names).Draw(t, "name")
				tracks[n].End(now)
				now = now.Add(time.Second)
				started[n], fresh[n] = now, true
				begin(n)
			case "kill":
				rec = New(Options{Keeper: mem})
				if err := rec.Restore(ctx, mem); err != nil {
					t.Fatal(err)
				}
				for _, n := range names {
					held[n] = held[n][:kept[n]] // not kept, so lost
					if len(held[n]) == 0 || held[n][len(held[n])-1].At.Before(started[n]) {
						fresh[n] = true
					}
					begin(n)
				}
			case "full":
				mem.full, full = !mem.full, now
			case "keep":
				keep()
			}
		}
		mem.full = false
		keep()
		for _, n := range names {
			var read []Reading
			for _, b := range mem.read {
				if b.Service == n {
					rs, err := Decode(nil, b.Data)
					if err != nil {
						t.Fatal(err)
					}
					if !b.From.Equal(rs[0].At) || !b.To.Equal(rs[len(rs)-1].At) {
						t.Fatalf("a block from %v to %v says %v to %v", rs[0].At, rs[len(rs)-1].At, b.From, b.To)
					}
					read = append(read, rs...)
				}
			}
			if d := cmp.Diff(held[n], read, cmpopts.EquateEmpty()); d != "" {
				t.Fatalf("%s as read: %s", n, d)
			}
			for _, step := range []time.Duration{StepShort, StepLong} {
				got, err := Decode(nil, mem.rolled[n][step])
				if err != nil && len(mem.rolled[n]) > 0 {
					t.Fatal(err)
				}
				if len(got) == 0 {
					continue
				}
				upto := 0
				for upto < len(held[n]) && !held[n][upto].At.After(got[len(got)-1].At) {
					upto++
				}
				if d := cmp.Diff(Roll(held[n][:upto], step), got, cmpopts.EquateEmpty()); d != "" {
					t.Fatalf("%s at %v: %s", n, step, d)
				}
			}
			// What is held in memory is the newest of it.
			recent := rec.Recent(n + "-id")
			if len(recent) > len(held[n]) {
				t.Fatalf("%s: %d readings held of %d", n, len(recent), len(held[n]))
			}
			if d := cmp.Diff(held[n][len(held[n])-len(recent):], recent); d != "" && len(recent) > 0 {
				t.Fatalf("%s in memory: %s", n, d)
			}
		}
	})
}

// A container that is gone is let go of ten minutes later; its keeper has all of it.
func TestGoneIsLetGoOf(t *testing.T) {
	ctx := context.Background()
	mem := &memory{rolled: map[string]map[time.Duration][]byte{}}
	rec := New(Options{Keeper: mem})
	now := time.Unix(1_700_000_000, 0).UTC()
	track := rec.Begin("id", "once", now)
	for i := range 90 {
		now = now.Add(time.Second)
		r := Unknown()
		r.At, r.Used = now, int64(i)<<12
		track.Add(&r)
	}
	track.End(now)
	held := func() (series, tracks int) { return len(rec.series), len(rec.tracks) }
	for _, step := range []struct {
		after        time.Duration
		series, asks int
	}{{30 * time.Second, 1, 90}, {9 * time.Minute, 1, 90}, {2 * time.Minute, 0, 0}} {
		now = now.Add(step.after)
		if err := rec.Keep(ctx, now); err != nil {
			t.Fatal(err)
		}
		if series, tracks := held(); series != step.series || tracks != step.series || len(rec.Recent("id")) != step.asks {
			t.Errorf("after %s: %d series, %d containers, %d readings", step.after, series, tracks, len(rec.Recent("id")))
		}
	}
	got, err := Decode(nil, mem.rolled["once"][StepShort])
	if err != nil || got[len(got)-1].Used != 89<<12 || len(got) < 9 {
		t.Errorf("the keeper has %d readings, %v", len(got), err)
	}
}
