package verdict

import (
	"slices"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/cgroup"
	"github.com/oomwatch/oomwatch/incident"
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
	own := kill(8 * time.Millisecond) // the engine stamps the end a little later
	own.Main = true
	f := &Facts{Kind: incident.KindDeath, Time: at, Kills: []KernelKill{own},
		ChildKills: []KernelKill{kill(time.Hour), kill(90 * time.Second), kill(1500 * time.Millisecond)}}
	for i := range 120 {
		f.Past = append(f.Past, Reading{At: at.Add(time.Duration(i-120) * time.Second), Used: int64(i), Anon: -1})
	}
	inc := &incident.Incident{Time: at}
	fillFromSamples(inc, f)
	if want := []float64{-90, -1.5}; !slices.Equal(inc.History.Kills, want) {
		t.Errorf("kills at %v, want %v", inc.History.Kills, want)
	}
}

// TestReadAfterTheEnd: what a cgroup held once its processes had gone says nothing of
// the death, neither of its history nor of how near the limit was.
func TestReadAfterTheEnd(t *testing.T) {
	const limit = 256 << 20
	at := time.Date(2026, 11, 25, 3, 0, 0, 0, time.UTC)
	f := &Facts{Kind: incident.KindDeath, Time: at, Container: &incident.Container{MemoryLimit: new(int64(limit))}}
	for i := range 60 {
		f.Samples = append(f.Samples, cgroup.Sample{At: at.Add(time.Duration(i-61) * time.Second), Current: int64(20+4*i) << 20, Limit: limit})
	}
	last := f.Samples[59]
	f.Samples = append(f.Samples, cgroup.Sample{At: at.Add(-20 * time.Millisecond), Current: 204 << 10, Limit: limit})
	inc := &incident.Incident{Time: at}
	fillFromSamples(inc, f)
	if h := inc.History; h.Trend != "unknown" || !h.Growth || h.TrendWord() != "growth" || h.Points[len(h.Points)-1].Bytes != last.Current {
		t.Errorf("%s, because %s; the last is %+v", h.Trend, h.Reason, h.Points[len(h.Points)-1])
	}
	if s, _ := lastSample(f); s.Current != last.Current {
		t.Errorf("the last reading is %d, want %d", s.Current, last.Current)
	}
	// A process that ended in a container that lives on gave its memory back.
	f.Kind = incident.KindKill
	if s, _ := lastSample(f); s.Current == last.Current {
		t.Error("a container that lives is taken to have ended")
	}
}
