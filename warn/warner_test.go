package warn

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/recorder"
	"github.com/oomwatch/oomwatch/verdict"
)

const (
	mib = 1 << 20
	web = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
)

var began = time.Date(2026, 11, 25, 3, 0, 0, 0, time.UTC)

// bench runs a Warner on made-up readings, one a second.
type bench struct {
	t      testing.TB
	w      *Warner
	now    time.Time
	start  time.Time
	silent bool
	got    []Alert
}

func newBench(t testing.TB, r Rules, kept []byte) *bench {
	b := &bench{t: t, now: began, start: began}
	w, err := New(Options{
		Rules: r,
		Run:   func(string) (Run, bool) { return Run{Name: "web", Start: b.start, Silent: b.silent}, true },
		Facts: func(id string, at time.Time) *verdict.Facts {
			if id == HostID {
				return &verdict.Facts{}
			}
			return &verdict.Facts{Container: &incident.Container{ID: id, Name: "web", StartedAt: b.start}}
		},
	}, kept)
	if err != nil {
		t.Fatal(err)
	}
	b.w = w
	return b
}

// reading is a container with a 256 MiB limit that holds anon bytes.
func reading(anon int64) recorder.Reading {
	r := recorder.Unknown()
	r.Limit, r.Anon, r.File, r.Shmem, r.Kernel = 256*mib, anon, 0, 0, 0
	r.Used = anon
	return r
}

func (b *bench) read(r recorder.Reading, stalls int64) { b.readOf(web, r, stalls) }

func (b *bench) readOf(id string, r recorder.Reading, stalls int64) {
	b.now = b.now.Add(time.Second)
	r.At = b.now
	b.take(b.w.Read(id, r, Beside{Stalls: stalls, Refaults: -1}))
	b.take(b.w.Due(b.now))
}

// TestParentsLimit: room is to the nearest limit, be it that of a group above.
func TestParentsLimit(t *testing.T) {
	tests := []struct {
		name       string
		own        int64 // its own limit in MiB; 0 for none
		above      *recorder.Above
		holds      int64 // in MiB
		cause      incident.Cause
		room, size int64 // in MiB, as top shows them; -1 for none
	}{
		{"none of its own", 0, &recorder.Above{Path: "/batch", Limit: 96 * mib, Held: 92 * mib}, 70, incident.OOMAncestor, 4, 96},
		{"the parent is nearer", 256, &recorder.Above{Path: "/batch", Limit: 96 * mib, Held: 92 * mib}, 70, incident.OOMAncestor, 4, 96},
		{"its own is nearer", 72, &recorder.Above{Path: "/batch", Limit: 960 * mib, Held: 92 * mib}, 70, incident.OOMContainer, 2, 72},
		{"a bystander of a full parent", 0, &recorder.Above{Path: "/batch", Limit: 96 * mib, Held: 92 * mib}, 2, "", 4, 96},
		{"no limit at all", 0, nil, 70, "", -1, -1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, Default(), nil)
			for range 120 {
				b.now = b.now.Add(time.Second)
				r := reading(tt.holds * mib)
				if r.At, r.Limit = b.now, tt.own*mib; tt.own == 0 {
					r.Limit = -1
				}
				b.take(b.w.Read(web, r, Beside{Stalls: -1, Refaults: -1, Above: tt.above}))
				b.take(b.w.Due(b.now))
			}
			var cause incident.Cause
			for _, a := range b.loud() {
				cause = a.Incident.Cause
				if tt.cause == incident.OOMAncestor && !strings.Contains(a.Incident.Summary, "/batch holds 92 MiB of its 96 MiB limit") {
					t.Errorf("summary %q", a.Incident.Summary)
				}
			}
			if cause != tt.cause {
				t.Errorf("warned of %q, want %q", cause, tt.cause)
			}
			row := Rows("", b.w.Looks())[0]
			room, size := int64(-1), int64(-1)
			if row.Limit != nil {
				room, size = *row.Headroom/mib, *row.Limit/mib
			}
			if room != tt.room || size != tt.size || (row.LimitOf != "") != (tt.above != nil && tt.cause != incident.OOMContainer) {
				t.Errorf("top shows %d MiB of %d MiB left, of %q", room, size, row.LimitOf)
			}
		})
	}
}

