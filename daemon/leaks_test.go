package daemon

import (
	"encoding/json"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/correlate"
	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/observe"
	"github.com/oomwatch/oomwatch/recorder"
	"github.com/oomwatch/oomwatch/store"
	"github.com/oomwatch/oomwatch/triage"
	"github.com/oomwatch/oomwatch/triage/kept"
	"github.com/oomwatch/oomwatch/warn"
)

const mib = 1 << 20

// series are services whose memory differs in kind: what each holds after some days, in
// MiB, and how its runs begin.
var series = map[string]func(days float64) (held float64, start bool){
	"leaks":       func(d float64) (float64, bool) { return 200 + 30*d + 2*math.Sin(900*d), false },
	"leaks-again": func(d float64) (float64, bool) { return 100 + 150*math.Mod(d, 4), math.Mod(d, 4) < 1.0/1440 },
	"tooth":       func(d float64) (float64, bool) { return 300 + 200*math.Mod(d*9, 1), false },
	"day":         func(d float64) (float64, bool) { return 400 + 150*math.Sin(2*math.Pi*d), false },
	"fills":       func(d float64) (float64, bool) { return 150 + 500*(1-math.Exp(-d/5)), false },
	"full":        func(d float64) (float64, bool) { return 960 + 5*math.Sin(700*d), false },
	"refills": func(d float64) (float64, bool) {
		return 100 + 300*min(1, math.Mod(d, 9.99)), math.Mod(d, 9.99) < 1.0/1440
	},
}

