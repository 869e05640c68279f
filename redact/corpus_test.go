package redact

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// Most of the corpus that Line may get wrong, in percent, on either side.
const corpusBar = 2.0

// corpusSets are the folders of testdata: the rules were written against the first; each
// of the others was unseen until it was measured.
var corpusSets = []string{"tuning", "heldout", "fresh", "last", "wide", "after", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh"}

var reMarked = regexp.MustCompile(`«[^»]*»`)

// A sample is one line of the corpus: the line as it is logged, and
// the secrets that stand in it.
type sample struct {
	kind, line string
	secrets    []string
}

// corpus reads a file of samples. «…» marks a secret and ¦ is dropped, so that no
// file holds what looks like a real token. "## kind" begins a kind.
func corpus(t testing.TB, name string) []sample {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	var out []sample
	kind := ""
	for l := range strings.SplitSeq(strings.TrimSuffix(string(b), "\n"), "\n") {
		if k, ok := strings.CutPrefix(l, "## "); ok {
			kind = k
			continue
		}
		if strings.HasPrefix(l, "# ") && kind == "" {
			continue
		}
		l = strings.ReplaceAll(l, "¦", "")
		s := sample{kind: kind}
		for _, m := range reMarked.FindAllString(l, -1) {
			s.secrets = append(s.secrets, strings.Trim(m, "«»"))
		}
		s.line = strings.NewReplacer("«", "", "»", "").Replace(l)
		out = append(out, s)
	}
	return out
}

// leaks is true where a line still shows a secret, or half of a longer one.
func (s sample) leaks(masked string) bool {
	for _, secret := range s.secrets {
		if strings.Contains(masked, secret) {
			return true
		}
		for _, half := range []string{secret[:len(secret)/2], secret[len(secret)/2:]} {
			// A half that stands elsewhere in the line, too, says nothing.
			if len(half) >= 4 && strings.Count(s.line, half) == 1 && strings.Contains(masked, half) {
				return true
			}
		}
	}
	return false
}

// TestCorpus holds Line to its bar on both sides: secrets that leak and harmless
// lines that are changed.
func TestCorpus(t *testing.T) {
	for _, half := range corpusSets {
		t.Run(half, func(t *testing.T) {
			leaked, kinds, bad := 0, map[string]bool{}, map[string]bool{}
			secrets := corpus(t, half+"/secrets.txt")
			for _, s := range secrets {
				kinds[s.kind] = true
				if len(s.secrets) == 0 {
					t.Fatalf("%q marks no secret", s.line)
				}
				if got := Line(s.line); s.leaks(got) {
					leaked, bad[s.kind] = leaked+1, true
					t.Logf("leaks (%s): %s\n\t-> %s", s.kind, s.line, got)
				}
			}
			masked := 0
			harmless := corpus(t, half+"/harmless.txt")
			for _, s := range harmless {
				if got := Line(s.line); got != s.line {
					masked++
					t.Logf("masked (%s): %s\n\t-> %s", s.kind, s.line, got)
				}
			}
			t.Logf("%s: %d of %d secrets leak (%d of %d kinds), %d of %d harmless lines are changed",
				half, leaked, len(secrets), len(bad), len(kinds), masked, len(harmless))
			for what, share := range map[string]float64{
				"secrets leak":              float64(leaked) / float64(len(secrets)),
				"harmless lines are masked": float64(masked) / float64(len(harmless)),
			} {
				if share*100 > corpusBar {
					t.Errorf("%.1f %% of the %s, the bar is %.1f %%", share*100, what, corpusBar)
				}
			}
		})
	}
}

// BenchmarkCorpus is the cost of one line: of logs as they are, and of lines that
// hold a secret.
func BenchmarkCorpus(b *testing.B) {
	for _, name := range []string{"harmless", "secrets"} {
		lines := corpus(b, "tuning/"+name+".txt")
		b.Run(name, func(b *testing.B) {
			i := 0
			for b.Loop() {
				Line(lines[i%len(lines)].line)
				i++
			}
		})
	}
}

// TestOtherValues puts values that do not mix letters and digits into the lines of the
// newest sets: docs/redaction.md has the figures.
func TestOtherValues(t *testing.T) {
	for _, tt := range []struct {
		value string
		most  int // of the lines may show it
	}{{"48291734", 10}, {"p@ss,w0rd", 9}, {"Zx9$kL(2)", 13}, {"summerhouse", 12}} {
		n, leaked := 0, 0
		for _, set := range []string{"ninth", "tenth", "eleventh"} {
			for _, c := range corpus(t, set+"/secrets.txt") {
				if len(c.secrets) != 1 || len(c.secrets[0]) > 24 || strings.Count(c.line, c.secrets[0]) != 1 {
					continue // of a shape of its own, or not to be put elsewhere
				}
				n++
				if line := strings.Replace(c.line, c.secrets[0], tt.value, 1); strings.Contains(Line(line), tt.value) {
					leaked++
					t.Logf("shown: %s", line)
				}
			}
		}
		t.Logf("%s: %d of %d", tt.value, leaked, n)
		if leaked > tt.most {
			t.Errorf("%d of %d lines show %s, at most %d may", leaked, n, tt.value, tt.most)
		}
	}
}