func (b *bench) take(a []Alert) { b.got = append(b.got, a...) }

// run reads for d, each reading made by of, which is given seconds since the start.
func (b *bench) run(d time.Duration, of func(s float64) recorder.Reading) {
	for end := b.now.Add(d); b.now.Before(end); {
		b.read(of(b.now.Add(time.Second).Sub(b.start).Seconds()), -1)
	}
}

func (b *bench) death(cause incident.Cause) *incident.Incident {
	inc := &incident.Incident{ID: "death" + b.now.Format("150405"), Kind: incident.KindDeath, Time: b.now, Cause: cause, Severity: incident.Critical,
		Container: &incident.Container{ID: web, Name: "web", StartedAt: b.start}}
	b.w.Ended(web, b.now)
	b.take(b.w.Died(inc))
	return inc
}

// loud are the alerts that somebody is told of.
func (b *bench) loud() []Alert {
	var out []Alert
	for _, a := range b.got {
		if !a.Quiet {
			out = append(out, a)
		}
	}
	return out
}

func grows(from, perSecond float64) func(float64) recorder.Reading {
	return func(s float64) recorder.Reading { return reading(int64(from*mib + s*perSecond*mib)) }
}

// noise is a value that never repeats but is the same in each run.
func noise(s float64) float64 { return math.Mod(math.Sin(s*12.9898)*43758.5453, 1) }

// TestQuiet holds the default rules against what goes on in healthy containers.
func TestQuiet(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	walk := 120.0
	for name, c := range map[string]struct {
		for_ time.Duration
		of   func(s float64) recorder.Reading
	}{
		"flat":                      {2 * time.Hour, func(s float64) recorder.Reading { return reading(int64((200 + 2*noise(s)) * mib)) }},
		"fills to 85 % in a minute": {time.Hour, func(s float64) recorder.Reading { return reading(int64(min(s/60, 1) * 0.85 * 256 * mib)) }},
		"warms up and slows down": {2 * time.Hour, func(s float64) recorder.Reading {
			return reading(int64((100 + 110*(1-math.Exp(-s/300))) * mib))
		}},
		"a peak of 15 s at 97 %": {time.Hour, func(s float64) recorder.Reading {
			if s > 600 && s < 615 {
				return reading(248 * mib)
			}
			return reading(100 * mib)
		}},
		"garbage collected every two minutes": {3 * time.Hour, func(s float64) recorder.Reading {
			return reading(int64((90 + math.Mod(s, 120)) * mib))
		}},
		"noise between 40 % and 80 %": {2 * time.Hour, func(s float64) recorder.Reading {
			return reading(int64((154 + 50*noise(s)) * mib))
		}},
		"a random walk below 85 %": {6 * time.Hour, func(float64) recorder.Reading {
			walk = min(max(walk+(rnd.Float64()-0.5)*2, 60), 215)
			return reading(int64(walk * mib))
		}},
		"a step of 200 MiB that stays": {time.Hour, func(s float64) recorder.Reading {
			if s < 5 {
				return reading(mib)
			}
			return reading(200 * mib)
		}},
		"a step in the middle of its life": {time.Hour, func(s float64) recorder.Reading {
			if s < 1000 {
				return reading(60 * mib)
			}
			return reading(200 * mib)
		}},
		"page cache fills the limit, hits it, is reclaimed": {time.Hour, func(s float64) recorder.Reading {
			r := reading(40 * mib)
			r.Used, r.File, r.LimitHits = 256*mib, 216*mib, int64(s)*50
			return r
		}},
		"no limit, and it grows": {time.Hour, func(s float64) recorder.Reading {
			r := reading(int64(s) * mib)
			r.Limit = -1
			return r
		}},
		"large, with room that is enough": {time.Hour, func(s float64) recorder.Reading {
			r := reading(60 << 30)
			r.Limit = 64 << 30
			return r
		}},
		"no breakdown to be had": {time.Hour, func(s float64) recorder.Reading {
			r := recorder.Unknown()
			r.Used, r.Limit = 255*mib, 256*mib
			return r
		}},
		"its limit is hit now and then": {time.Hour, func(s float64) recorder.Reading {
			r := reading(215 * mib)
			r.LimitHits = int64(s/25) * 7
			return r
		}},
		"pids at a half": {time.Hour, func(s float64) recorder.Reading {
			r := reading(mib)
			r.PIDs, r.PIDsLimit = 50, 100
			return r
		}},
		"a little pressure": {time.Hour, func(s float64) recorder.Reading {
			r := reading(100 * mib)
			r.PSIFull, r.PSISome = int64(s*40000), int64(s*60000)
			return r
		}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, Default(), nil)
			b.run(c.for_, c.of)
			for _, a := range b.got {
				t.Errorf("after %s: %s", a.Incident.Time.Sub(began), a.Incident.Summary)
			}
		})
	}
}

