package watcher

import (
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/oomwatch/oomwatch/cgroup"
	"github.com/oomwatch/oomwatch/correlate"
	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/observe"
	"github.com/oomwatch/oomwatch/recorder"
	"github.com/oomwatch/oomwatch/warn"
	"github.com/oomwatch/oomwatch/watcher/sampler"
)

// TestSentry: a container is warned of by what the recorder holds of it, with the
// readings that led to it; its death is linked, and ends the warning.
func TestSentry(t *testing.T) {
	const id = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	start := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	rec := recorder.New(recorder.Options{})
	c, err := correlate.New(correlate.Options{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	rules := warn.Default()
	cgroups := sampler.New(sampler.Options{FS: &cgroup.FS{}, Recorder: rec})
	w, err := NewWatcher(WatcherOptions{Correlator: c, Logger: zap.NewNop(), Rules: &rules, Sampler: cgroups})
	if err != nil {
		t.Fatal(err)
	}
	spec := incident.Container{ID: id, Name: "web", StartedAt: start, MemoryLimit: new(int64(256 << 20))}
	w.take(observe.Observation{At: start, Container: &observe.Container{Container: spec, PID: 7}})
	track := rec.Begin(id, "web", start)
	var told []correlate.Emission
	now := start
	for i := range 240 {
		now = start.Add(time.Duration(i) * time.Second)
		x := recorder.Unknown()
		x.At, x.Limit = now, 256<<20
		x.Used, x.Anon, x.Shmem, x.Kernel, x.File = int64(i)<<20, int64(i)<<20, 0, 0, 0
		track.Add(&x)
		if i%10 == 0 { // as the sampler tells of members, a moment later
			told = append(told, w.take(observe.Observation{At: now, Samples: []observe.Sample{{ID: id, Sample: cgroup.Sample{At: now.Add(3 * time.Millisecond), Current: x.Used, Limit: x.Limit, OOMKills: 0}}}})...)
		}
		if i%5 == 0 { // as often as all parts are read
			told = append(told, w.sentry.read([]sampler.Snapshot{{ID: id, Reading: x, Stalls: -1}})...)
		}
	}
	if len(told) == 0 {
		t.Fatal("nothing is told of a leak")
	}
	inc := told[0].Incident
	if inc.Warning.What != warn.Forecast || inc.Container == nil || inc.Container.Name != "web" || inc.Memory == nil {
		t.Errorf("%+v", inc)
	}
	if h := inc.History; h == nil || h.Trend != "unknown" || !h.Growth || len(h.Points) < 60 || len(h.Breakdown) < 60 || h.Limit == nil {
		t.Errorf("history %+v", h)
	}
	if rows := w.Top(); len(rows) != 1 || rows[0].Name != "web" || rows[0].TimeToLimit == nil || rows[0].Danger <= 1 {
		t.Errorf("top shows %+v", rows)
	}
	told = w.take(observe.Observation{At: now, Exit: &observe.Exit{ID: id, Exit: incident.Exit{At: now, ExitCode: 1}}})
	told = append(told, w.judged(c.Due(now.Add(5*time.Second)))...)
	var death, over *incident.Incident
	for _, x := range told {
		if x.Incident.Kind == incident.KindDeath {
			death = x.Incident
		} else if x.Incident.ID == inc.ID && x.Update {
			over = x.Incident
		}
	}
	if death == nil || over == nil || over.ResolvedAt.IsZero() || len(death.Related) != 1 || death.Related[0] != inc.ID {
		t.Errorf("death %+v, warning %+v", death, over)
	}
}

// TestLeakIsTold: what the look for leaks found goes to the Warner, and is one warning of
// the service's container, with what is known of that.
func TestLeakIsTold(t *testing.T) {
	const id = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	start := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	c, err := correlate.New(correlate.Options{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	rules := warn.Default()
	cgroups := sampler.New(sampler.Options{FS: &cgroup.FS{}, Recorder: recorder.New(recorder.Options{})})
	w, err := NewWatcher(WatcherOptions{Correlator: c, Logger: zap.NewNop(), Rules: &rules, Sampler: cgroups})
	if err != nil {
		t.Fatal(err)
	}
	spec := incident.Container{ID: id, Name: "web", Image: "shop/web:1.4", StartedAt: start}
	w.take(observe.Observation{At: start, Container: &observe.Container{Container: spec, PID: 7}})
	look := func(days int, sure incident.Confidence) []correlate.Emission {
		return w.take(observe.Observation{At: start.AddDate(0, 0, days), Leaks: &incident.Leaks{All: true, Found: []incident.Leak{{Service: "web", Container: id, Confidence: sure, Rate: 100}}}})
	}
	var kinds []bool // whether each is an update
	for day, sure := range []incident.Confidence{"", incident.Possible, incident.Likely, incident.Likely, ""} {
		for _, x := range look(day, sure) {
			kinds = append(kinds, x.Update)
			if x.Incident.Warning.What != warn.Leak || x.Incident.Container == nil || x.Incident.Container.Image != "shop/web:1.4" || x.Silent {
				t.Errorf("day %d: %+v", day, x.Incident)
			}
		}
	}
	if len(kinds) != 2 || kinds[0] || !kinds[1] {
		t.Errorf("updates %v, want one warning and its end", kinds)
	}
}
