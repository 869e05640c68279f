package store

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/recorder"
)

// A recorder that is killed with SIGKILL, again and again, loses what was read
// since it last kept, and nothing else: at most half a minute.
func TestHistorySurvivesKills(t *testing.T) {
	const childEnv = "OOMWATCH_TEST_HISTORY"
	from := time.Unix(1_700_000_000, 0).UTC()
	if arg := os.Getenv(childEnv); arg != "" {
		path, n, _ := strings.Cut(arg, "|")
		start, err := strconv.Atoi(n)
		if err != nil {
			t.Fatal(err)
		}
		h := openHistory(t, path, nil)
		rec := recorder.New(recorder.Options{Keeper: h})
		if err := rec.Restore(t.Context(), h); err != nil {
			t.Fatal(err)
		}
		tr := rec.Begin("id", "db", from)
		for at := from.Add(time.Duration(start) * time.Second); ; at = at.Add(time.Second) {
			r := recorder.Unknown()
			r.At, r.Used = at, at.Unix()%977<<12
			tr.Add(&r)
			if at.Unix()%30 == 0 {
				if err := rec.Keep(t.Context(), at); err != nil {
					t.Fatal(err)
				}
				fmt.Println("kept", int(at.Sub(from)/time.Second))
			}
		}
	}
	path := filepath.Join(t.TempDir(), "x.db")
	next := 0
	for round := range 8 {
		cmd := exec.Command(os.Args[0], "-test.run", "^TestHistorySurvivesKills$")
		cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s|%d", childEnv, path, next))
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		kept := -1
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if s, ok := strings.CutPrefix(lines.Text(), "kept "); ok {
				if kept, err = strconv.Atoi(s); err != nil {
					t.Fatal(err)
				}
				if kept >= next+200*(round+1) {
					break
				}
			}
		}
		_ = cmd.Process.Kill() // SIGKILL, in the middle of whatever it does
		_ = cmd.Wait()
		if kept < 0 {
			t.Fatal("the child kept nothing")
		}
		h, err := OpenHistory(t.Context(), HistoryOptions{Store: path})
		if err != nil {
			t.Fatal(err)
		}
		end := from.Add(24 * time.Hour)
		s, err := h.Series(t.Context(), "db", recorder.StepLong, from, end)
		if err != nil || len(s.Readings) == 0 {
			t.Fatalf("round %d: %v", round, err)
		}
		last := int(s.Readings[len(s.Readings)-1].At.Sub(from) / time.Second)
		if last < kept {
			t.Fatalf("round %d: it said that %d s were kept, and %d are there", round, kept, last)
		}
		for i := 1; i < len(s.Readings); i++ {
			if d := s.Readings[i].At.Sub(s.Readings[i-1].At); d > time.Minute {
				t.Fatalf("round %d: a gap of %v after %v", round, d, s.Readings[i-1].At.Sub(from))
			}
		}
		next = last + 1
		if err := h.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