// TestSigns causes each sign and looks at the one alert, and at its end.
func TestSigns(t *testing.T) {
	for name, c := range map[string]struct {
		do    func(b *bench)
		calm  func(s float64) recorder.Reading
		what  string
		cause incident.Cause
		by    time.Duration // it is told by then
	}{
		"headroom":                {do: func(b *bench) { b.run(5*time.Minute, grows(240, 0)) }, what: Headroom, cause: incident.OOMContainer, by: 25 * time.Second},
		"forecast of a leak":      {do: func(b *bench) { b.run(4*time.Minute, grows(0, 1)) }, what: Forecast, cause: incident.OOMContainer, by: 2*time.Minute + 20*time.Second},
		"forecast of a slow leak": {do: func(b *bench) { b.run(110*time.Minute, grows(180, 38.0/3600)) }, what: Forecast, cause: incident.OOMContainer, by: 62 * time.Minute},
		"forecast of a fast leak": {do: func(b *bench) { b.run(time.Minute, grows(0, 4)) }, what: Forecast, cause: incident.OOMContainer, by: 62 * time.Second},
		"limit hits": {do: func(b *bench) {
			b.run(time.Minute, func(s float64) recorder.Reading {
				r := reading(215 * mib)
				r.LimitHits = int64(s) * 7
				return r
			})
		}, what: LimitHits, cause: incident.OOMContainer, by: 20 * time.Second},
		"pressure by PSI": {do: func(b *bench) {
			b.run(time.Minute, func(s float64) recorder.Reading {
				r := reading(200 * mib)
				r.Used, r.PSIFull, r.PSISome = 255*mib, int64(s*300000), int64(s*500000)
				return r
			})
		}, what: Pressure, cause: incident.OOMContainer, by: 20 * time.Second},
		"pressure by critical notifications": {do: func(b *bench) {
			for i := range 30 {
				r := reading(210 * mib)
				r.Used = 255 * mib
				b.read(r, int64(i)*3)
			}
		}, what: Pressure, cause: incident.OOMContainer, by: 20 * time.Second},
		"limit hits, read every ten seconds": {do: func(b *bench) {
			b.run(time.Minute, func(s float64) recorder.Reading {
				r := reading(215 * mib)
				r.LimitHits = int64(s/10) * 70
				return r
			})
		}, what: LimitHits, cause: incident.OOMContainer, by: 35 * time.Second},
		"throttled": {do: func(b *bench) {
			b.run(time.Minute, func(s float64) recorder.Reading {
				r := reading(100 * mib)
				r.High, r.PSIFull, r.PSISome = int64(s)*10, 0, int64(s*300000)
				return r
			})
		}, what: Throttled, cause: incident.OOMContainer, by: 20 * time.Second},
		"standing still at its memory.high": {do: func(b *bench) {
			for i := range 60 {
				r := reading(100 * mib)
				r.High, r.PSIFull, r.PSISome = int64(i)*10, int64(i)*800000, int64(i)*850000
				b.read(r, int64(i)/3)
			}
		}, what: Throttled, cause: incident.OOMContainer, by: 20 * time.Second},
		"pids": {do: func(b *bench) {
			b.run(time.Minute, func(s float64) recorder.Reading {
				r := reading(mib)
				r.PIDs, r.PIDsLimit = 95, 100
				return r
			})
		}, what: PIDs, cause: incident.LimitPids, by: 12 * time.Second},
		"unhealthy": {do: func(b *bench) {
			b.run(time.Second, grows(1, 0))
			b.take(b.w.Health(web, false, b.now))
			b.run(time.Minute, grows(1, 0))
			b.take(b.w.Health(web, true, b.now))
			b.run(10*time.Second, grows(1, 0))
			b.take(b.w.Health(web, false, b.now))
			b.run(10*time.Second, grows(1, 0))
			b.take(b.w.Health(web, true, b.now))
		}, what: Unhealthy, cause: incident.UnknownCause, by: 2 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, Default(), nil)
			c.do(b)
			loud := b.loud()
			if len(loud) != 1 {
				for _, a := range loud {
					t.Log(a.Incident.Time.Sub(began), a.Incident.Summary)
				}
				t.Fatalf("%d alerts, want 1", len(loud))
			}
			inc := loud[0].Incident
			t.Log(inc.Time.Sub(began), inc.Summary)
			if inc.Kind != incident.KindWarning || inc.Severity != incident.Warning || inc.Warning.What != c.what || inc.Cause != c.cause || inc.Time.Sub(began) > c.by {
				t.Errorf("%s %s %s %s after %s, want %s %s within %s", inc.Kind, inc.Severity, inc.Warning.What, inc.Cause, inc.Time.Sub(began), c.what, c.cause, c.by)
			}
			// It is over once calm has lasted, and not before, under the same id.
			b.got = nil
			b.run(Default().ResolveAfter-time.Minute, grows(10, 0))
			if len(b.loud()) > 0 {
				t.Errorf("over too early: %s", b.loud()[0].Incident.Summary)
			}
			b.run(2*time.Minute, grows(10, 0))
			loud = b.loud()
			if len(loud) != 1 || !loud[0].Update || loud[0].Incident.ID != inc.ID || loud[0].Incident.ResolvedAt.IsZero() {
				t.Fatalf("after calm: %d alerts, want the one update that it is over", len(loud))
			}
			b.got = nil
			b.run(time.Hour, grows(10, 0))
			if len(b.got) > 0 {
				t.Errorf("and then again: %s", b.got[0].Incident.Summary)
			}
		})
	}
}

