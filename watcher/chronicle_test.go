package watcher

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/oomwatch/oomwatch/cgroup"
	"github.com/oomwatch/oomwatch/correlate"
	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/observe"
	"github.com/oomwatch/oomwatch/recorder"
)

// book is a Chronicle of one series.
type book struct {
	readings []recorder.Reading
	asked    int
	err      error
}

func (b *book) Series(_ context.Context, _ string, _ time.Duration, from, to time.Time) (recorder.Series, error) {
	b.asked++
	var out []recorder.Reading
	for _, r := range b.readings {
		if !r.At.Before(from) && !r.At.After(to) {
			out = append(out, r)
		}
	}
	return recorder.Series{Readings: out}, b.err
}

// TestRecall: a leak of nine hours is told as one, although the last minutes show
// hardly any growth, and what an earlier run held does not count.
func TestRecall(t *testing.T) {
	const id = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	start := now.Add(-9 * time.Hour)
	b := &book{}
	for at, held := start.Add(-3*time.Hour), int64(0); at.Before(now); at = at.Add(time.Minute) {
		if held += 38 << 20 / 60; at.Equal(start) {
			held = 100 << 20
		}
		r := recorder.Unknown()
		r.At, r.Used, r.Max, r.Anon, r.Start = at, held, held, held, at.Equal(start)
		b.readings = append(b.readings, r)
	}
	c, err := correlate.New(correlate.Options{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.Observe(observe.Observation{At: start, Container: &observe.Container{Container: incident.Container{ID: id, Name: "web", StartedAt: start}, PID: 7}})
	w, err := NewWatcher(WatcherOptions{Correlator: c, Logger: zap.NewNop(), Chronicle: b})
	if err != nil {
		t.Fatal(err)
	}
	w.memoir.recall(id, now, time.Time{})
	last := b.readings[len(b.readings)-1].Used
	var recent []observe.Sample
	for i := range 60 {
		recent = append(recent, observe.Sample{ID: id, Sample: cgroup.Sample{At: now.Add(time.Duration(i-60) * time.Second), Current: last, Limit: 443 << 20, OOMKills: -1}})
	}
	c.Observe(observe.Observation{At: now, Samples: recent})
	told := c.Observe(observe.Observation{At: now, Exit: &observe.Exit{ID: id, Exit: incident.Exit{At: now, ExitCode: 1}}})
	told = append(told, c.Finish()...)
	if len(told) != 1 {
		t.Fatalf("%d incidents", len(told))
	}
	h := told[0].Incident.History
	if h == nil || h.Trend != "unknown" || !h.Growth || !strings.Contains(h.Reason, "grew 38 MiB/h for 8 h 58 min, reached the limit") || h.Points[0].T > -31000 || h.Points[0].T < -32400 {
		t.Errorf("%d points, %s: %s", len(h.Points), h.Trend, h.Reason)
	}

	// In a storm no more than a few are asked for.
	asked := b.asked
	for range 100 {
		w.memoir.recall(id, now, time.Time{})
	}
	if n := b.asked - asked; n > chronicleMost {
		t.Errorf("asked %d times within a second", n)
	}
	// One that cannot be read, and one that has just started, are done without.
	b.err = errors.New("broken")
	w.memoir.recall(id, now.Add(time.Minute), time.Time{})
	asked = b.asked
	w.memoir.recall(id, start.Add(time.Minute), time.Time{})
	if b.asked != asked {
		t.Error("a run of a minute is looked up")
	}
}
