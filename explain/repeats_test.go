package explain

import (
	"slices"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/kmsg"
	"github.com/oomwatch/oomwatch/observe"
)

// TestWithoutRepeats: of what the ring and the journal both hold the ring's is used,
// but for a report whose beginning it has lost.
func TestWithoutRepeats(t *testing.T) {
	now := time.Now()
	report := func(seq uint64, pid, second int, complete bool, usage int64) observe.Observation {
		at := now.Add(time.Duration(second) * time.Second)
		return observe.Observation{At: at, Episode: &kmsg.Episode{Seq: seq, Time: at, Complete: complete, Usage: kmsg.Bytes(usage), Kills: []kmsg.Kill{{Seq: seq, Time: at, PID: pid}}}}
	}
	fault := func(seq uint64, pid int) observe.Observation {
		return observe.Observation{At: now, Fault: &kmsg.Fault{Seq: seq, Time: now, PID: pid}}
	}
	got := withoutRepeats([]observe.Observation{
		report(0, 10, -300, true, 1), // of before what the ring holds
		report(0, 11, 0, true, 2),    // the ring has its end only
		report(0, 12, 11, true, 3),   // the ring has it whole
		report(0, 11, 60, true, 4),   // another process of the same pid
		fault(0, 13), fault(0, 14),
		report(7, 11, 1, false, 5), report(8, 12, 10, true, 6), fault(9, 13),
	})
	var usages []int64
	var pids []int
	for _, o := range got {
		if o.Episode != nil {
			usages = append(usages, o.Episode.Usage.Bytes)
		} else {
			pids = append(pids, o.Fault.PID)
		}
	}
	if want := []int64{1, 4, 2, 6}; !slices.Equal(usages, want) {
		t.Errorf("reports %v, want %v", usages, want)
	}
	if want := []int{14, 13}; !slices.Equal(pids, want) {
		t.Errorf("faults of %v, want %v", pids, want)
	}
}