// TestForecastIsRight compares the time foretold with the time it takes.
func TestForecastIsRight(t *testing.T) {
	for _, rate := range []float64{0.02, 0.2, 1, 1.5} {
		b := newBench(t, Default(), nil)
		life := time.Duration(256 / rate * float64(time.Second))
		b.run(life, func(s float64) recorder.Reading {
			return reading(int64(rate*s*mib) + int64(noise(s)*2*mib))
		})
		if len(b.loud()) == 0 || b.loud()[0].Incident.Warning.What != Forecast {
			t.Errorf("%v MiB/s: nothing foretold", rate)
			continue
		}
		inc := b.loud()[0].Incident
		left := life - inc.Time.Sub(began)
		said := *inc.Warning.TimeToLimit
		t.Logf("%v MiB/s: %s before, said %.0f s ± %.0f", rate, left, said, *inc.Warning.TimeToLimitError)
		if left < 30*time.Second || math.Abs(said-left.Seconds()) > 0.2*left.Seconds() {
			t.Errorf("%v MiB/s: warned %s before the limit, said %.0f s", rate, left, said)
		}
	}
}

func TestDeathEndsWarning(t *testing.T) {
	b := newBench(t, Default(), nil)
	b.run(4*time.Minute, grows(0, 1))
	id := b.loud()[0].Incident.ID
	// The new run is read before the death is told.
	b.start = b.now.Add(500 * time.Millisecond)
	b.got = nil
	b.w.Ended(web, b.now)
	b.run(time.Second, grows(1, 0))
	inc := b.death(incident.OOMContainer)
	inc.Time = b.start.Add(-time.Millisecond)
	loud := b.loud()
	if len(loud) != 1 || loud[0].Incident.ID != id || loud[0].Incident.ResolvedAt.IsZero() || !slices.Contains(loud[0].Incident.Related, inc.ID) {
		t.Fatalf("%d alerts after the death, want the update", len(loud))
	}
	if !slices.Contains(inc.Related, id) {
		t.Errorf("the death is related to %v, want %s", inc.Related, id)
	}
	b.got = nil
	b.run(time.Hour, grows(1, 0))
	if len(b.got) > 0 {
		t.Errorf("and then: %s", b.got[0].Incident.Summary)
	}
}

