package daemon

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/oomwatch/oomwatch/correlate"
	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/observe"
	"github.com/oomwatch/oomwatch/warn"
)

func starts(m *containerMetrics, id, name string) {
	m.hear(observe.Observation{Container: &observe.Container{Container: incident.Container{ID: id, Name: name, Running: new(true),
		Compose: &incident.Compose{Project: "shop", Service: name}}}})
}

func dies(m *containerMetrics, id, name, incidentID string) {
	m.hear(observe.Observation{Exit: &observe.Exit{ID: id}})
	m.count(correlate.Emission{Incident: &incident.Incident{ID: incidentID, Kind: incident.KindDeath, Cause: incident.OOMContainer, Killer: &incident.Killer{Kind: "kernel"},
		Victim: &incident.Process{PID: 1}, Container: &incident.Container{ID: id, Name: name, Compose: &incident.Compose{Project: "shop", Service: name}}}})
}

// values are those of one metric, by container.
func values(t *testing.T, reg prometheus.Gatherer, name string) map[string]float64 {
	t.Helper()
	all, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range all {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.Metric {
			for _, l := range m.Label {
				if l.GetName() == "container" {
					out[l.GetValue()] += m.GetCounter().GetValue() + m.GetGauge().GetValue()
				}
			}
		}
	}
	return out
}

const killsTotal = "oomwatch_container_oom_kills_total"

func want(t *testing.T, reg prometheus.Gatherer, want map[string]float64) {
	t.Helper()
	if diff := cmp.Diff(want, values(t, reg, killsTotal)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// A counter is there, at 0, from the container's start on, outlives it, and goes on with
// the next of its name; told again, an incident is not counted again.
func TestCountersOutliveTheContainer(t *testing.T) {
	reg := prometheus.NewRegistry()
	m := newContainerMetrics(10, reg)
	starts(m, "aa", "web")
	want(t, reg, map[string]float64{"web": 0})
	dies(m, "aa", "web", "1")
	dies(m, "aa", "web", "1")
	want(t, reg, map[string]float64{"web": 1})
	starts(m, "bb", "web")
	dies(m, "bb", "web", "2")
	want(t, reg, map[string]float64{"web": 2})
	// One that ended well leaves nothing behind.
	starts(m, "cc", "job")
	m.hear(observe.Observation{Exit: &observe.Exit{ID: "cc"}})
	want(t, reg, map[string]float64{"web": 2})
}

func TestSeriesAreCapped(t *testing.T) {
	reg := prometheus.NewRegistry()
	m := newContainerMetrics(3, reg)
	for i := range 50 {
		name := fmt.Sprintf("c%d", i)
		starts(m, name, name)
		dies(m, name, name, name)
	}
	want(t, reg, map[string]float64{"c0": 1, "c1": 1, "c2": 1, "other": 47})
}

// Two containers of one identity, and hostile names, do not break a scrape.
func TestGaugesOfTwins(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	m := newContainerMetrics(10, reg)
	starts(m, "aa", "x\xff\n")
	starts(m, "bb", "x\xff\n")
	limit, low, high, soon := int64(100), int64(10), int64(90), 60.0
	m.top = func() []warn.Row {
		return []warn.Row{{ID: "aa", Limit: &limit, Headroom: &low, TimeToLimit: &soon}, {ID: "bb", Limit: &limit, Headroom: &high, TimeToLimit: &soon}, {Name: "(host)", Limit: &limit, Headroom: &high}}
	}
	if got := values(t, reg, "oomwatch_container_memory_headroom_ratio"); len(got) != 1 || got[`x\xff\n`] != 0.1 {
		t.Errorf("%v", got)
	}
}
