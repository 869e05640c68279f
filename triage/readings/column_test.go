package readings

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// samplesOf are those of a column.
func samplesOf(c *column) (out []sample) {
	for r := c.read(); r.next(); {
		out = append(out, r.now)
	}
	return out
}

// TestColumn packs samples of every form, in any order, and has them back as they were.
func TestColumn(t *testing.T) {
	r := rand.New(rand.NewPCG(15, 1))
	var c column
	for round := range 300 {
		c.reset()
		var want []sample
		at, v := math.Floor(r.Float64()*2e9), 0.0
		for range r.IntN(200) {
			switch r.IntN(12) {
			case 0:
				at += r.Float64() // no whole milliseconds
			case 1:
				at += float64(r.IntN(1e6)) / 1e3
			case 2:
				at -= 120
			case 3:
				at = 1e300 * r.Float64()
			case 4:
				at = math.Floor(r.Float64() * 2e9)
			default:
				at += 60
			}
			switch r.IntN(8) {
			case 0:
				v = r.Float64()
			case 1:
				v = math.Floor(r.Float64() * (1 << 60))
			case 2:
				v = 1 << 53
			case 3:
				v = float64(r.IntN(1 << 40))
			case 4, 5:
				v = float64(r.IntN(1<<20)) * pageSize
			}
			want = append(want, sample{at, v})
			c.add(sample{at, v})
		}
		if got := samplesOf(&c); !slices.Equal(got, want) {
			t.Fatalf("round %d: %v\nwant %v", round, got, want)
		}
		if c.n == 0 {
			continue
		}
		slices.SortStableFunc(want, byTime)
		kept := c.kept()
		if got := samplesOf(kept); !slices.Equal(got, want) || kept.late || kept.first != want[0] || kept.last != want[len(want)-1] {
			t.Fatalf("round %d: in order %v\nwant %v", round, got, want)
		}
	}
}

// TestColumnIsSmall: a sample of a month takes two bytes or three, of a metric that stays
// as it is one.
func TestColumnIsSmall(t *testing.T) {
	r := rand.New(rand.NewPCG(15, 2))
	var memory, limit column
	const n = 43_200
	for i := range n {
		at := 1767225600.781 + 60*float64(i)
		memory.add(sample{at, math.Floor((3e8+5e6*r.NormFloat64())/pageSize) * pageSize})
		limit.add(sample{at, 1 << 29})
	}
	if a, b := float64(len(memory.b))/n, float64(len(limit.b))/n; a > 3 || b > 1.01 {
		t.Errorf("%.2f bytes a sample of memory, %.2f of a limit", a, b)
	}
}

func TestMergeColumns(t *testing.T) {
	of := func(list ...sample) *column {
		c := &column{}
		for _, q := range list {
			c.add(q)
		}
		return c
	}
	a := of(sample{10, 1}, sample{20, 2}, sample{40, 4})
	b := of(sample{5, 9}, sample{20, 9}, sample{30, 9}, sample{50, 9}, sample{60, 9})
	want := []sample{{5, 9}, {10, 1}, {20, 2}, {30, 9}, {40, 4}, {50, 9}, {60, 9}}
	if got := samplesOf(merge(a, b)); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if got := samplesOf(merge(nil, b)); !slices.Equal(got, samplesOf(b)) {
		t.Errorf("%v", got)
	}
}