// TestEndWithoutDeath: a container that ends well has no death to end its warnings.
func TestEndWithoutDeath(t *testing.T) {
	b := newBench(t, Default(), nil)
	b.run(time.Minute, grows(240, 0))
	b.w.Ended(web, b.now)
	b.got = nil
	for range 60 {
		b.now = b.now.Add(time.Second)
		b.take(b.w.Due(b.now))
	}
	if loud := b.loud(); len(loud) != 1 || loud[0].Incident.ResolvedAt.IsZero() {
		t.Fatalf("%d alerts after the end, want 1", len(loud))
	}
}

// TestGaveUp: after the last restart that its policy allows it is said that nothing runs,
// once, and that it runs again when somebody starts it.
func TestGaveUp(t *testing.T) {
	for _, c := range []struct {
		policy   string
		restarts int
		want     int // alerts that the engine gave up
	}{{"on-failure:2", 2, 1}, {"on-failure:3", 2, 0}, {"on-failure:0", 9, 0}, {"unless-stopped", 9, 0}, {"on-failure", 9, 0}, {"", 0, 0}} {
		b := newBench(t, Default(), nil)
		var last *incident.Incident
		for n := range 3 {
			b.run(5*time.Second, grows(1, 0))
			last = &incident.Incident{ID: fmt.Sprint("d", n), Kind: incident.KindDeath, Time: b.now, Cause: incident.ExitError, Severity: incident.Critical, Summary: "web exited with code 3",
				Container: &incident.Container{ID: web, Name: "web", ExitCode: new(3), RestartPolicy: c.policy, RestartCount: new(min(n+1, c.restarts))}}
			b.w.Ended(web, b.now)
			b.take(b.w.Died(last))
			b.take(b.w.Died(last)) // told again, with more known
			b.start = b.now.Add(200 * time.Millisecond)
		}
		b.start = b.now
		for range 30 {
			b.now = b.now.Add(time.Second)
			b.take(b.w.Due(b.now))
		}
		got := 0
		for _, a := range b.loud() {
			if a.Incident.Warning.What == GaveUp {
				got++
				if r := a.Incident.Container.Running; r == nil || *r {
					t.Error("it is said to run")
				}
				if s := a.Incident.Summary; !strings.HasPrefix(s, "web is down for good: the engine gave up after 2 restarts (restart policy on-failure:2)") || !strings.HasSuffix(s, "the last time it exited with code 3") {
					t.Errorf("%q", s)
				}
			} else if c.want > 0 && strings.Contains(a.Incident.Summary, "next start") {
				t.Errorf("%s: the loop: %q", c.policy, a.Incident.Summary)
			}
		}
		if got != c.want {
			t.Errorf("%s after %d restarts: %d alerts, want %d", c.policy, c.restarts, got, c.want)
		}
		b.got = nil
		b.start = b.now.Add(10 * time.Second)
		b.run(20*time.Second, grows(1, 0))
		for _, a := range b.got {
			if a.Incident.Warning.What == GaveUp && !a.Incident.ResolvedAt.IsZero() {
				got--
			}
		}
		if got != 0 {
			t.Errorf("%s: %d are not over once it runs again", c.policy, got)
		}
	}
}

