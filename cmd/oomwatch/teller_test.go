package main

import (
	"testing"

	"github.com/oomwatch/oomwatch/incident"
)

// A log may hold more kills than memory does: the newest are kept, in order, all are
// counted, and only the last stories are whole.
func TestTellerIsBounded(t *testing.T) {
	tl := &teller{}
	const kills = 5*maxListed + 17
	for i := range kills {
		tl.tell(&incident.Incident{Count: i, Advice: []string{"a"}})
		if len(tl.kept) > 2*maxListed {
			t.Fatalf("%d are kept", len(tl.kept))
		}
	}
	got := tl.newest()
	if tl.count != kills || len(got) != maxListed || got[0].Count != kills-maxListed || got[maxListed-1].Count != kills-1 {
		t.Errorf("%d counted, %d kept, from %d to %d", tl.count, len(got), got[0].Count, got[len(got)-1].Count)
	}
	for i, inc := range got {
		if whole := inc.Advice != nil; whole != (i >= maxListed-maxStories) {
			t.Errorf("%d of %d: whole %v", i, maxListed, whole)
		}
	}
}
