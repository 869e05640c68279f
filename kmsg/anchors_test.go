package kmsg

import (
	"bytes"
	"math/rand/v2"
	"os"
	"testing"
)

func TestFinderFindsWhatASlowSearchFinds(t *testing.T) {
	f := newFinder(&anchors)
	var all []string
	for _, g := range anchors {
		all = append(all, g...)
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	slow := func(b []byte, from int) int {
		best := -1
		for _, a := range all {
			if i := bytes.Index(b[from:], []byte(a)); i >= 0 && (best < 0 || from+i < best) {
				best = from + i
			}
		}
		return best
	}
	for range 3000 {
		b := make([]byte, rnd.IntN(300))
		for i := range b {
			b[i] = "omKilTask -:\x00\xff"[rnd.IntN(15)%14]
		}
		if len(b) > 20 {
			a := all[rnd.IntN(len(all))]
			copy(b[rnd.IntN(len(b)):], a)
		}
		for from := 0; from <= len(b); {
			got, want := f.next(b, from), slow(b, from)
			if got != want {
				t.Fatalf("next(%q, %d) = %d, want %d", b, from, got, want)
			}
			if got < 0 {
				break
			}
			from = got + 1
		}
	}
}

func BenchmarkFinder(b *testing.B) {
	name := os.Getenv("OOMWATCH_BENCH_LOG")
	if name == "" {
		b.Skip("OOMWATCH_BENCH_LOG names no log")
	}
	file, err := os.Open(name)
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	buf := make([]byte, 1<<18)
	n, _ := file.ReadAt(buf, 1<<24)
	buf = buf[:n]
	f := newFinder(&anchors)
	b.SetBytes(int64(n))
	hits, cands := 0, 0
	for b.Loop() {
		for i := 0; ; i++ {
			i = f.next(buf, i)
			if i < 0 {
				break
			}
			hits++
		}
	}
	for i := 0; ; i++ {
		if i = f.candidate(buf, i); i < 0 {
			break
		}
		cands++
	}
	b.ReportMetric(float64(hits)/float64(b.N), "hits/op")
	b.ReportMetric(float64(cands), "cands")
}