func TestRestartLoop(t *testing.T) {
	b := newBench(t, Default(), nil)
	for range 6 {
		b.run(5*time.Second, grows(1, 0))
		b.death(incident.ExitError)
		b.start = b.now.Add(200 * time.Millisecond)
	}
	loud := b.loud()
	if len(loud) != 1 || loud[0].Incident.Warning.What != RestartLoop || loud[0].Incident.Cause != incident.ExitError {
		t.Fatalf("%d alerts for six deaths, want one of a loop", len(loud))
	}
	t.Log(loud[0].Incident.Summary)
	id := loud[0].Incident.ID
	b.got = nil
	b.run(9*time.Minute, grows(1, 0))
	if len(b.got) > 0 {
		t.Errorf("over too early: %s", b.got[0].Incident.Summary)
	}
	b.run(2*time.Minute, grows(1, 0))
	if loud := b.loud(); len(loud) != 1 || loud[0].Incident.ID != id || loud[0].Incident.ResolvedAt.IsZero() {
		t.Fatalf("%d alerts after the loop, want that it is over", len(loud))
	}
	// Stops that were asked for are no loop.
	b.got = nil
	for range 6 {
		b.run(5*time.Second, grows(1, 0))
		inc := &incident.Incident{ID: "x", Kind: incident.KindDeath, Time: b.now, Cause: incident.StopRequest, Severity: incident.Info, Container: &incident.Container{ID: web}}
		b.w.Ended(web, b.now)
		b.take(b.w.Died(inc))
		b.start = b.now.Add(200 * time.Millisecond)
	}
	if len(b.got) > 0 {
		t.Errorf("stops on request: %s", b.got[0].Incident.Summary)
	}
}

// TestOneAlertForOneCause: what follows from what was told is kept, and told nobody.
func TestOneAlertForOneCause(t *testing.T) {
	b := newBench(t, Default(), nil)
	b.run(4*time.Minute+15*time.Second, func(s float64) recorder.Reading {
		r := reading(int64(s) * mib)
		r.LimitHits = max(0, int64(s)-230)
		return r
	})
	if loud := b.loud(); len(loud) != 1 {
		t.Fatalf("%d alerts, want 1", len(loud))
	}
	last := b.got[len(b.got)-1].Incident
	if got := last.Warning.Signs; !slices.Contains(got, Headroom) || !slices.Contains(got, LimitHits) || got[0] != Forecast || len(last.Evidence) != len(got) {
		t.Errorf("signs %v with %d pieces of evidence", got, len(last.Evidence))
	}
}

func TestSilent(t *testing.T) {
	b := newBench(t, Default(), nil)
	b.silent = true
	b.run(5*time.Minute, grows(250, 0))
	b.take(b.w.Health(web, false, b.now))
	for range 5 {
		b.death(incident.OOMContainer)
	}
	if len(b.got) > 0 {
		t.Errorf("told %q", b.got[0].Incident.Summary)
	}
}

// TestOff turns every sign off in turn.
func TestOff(t *testing.T) {
	off := Rules{RestartWindow: time.Minute, ResolveAfter: time.Minute}
	b := newBench(t, off, nil)
	b.run(4*time.Minute, func(s float64) recorder.Reading {
		r := reading(int64(s) * mib)
		r.LimitHits, r.High, r.PSIFull, r.PSISome, r.PIDs, r.PIDsLimit = int64(s), int64(s), int64(s*1e6), int64(s*1e6), 99, 100
		return r
	})
	b.take(b.w.Health(web, false, b.now))
	for range 5 {
		b.run(time.Second, grows(1, 0))
		b.death(incident.OOMContainer)
	}
	b.readOf(HostID, reading(255*mib), 1)
	if len(b.got) > 0 {
		t.Errorf("told %q", b.got[0].Incident.Summary)
	}
}

