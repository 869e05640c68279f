package recorder

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// anyReading draws readings as the kernel could give them, and some that it could not.
func anyReading(t *rapid.T, at int64) Reading {
	value := func(name string) int64 {
		return rapid.OneOf(rapid.Just(Absent), rapid.Int64Range(0, 1<<20), rapid.Map(rapid.Int64Range(0, 1<<24), func(n int64) int64 { return n << pageShift }),
			rapid.Just(int64(math.MaxInt64)), rapid.Int64()).Draw(t, name)
	}
	r := Reading{At: whenOf(at), Start: rapid.Bool().Draw(t, "start"), Used: value("used")}
	for _, f := range []*int64{&r.Limit, &r.Anon, &r.File, &r.Shmem, &r.Kernel, &r.Swap, &r.Reclaimable, &r.Low, &r.High, &r.LimitHits,
		&r.OOM, &r.OOMKill, &r.PSISome, &r.PSIFull, &r.PIDs, &r.PIDsLimit, &r.CPUPeriods, &r.CPUThrottled, &r.CPUThrottledUS, &r.Min, &r.Max} {
		*f = value("v")
	}
	return r
}

func TestBlockGivesBackWhatWasWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		step := rapid.SampledFrom([]time.Duration{StepRead, StepShort, StepLong}).Draw(t, "step")
		at := rapid.Int64Range(0, 1<<36).Draw(t, "at")
		var want []Reading
		var block []byte
		for range rapid.IntRange(1, 4).Draw(t, "blocks") {
			var prev row
			more := appendHeader(nil, step, &prev)
			for range rapid.IntRange(0, 6).Draw(t, "rows") {
				at += rapid.OneOf(rapid.Just(ticksOf(step)), rapid.Int64Range(1, 1<<30)).Draw(t, "later")
				r := anyReading(t, at)
				w := rowOf(&r)
				more = appendRow(more, &prev, &w, ticksOf(step))
				prev = w
				want = append(want, r)
			}
			var err error
			if block, err = Append(block, more); err != nil {
				t.Fatal(err)
			}
			// What is there already is not added again.
			if again, err := Append(block, more); err != nil || len(again) != len(block) {
				t.Fatalf("appending twice: %d bytes, then %d, %v", len(block), len(again), err)
			}
		}
		got, err := Decode(nil, block)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Fatal(d)
		}
		first, last, err := Span(block)
		if n := len(want); n == 0 && err == nil || n > 0 && (err != nil || !first.Equal(want[0].At) || !last.Equal(want[n-1].At)) {
			t.Fatalf("%d readings from %s to %s, %v", n, first, last, err)
		}
	})
}

func FuzzDecode(f *testing.F) {
	r := Unknown()
	r.At, r.Used = time.Unix(1_700_000_000, 0), 4097
	w, zero := rowOf(&r), row{}
	f.Add(appendRow(appendHeader(nil, StepRead, &zero), &zero, &w, 10))
	f.Add(appendHeader(nil, StepLong, &w))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := Decode(nil, b)
		if len(got) > len(b) {
			t.Fatalf("%d readings of %d bytes", len(got), len(b))
		}
		more, aerr := Append(nil, b)
		if (err == nil) != (aerr == nil) {
			t.Fatalf("Decode: %v, Append: %v", err, aerr)
		}
		if again, err := Decode(nil, more); aerr == nil && (err != nil || len(again) > len(got)) {
			t.Fatalf("appended to nothing: %d readings of %d, %v", len(again), len(got), err)
		}
	})
}
