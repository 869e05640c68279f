package kmsg

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

func TestFinderFindsWhatASlowSearchFinds(t *testing.T) {
	var finders []*finder // every form that is not better than what this machine has
	for form := range bestForm() + 1 {
		finders = append(finders, newFinder(&anchors, form))
	}
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
	for n := range 6000 {
		f := finders[n%len(finders)]
		b := make([]byte, rnd.IntN(300))
		for i := range b {
			b[i] = "omKilTask -:\x00\xff\xef"[rnd.IntN(16)%15]
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

// BenchmarkFinder searches a made-up log that lies in a processor's cache.
func BenchmarkFinder(b *testing.B) {
	buf := made(b, 1<<18, 3)
	for form, name := range []string{"pairs", "SSSE3 or NEON", "AVX2", "VBMI"} {
		if searchForm(form) > bestForm() {
			break
		}
		b.Run(name, func(b *testing.B) {
			f := newFinder(&anchors, searchForm(form))
			b.SetBytes(int64(len(buf)))
			for b.Loop() {
				for i := 0; i >= 0; {
					if i = f.next(buf, i); i >= 0 {
						i++
					}
				}
			}
		})
	}
}

// BenchmarkScan reads a made-up log, with as many episodes as the bar
// has in a gigabyte, and counts the kills.
func BenchmarkScan(b *testing.B) {
	name := filepath.Join(b.TempDir(), "kern.log")
	log := made(b, 128<<20, 1600)
	if err := os.WriteFile(name, log, 0o600); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(log)))
	b.ReportAllocs()
	for b.Loop() {
		st, err := ScanRender(context.Background(), []string{name}, caseOptions(), func(dst []byte, e *Event) []byte { return dst }, io.Discard)
		if err != nil || st.Kills != 2000 {
			b.Fatalf("%d kills, error %v", st.Kills, err)
		}
	}
}

// BenchmarkLines reads a log that holds next to nothing but episodes.
func BenchmarkLines(b *testing.B) {
	log := made(b, 1<<18, 40)
	opt := caseOptions()
	opt.defaults()
	s := newRegionScanner(newFinder(&anchors, bestForm()), &opt, false, func(dst []byte, e *Event) []byte { return dst })
	b.SetBytes(int64(len(log)))
	var lines int64
	for b.Loop() {
		s.reuse()
		s.scan(log, 0, 0, 0)
		if s.cur != nil {
			s.close(int64(len(log)))
		}
		lines = 0
		for _, g := range s.regions {
			lines += g.stats.Lines
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(lines), "ns/line")
}

// TestSearchPassesLittle: what the first search lets through is hardly more than
// what is looked for, in every form that this machine has. A log in which every line
// is a candidate is right, too, and takes three times as long.
func TestSearchPassesLittle(t *testing.T) {
	log := made(t, 8<<20, 100)
	for form := range bestForm() + 1 {
		f := newFinder(&anchors, form)
		search, most := f.candidate, 4
		if form == formPairs {
			search, most = f.pairs.candidate, 40 // one in 150 bytes
		}
		hits, candidates := 0, 0
		for i := f.next(log, 0); i >= 0; i = f.next(log, i+1) {
			hits++
		}
		for i := search(log, 0); i >= 0; i = search(log, i+1) {
			candidates++
		}
		t.Logf("form %d: %d candidates, %d anchors", form, candidates, hits)
		if hits == 0 || candidates > most*hits {
			t.Errorf("form %d: %d candidates for %d anchors", form, candidates, hits)
		}
	}
}