func TestHost(t *testing.T) {
	b := newBench(t, Default(), nil)
	for range 60 {
		b.readOf(HostID, reading(250*mib), -1)
	}
	loud := b.loud()
	if len(loud) != 1 || loud[0].Incident.Cause != incident.OOMHost || loud[0].Incident.Container != nil {
		t.Fatalf("%d alerts for a host at 98 %%", len(loud))
	}
	t.Log(loud[0].Incident.Summary)
	kill := &incident.Incident{Kind: incident.KindDeath, Cause: incident.OOMHost, Time: b.now, Container: &incident.Container{ID: web}}
	b.w.Died(kill)
	if !slices.Contains(kill.Related, loud[0].Incident.ID) {
		t.Errorf("a kill for want of the host's memory is not linked to the warning of it")
	}
}

// TestRestart: a warning that is open outlives the program.
func TestRestart(t *testing.T) {
	b := newBench(t, Default(), nil)
	b.run(time.Minute, grows(240, 0))
	id := b.loud()[0].Incident.ID
	kept, changed, err := b.w.State()
	if err != nil || !changed {
		t.Fatal(err, changed)
	}
	if _, again, _ := b.w.State(); again {
		t.Error("the state is kept again without a change")
	}
	for name, level := range map[string]float64{"still so": 240, "over": 10} {
		c := newBench(t, Default(), kept)
		c.now = b.now.Add(time.Hour)
		c.take(c.w.Due(c.now)) // which comes before the first reading
		c.run(10*time.Minute, grows(level, 0))
		switch loud := c.loud(); {
		case name == "still so" && len(loud) > 0:
			t.Errorf("told again: %s", loud[0].Incident.Summary)
		case name == "over" && (len(loud) != 1 || loud[0].Incident.ID != id || loud[0].Incident.ResolvedAt.IsZero()):
			t.Errorf("%d alerts, want that it is over", len(loud))
		}
	}
}

// TestLooksAreOfTheLiving: what has ended is not shown as nearest to its death.
func TestLooksAreOfTheLiving(t *testing.T) {
	b := newBench(t, Default(), nil)
	b.read(reading(mib), -1)
	if n := len(b.w.Looks()); n != 1 {
		t.Errorf("%d looks of one that runs", n)
	}
	b.w.Ended(web, b.now)
	if n := len(b.w.Looks()); n != 0 {
		t.Errorf("%d looks of one that has ended", n)
	}
	b.start = b.now.Add(2 * time.Second)
	b.now = b.start
	b.read(reading(mib), -1)
	if n := len(b.w.Looks()); n != 1 {
		t.Errorf("%d looks of one that was started again", n)
	}
}

// TestThrottledCheck says of a health check that fails that the CPU quota explains it,
// where it was used up in at least half of its periods just before.
func TestThrottledCheck(t *testing.T) {
	for _, c := range []struct {
		name                   string
		periods, throttled     int64 // a second
		quietPeriods, quietFor int64
		want                   string
	}{
		{name: "held back", periods: 10, throttled: 9, want: "web is unhealthy: its health check fails; it was throttled 90 % of the last 30 s by its CPU quota"},
		{name: "now and then", periods: 10, throttled: 3},
		{name: "held back long ago", periods: 10, throttled: 10, quietPeriods: 10, quietFor: 60},
		{name: "no quota"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, Default(), nil)
			var periods, throttled int64
			step := func(p, th int64) func(float64) recorder.Reading {
				return func(float64) recorder.Reading {
					periods, throttled = periods+p, throttled+th
					r := reading(mib)
					r.CPUPeriods, r.CPUThrottled = periods, throttled
					return r
				}
			}
			b.run(time.Minute, step(c.periods, c.throttled))
			b.run(time.Duration(c.quietFor)*time.Second, step(c.quietPeriods, 0))
			b.take(b.w.Health(web, false, b.now))
			loud := b.loud()
			if len(loud) != 1 {
				t.Fatalf("%d alerts", len(loud))
			}
			inc := loud[0].Incident
			if c.want == "" && strings.Contains(inc.Summary, "throttled") || c.want != "" && (inc.Summary != c.want || !strings.HasPrefix(inc.Advice[0], "Give it more CPU")) {
				t.Errorf("%s\n%v", inc.Summary, inc.Advice)
			}
		})
	}
}
