package triage

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/kmsg"
)

// TestCaptures triages every captured log that the kernel log's reader is tested with.
func TestCaptures(t *testing.T) {
	logs, err := filepath.Glob("../kmsg/testdata/c*/*.txt")
	if err != nil || len(logs) < 100 {
		t.Fatalf("%d logs: %v", len(logs), err)
	}
	for _, name := range logs {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var c Collector
		kills := 0
		_, err = kmsg.Scan(t.Context(), strings.NewReader(string(b)), name, kmsg.ScanOptions{Now: newYear}, func(ev *kmsg.Event) error {
			if ev.Episode != nil {
				for i := range ev.Episode.Kills {
					c.Add(FromEpisode(ev.Episode, i))
					kills++
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		check(t, &c, kills)
		if t.Failed() {
			t.Fatal(name)
		}
	}
}

// FuzzDeaths triages kills in any order, of any size, at any time.
func FuzzDeaths(f *testing.F) {
	f.Add([]byte("000000001111111122222222"))
	f.Add([]byte{0, 0, 10, 0, 50, 0, 50, 0, 0, 0, 10, 0, 50, 0, 50, 0, 0, 0, 10, 0, 50, 0, 50, 0, 0, 0, 10, 0, 50, 0, 50, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		var c Collector
		at, kills := newYear, 0
		for ; len(data) >= 8 && kills < 200; data = data[8:] {
			b := data[:8]
			at = at.Add(time.Duration(int8(b[2])) * time.Minute).Add(time.Duration(b[3]) * time.Second)
			d := Death{
				PID: kills/int(1+b[7]%4) + 1, Comm: []string{"java", "\x1b[31m", "", "a b"}[b[0]%4], Pattern: "/docker/*",
				Container: []string{"", "c1", "c2", "c3"}[b[0]>>2%4], Pod: []string{"", "p1"}[b[0]>>4%2], Service: []string{"", "shop/web"}[b[0]>>5%2],
				Scope: []Scope{OwnLimit, SharedLimit, HostMemory, NodeMemory, NoScope}[b[1]%5],
				RSS:   int64(b[4]) << 20, Limit: int64(b[5]) << 20, Hog: "java", HogHeld: int64(b[6]) << 20, HogTasks: int(b[7]), Host: 256 << 20,
				SysRq: b[1]>>4%2 == 1, Unverified: b[1]>>5%2 == 1,
			}
			switch b[1] >> 6 {
			case 0, 1:
				d.Time = at
			case 2:
				d.Uptime, d.HasUptime = at.Sub(newYear), true
			}
			c.Add(d)
			kills++
		}
		check(t, &c, kills)
	})
}

// check holds what is told of kills against what can be.
func check(t *testing.T, c *Collector, kills int) {
	told := c.Repeated
	named := map[string]bool{}
	for i, s := range c.Services() {
		told += s.Kills.Count
		named[s.Service] = true
		switch {
		case s.Rank != i+1, s.Class == "", s.Service == "", len(s.Reasons) == 0, (s.Confidence == "") != (s.Class == NotEnoughData):
			t.Errorf("incomplete: %+v", s)
		case s.Class == Leak && (s.Suggested != nil || s.Kills.Times < 3):
			t.Errorf("a leak of %d kills: %+v", s.Kills.Times, s)
		case s.Kills.Times > s.Kills.Count, s.Rate != nil && !(*s.Rate > 0), s.Suggested != nil && *s.Suggested > 2**s.Limit:
			t.Errorf("cannot be: %+v", s)
		}
		if strings.ContainsAny(s.Service+strings.Join(s.Reasons, "")+strings.Join(s.Advice, ""), "\x1b\n\r\x00") {
			t.Errorf("not safe for a terminal: %q %q", s.Service, s.Reasons)
		}
		if _, err := json.Marshal(s); err != nil {
			t.Error(err)
		}
	}
	// Of a service with several programs the one that died most is told.
	if told != kills && !named["shop/web"] {
		t.Errorf("%d kills, %d told", kills, told)
	}
}

// BenchmarkJudgeHistory judges a week of readings, one a minute.
func BenchmarkJudgeHistory(b *testing.B) {
	r := Run{Limit: 1 << 30}
	for i := range 7 * 24 * 60 {
		v := float64(300<<20 + i*10000 + i%37*100000)
		r.Readings = append(r.Readings, Reading{At: float64(i * 60), Used: v, Held: v})
	}
	h := History{Service: "s", Runs: []Run{r}}
	b.ReportAllocs()
	for b.Loop() {
		JudgeHistory(&h)
	}
}

// BenchmarkAdd takes a kill.
func BenchmarkAdd(b *testing.B) {
	var c Collector
	at := newYear
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		i++
		at = at.Add(time.Second)
		c.Add(Death{Time: at, PID: i, Comm: "java", Pattern: "/docker/*", Container: "c", Scope: OwnLimit, RSS: 1})
	}
}
