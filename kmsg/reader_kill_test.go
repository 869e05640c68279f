package kmsg

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/test/race"
)

// Real kills while the reader is stopped now and then: whatever the ring
// dropped meanwhile, every sequence number is accounted for, and every kill
// whose record was not dropped is told.
func TestReaderAccountsForKills(t *testing.T) {
	kills := race.Or(500, 50)
	cg := newCgroup(t, 32<<20)
	// The kernel dumps the tasks of only ten kills in 5 s: with more tasks to
	// dump, the ring runs over while it is not read.
	for range 60 {
		cg.idle(t)
	}
	r := openReal(t, ReaderOptions{Keep: Interesting})
	readHistory(t, r)
	start := r.Stats()

	pids := make(map[int]int) // killed by us
	told := make(map[int]int) // of those, told by the log
	drain := func() {
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		defer cancel()
		for {
			rec, err := r.Next(ctx)
			if errors.Is(err, context.DeadlineExceeded) {
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var pid int
			if i := strings.Index(rec.Text, "Killed process "); i >= 0 && rec.Facility == 0 {
				if _, err := fmt.Sscanf(rec.Text[i:], "Killed process %d ", &pid); err != nil {
					t.Errorf("record %d: %q: %v", rec.Seq, rec.Text, err)
				}
				told[pid]++
			}
		}
	}
	for i := range kills {
		pids[cg.kill(t)]++
		// Read along, then leave the ring alone for ever longer.
		if i < 50 || i == 60 || i == 100 {
			drain()
		}
	}
	drain()
	drain() // the second has nothing to catch up with

	end := r.Stats()
	if end.Read+end.Lost != end.Last-end.First+1 {
		t.Errorf("read %d + lost %d is not the span %d to %d", end.Read, end.Lost, end.First, end.Last)
	}
	if end.Read+end.Lost != end.Span {
		t.Errorf("span %d for read %d + lost %d", end.Span, end.Read, end.Lost)
	}
	missing, extra := uint64(0), 0
	for pid, n := range pids {
		missing += uint64(max(0, n-told[pid]))
	}
	for pid, n := range told {
		extra += max(0, min(n, 1)-pids[pid]) // others on this machine
	}
	lost := end.Lost - start.Lost
	if missing > lost {
		t.Errorf("%d of %d kills are not told, but only %d records are lost", missing, kills, lost)
	}
	t.Logf("%d kills: %d records read, %d lost in %d overruns, span %d; %d kills told, %d pids of others",
		kills, end.Read-start.Read, lost, end.Overruns-start.Overruns, end.Last-start.Last, kills-int(missing), extra)
}
