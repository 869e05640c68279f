package render

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/incident"
)

// TestDigestAddsUp makes up storms of every shape: what is counted in the summary, by
// cause, by group and in the lines that are printed is the same number; what the receiver
// never had stands first; and the message keeps to its length.
func TestDigestAddsUp(t *testing.T) {
	at := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	causes := []incident.Cause{incident.OOMContainer, incident.OOMHost, incident.ExitError, incident.KillUnknown, incident.CrashSignal, incident.LimitDisk}
	names := []string{"web", "two words", "it's\x1b[2J", "данные", "", "a\nb", "db"}
	for seed := range uint64(500) {
		r := rand.New(rand.NewPCG(seed, 1))
		var list []incident.Delivery
		for n := range 2 + r.IntN(60) {
			inc := &incident.Incident{ID: fmt.Sprintf("id%d", n), Kind: incident.KindDeath, Cause: causes[r.IntN(1+r.IntN(len(causes)))], Severity: incident.Critical,
				Time: at.Add(time.Duration(r.IntN(90)) * time.Second), Count: r.IntN(4), Host: &incident.Host{Name: "vm"}}
			if r.IntN(3) > 0 { // one container loops
				inc.Container = &incident.Container{ID: strings.Repeat("l", 64), Name: "looper"}
			} else if r.IntN(8) > 0 {
				k := r.IntN(len(names))
				inc.Container = &incident.Container{ID: strings.Repeat(strconv.Itoa(k), 64), Name: names[k]}
			}
			inc.Summary = "what happened\n"
			if inc.Container != nil {
				inc.Summary = inc.Container.Name + " died"
			}
			d := incident.Delivery{Incident: inc}
			if r.IntN(2) == 0 {
				d.Last.At = at.Add(-time.Hour) // it had such a one before
			}
			if r.IntN(6) == 0 {
				d.Rev = 1
			}
			list = append(list, d)
		}
		checkDigest(t, seed, incident.NewDigest(list, "pager", 0))
		if t.Failed() {
			return
		}
	}
}

var (
	causeCount = regexp.MustCompile(`, (\d+) (?:[a-z]+\.[a-z_]+|of other causes)`)
	lineCount  = regexp.MustCompile(`^(?:(\d+) ×|and (\d+) more in )`)
)

func checkDigest(t *testing.T, seed uint64, d *incident.Digest) {
	t.Helper()
	byCause, byGroup, updates, later := 0, 0, 0, false
	for _, n := range d.ByCause {
		byCause += n
	}
	for _, g := range d.Groups {
		if g.Update {
			updates += g.Count
			continue
		}
		byGroup += g.Count
		if g.FirstEver && later {
			t.Errorf("seed %d: a group that is new to the receiver stands behind one that is not: %+v", seed, d.Groups)
		}
		later = later || !g.FirstEver
	}
	if byCause != d.Count || byGroup != d.Count || updates != d.Updates {
		t.Errorf("seed %d: %d incidents, %d by cause, %d by group; %d updates, %d by group", seed, d.Count, byCause, byGroup, d.Updates, updates)
	}
	said := 0
	for _, m := range causeCount.FindAllStringSubmatch(d.Summary, -1) {
		n, _ := strconv.Atoi(m[1])
		said += n
	}
	if said != d.Count {
		t.Errorf("seed %d: the causes in %q are %d together, want %d", seed, d.Summary, said, d.Count)
	}
	printed := 0
	for _, line := range OutlineOfDigest(d).Lines {
		switch m := lineCount.FindStringSubmatch(line.Text); {
		case m == nil:
			printed++
		default:
			n, _ := strconv.Atoi(m[1] + m[2])
			printed += n
		}
	}
	if printed != byGroup+updates {
		t.Errorf("seed %d: the lines count %d, want %d and %d updates", seed, printed, byGroup, updates)
	}
	var out bytes.Buffer
	if err := WriteDigest(&out, d, TextOptions{}); err != nil {
		t.Fatal(err)
	}
	text := strings.TrimRight(out.String(), "\n")
	if lines := strings.Count(text, "\n") + 1; lines > MaxLines || strings.ContainsAny(text, "\x1b\r\t") {
		t.Errorf("seed %d: %d lines, want %d at most, and nothing that a terminal obeys:\n%s", seed, lines, MaxLines, text)
	}
}
