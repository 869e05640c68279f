package incident

import (
	"slices"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/kmsg"
)

// TestKillsInHistory: the picture of a death shows what else the kernel killed in the
// container since it is drawn, and not the kill that the incident is of.
func TestKillsInHistory(t *testing.T) {
	at := time.Date(2026, 11, 25, 3, 0, 0, 0, time.UTC)
	kill := func(before time.Duration) KernelKill {
		when := at.Add(-before)
		return KernelKill{Episode: &kmsg.Episode{Time: when}, Kill: kmsg.Kill{PID: 7, Time: when}}
	}
	f := &Facts{Kind: KindDeath, Time: at, Kills: []KernelKill{kill(0)},
		ChildKills: []KernelKill{kill(time.Hour), kill(90 * time.Second), kill(1500 * time.Millisecond)}}
	for i := range 120 {
		f.Past = append(f.Past, Reading{At: at.Add(time.Duration(i-120) * time.Second), Used: int64(i), Anon: -1})
	}
	inc := &Incident{Time: at}
	fillFromSamples(inc, f)
	if want := []float64{-90, -1.5}; !slices.Equal(inc.History.Kills, want) {
		t.Errorf("kills at %v, want %v", inc.History.Kills, want)
	}
}
