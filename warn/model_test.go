package warn

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/recorder"
)

// TestModel drives a Warner with anything that can happen to a container and
// holds its alerts against what must be true of them: one open warning for each
// thing at a time, each opened once and ended once, none that flaps, none left
// open by a death or by calm.
func TestModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := Default()
		r.ResolveAfter = time.Duration(rapid.IntRange(5, 120).Draw(rt, "resolve after")) * time.Second
		r.RestartWindow = time.Minute
		b := newBench(t, r, nil)
		m := model{rt: rt, open: map[string]*incident.Incident{}, seen: map[string]bool{}, ended: map[string]time.Time{}, rules: r}
		level, slope, hits, cache := 50.0, 0.0, int64(0), 0.0
		steps := rapid.IntRange(1, 60).Draw(rt, "steps")
		for range steps {
			switch rapid.IntRange(0, 9).Draw(rt, "step") {
			case 0:
				level, slope = rapid.Float64Range(0, 256).Draw(rt, "level"), 0
			case 1:
				slope = rapid.Float64Range(-4, 4).Draw(rt, "slope")
			case 2:
				cache = rapid.Float64Range(0, 256).Draw(rt, "cache")
			case 3: // the sampler, or the program, stands still
				b.now = b.now.Add(time.Duration(rapid.IntRange(1, 600).Draw(rt, "gap")) * time.Second)
				b.take(b.w.Due(b.now))
				m.take(b)
			case 4:
				b.take(b.w.Health(web, rapid.Bool().Draw(rt, "healthy"), b.now))
				m.take(b)
			case 5: // it dies and is started again
				inc := b.death(rapid.SampledFrom([]incident.Cause{incident.OOMContainer, incident.ExitError}).Draw(rt, "cause"))
				before := m.ids()
				m.take(b)
				for of, e := range m.open {
					if of != RestartLoop {
						rt.Fatalf("%s is open after the death: %s", of, e.Summary)
					}
				}
				for _, id := range before {
					if !slices.Contains(inc.Related, id) {
						rt.Fatalf("the death is not linked to the warning %s that was open", id)
					}
				}
				m.deaths++
				b.start = b.now.Add(time.Duration(rapid.IntRange(100, 5000).Draw(rt, "backoff")) * time.Millisecond)
				level, slope, hits = 10, 0, 0
			case 6: // the program restarts
				kept, changed, err := b.w.State()
				if err != nil {
					rt.Fatal(err)
				}
				if changed {
					m.kept = kept
				}
				n := newBench(t, r, m.kept)
				n.now, n.start = b.now, b.start
				b = n
				m.restarts++
			}
			for range rapid.IntRange(1, 90).Draw(rt, "seconds") {
				level = min(max(level+slope, 0), 256)
				if level+cache >= 256 {
					hits += 3
				}
				x := reading(int64(level * mib))
				x.Used, x.File = min(256*mib, int64((level+cache)*mib)), int64(cache*mib)
				x.LimitHits, x.PIDs, x.PIDsLimit = hits, int64(level), 256
				b.read(x, -1)
				m.take(b)
			}
		}
		for range int(r.ResolveAfter.Seconds()) + 130 {
			b.take(b.w.Health(web, true, b.now))
			b.read(calmReading(hits), -1)
			m.take(b)
		}
		if len(m.open) > 0 {
			rt.Fatalf("open after calm: %v", m.ids())
		}
		// Each thing can be told once in the time that it takes to be over, and
		// once more for each death.
		things := 5
		if most := things * (int(b.now.Sub(began)/r.ResolveAfter) + 1 + m.deaths + m.restarts); m.told > most {
			rt.Fatalf("%d alerts in %s, want %d at most", m.told, b.now.Sub(began), most)
		}
	})
}

func calmReading(hits int64) recorder.Reading {
	x := reading(mib)
	x.LimitHits, x.PIDs, x.PIDsLimit = hits, 1, 256
	return x
}

// model is what was told.
type model struct {
	rt       *rapid.T
	rules    Rules
	open     map[string]*incident.Incident
	seen     map[string]bool
	ended    map[string]time.Time
	told     int
	deaths   int
	restarts int
	kept     []byte
}

func (m *model) ids() []string {
	var out []string
	for of, e := range m.open {
		if of != RestartLoop {
			out = append(out, e.ID)
		}
	}
	return out
}

func (m *model) take(b *bench) {
	for _, a := range b.got {
		inc := a.Incident
		of := string(inc.Cause)
		if inc.Warning.What == RestartLoop {
			of = RestartLoop
		}
		switch was := m.open[of]; {
		case !a.Update:
			if was != nil || m.seen[inc.ID] {
				m.rt.Fatalf("%s is told while %v is open: %s", inc.ID, was, inc.Summary)
			}
			m.open[of], m.seen[inc.ID] = inc, true
			m.told++
		case was == nil || was.ID != inc.ID:
			m.rt.Fatalf("%s is brought up to date and is not open: %s", inc.ID, inc.Summary)
		case inc.ResolvedAt.IsZero():
			if !a.Quiet {
				m.rt.Fatalf("%s is told again: %s", inc.ID, inc.Summary)
			}
			m.open[of] = inc
		default:
			if inc.ResolvedAt.Before(inc.Time) || a.Quiet {
				m.rt.Fatalf("%s from %s is over at %s, quiet %v", inc.ID, inc.Time, inc.ResolvedAt, a.Quiet)
			}
			delete(m.open, of)
		}
	}
	if n := len(b.got); n > 0 {
		b.got = b.got[:0]
		kept, changed, err := b.w.State()
		if err != nil || !changed {
			m.rt.Fatalf("%d alerts and no state to keep: %v", n, err)
		}
		m.kept = kept
	}
}