// writeSeries keeps ten days of them, a reading a minute, that end at a time.
func writeSeries(t *testing.T, h *store.History, end time.Time) {
	t.Helper()
	rec := recorder.New(recorder.Options{Keeper: h})
	from := end.Add(-10 * 24 * time.Hour)
	for name, f := range series {
		var track *recorder.Track
		runs := 0
		for at := from; at.Before(end); at = at.Add(time.Minute) {
			held, start := f(at.Sub(from).Hours() / 24)
			if start || track == nil {
				if track != nil {
					track.End(at)
				}
				runs++
				track = rec.Begin(fmt.Sprintf("%s-%d", name, runs), name, at)
			}
			r := recorder.Unknown()
			r.At, r.Used, r.Anon, r.File, r.Limit, r.OOMKill = at, int64(held*mib), int64(held*mib), 0, 1024*mib, 0
			track.Add(&r)
			if at.Unix()%3600 == 0 {
				if err := rec.Keep(t.Context(), at); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if err := rec.Keep(t.Context(), end); err != nil {
		t.Fatal(err)
	}
}

// TestOneClass: over the same kept history explain, the alerts, the page and triage give
// one class, whatever the last minutes look like.
func TestOneClass(t *testing.T) {
	path := filepath.Join(t.TempDir(), "oomwatch.db")
	st, err := store.Open(t.Context(), store.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	h, err := store.OpenHistory(t.Context(), store.HistoryOptions{Store: path})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	end := time.Now().Truncate(time.Minute)
	writeSeries(t, h, end)
	rec := recorder.New(recorder.Options{Keeper: h})
	book := bookOf(h, st, &presence{rec: rec, images: map[string]string{}})
	srcs := &sources{}
	b := &backend{leaks: srcs.addLeaks(book, rec), recorder: rec}
	looked := make(chan *incident.Leaks, 1)
	go b.leaks.Run(t.Context(), func(o observe.Observation) { looked <- o.Leaks })
	b.leaks.Ask()
	alerts := <-looked
	page, err := b.Leaks(t.Context())
	if err != nil || len(page) != len(series) {
		t.Fatalf("the page shows %d services: %v", len(page), err)
	}
	classes := map[triage.Class]bool{}
	for name := range series {
		byTriage, ok, err := book.Name(t.Context(), name, kept.Options{})
		if err != nil || !ok {
			t.Fatalf("%s: %v", name, err)
		}
		want := byTriage.Class
		classes[want] = true
		t.Logf("%-12s %s %s %q", name, want, byTriage.Confidence, byTriage.Reasons)
		i := slices.IndexFunc(page, func(s triage.Service) bool { return s.Service == name })
		if page[i].Class != want || page[i].Confidence != byTriage.Confidence {
			t.Errorf("%s is %s on the page, %s by triage", name, page[i].Class, want)
		}
		a := slices.IndexFunc(alerts.Found, func(f incident.Leak) bool { return f.Service == name })
		if leak := alerts.Found[a].Confidence != ""; leak != (want == triage.Leak) {
			t.Errorf("%s is alerted of as a leak: %v; %s by triage", name, leak, want)
		}
		explained(t, book, name, &byTriage, end)
		row := warn.Row{Trend: "leak"}
		judgeRow(&row, &page[i], true)
		if (row.Trend == "leak") != (want == triage.Leak) {
			t.Errorf("%s is %q in top, %s by triage", name, row.Trend, want)
		}
	}
	if len(classes) < 4 {
		t.Errorf("only the classes %v are compared", classes)
	}
}

// explained has a container of a service die, and holds the verdict against triage.
func explained(t *testing.T, book kept.Book, name string, want *triage.Service, end time.Time) {
	t.Helper()
	const id = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	start := end.Add(-20 * time.Minute)
	c, err := correlate.New(correlate.Options{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.Observe(observe.Observation{At: start, Container: &observe.Container{Container: incident.Container{ID: id, Name: name, StartedAt: start}, PID: 7}})
	j, err := judge(book)(t.Context(), name, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	c.Judge(id, j, end)
	// The last minutes rise steadily, as a leak's do.
	var past []recorder.Reading
	for i := range 19 {
		r := recorder.Unknown()
		r.At, r.Used, r.Max, r.Anon = start.Add(time.Duration(i)*time.Minute), int64(100+i*40)*mib, int64(100+i*40)*mib, int64(100+i*40)*mib
		past = append(past, r)
	}
	c.Recall(id, past)
	out := c.Observe(observe.Observation{At: end, Exit: &observe.Exit{ID: id, Exit: incident.Exit{At: end, ExitCode: 1}}})
	out = append(out, c.Finish()...)
	if len(out) != 1 || out[0].Incident.History == nil {
		t.Fatalf("%s: %d incidents", name, len(out))
	}
	h := out[0].Incident.History
	if h.Class != string(want.Class) || h.ClassConfidence != want.Confidence || !slices.Equal(h.ClassReasons, want.Reasons) {
		t.Errorf("%s: explain says %s %s %q; triage %s %s %q", name, h.Class, h.ClassConfidence, h.ClassReasons, want.Class, want.Confidence, want.Reasons)
	}
	if (h.TrendWord() == "leak") != (want.Class == triage.Leak) {
		t.Errorf("%s: explain calls it %q, because %s; triage %s", name, h.TrendWord(), h.Reason, want.Class)
	}
}

// TestOneWord: every place that calls a trend calls it by the class of triage, and a leak
// is one only where that says so: in the JSON of an incident, also of one kept by an older
// version, in its words, and in top.
func TestOneWord(t *testing.T) {
	for _, class := range append(slices.Clone(triage.Classes), "") {
		for _, shape := range []string{"leak", "growth", "spike", "flat", "sawtooth", "unknown"} {
			row := warn.Row{Trend: shape}
			judgeRow(&row, &triage.Service{Class: class}, class != "")
			h := incident.History{Class: string(class)}
			h.Call(incident.TrendFor(shape, string(class)))
			old := incident.History{Class: string(class), Trend: shape}
			if shape == "growth" {
				old.Call(shape)
			}
			if row.Trend != h.TrendWord() || row.Class != string(class) || (row.Trend == "leak") != (class == triage.Leak) {
				t.Errorf("%s of class %q: top says %q %q, explain %q", shape, class, row.Trend, row.Class, h.TrendWord())
			}
			if class != triage.Leak && old.TrendWord() != h.TrendWord() {
				t.Errorf("%s of class %q: an older incident is called %q, this one %q", shape, class, old.TrendWord(), h.TrendWord())
			}
			for _, x := range []*incident.History{&h, &old} {
				var got struct {
					History struct {
						Trend  string
						Growth bool
					}
				}
				if err := json.Unmarshal((&incident.Incident{History: x}).AppendJSON(nil), &got); err != nil {
					t.Fatal(err)
				}
				words := []string{"spike", "leak", "flat", "sawtooth", "unknown"}
				if !slices.Contains(words, got.History.Trend) || got.History.Trend == "leak" && class != triage.Leak || got.History.Growth && got.History.Trend != "unknown" {
					t.Errorf("%s of class %q: JSON has %+v", shape, class, got.History)
				}
			}
		}
	}
}
