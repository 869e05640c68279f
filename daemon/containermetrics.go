package daemon

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/oomwatch/oomwatch/correlate"
	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/observe"
	"github.com/oomwatch/oomwatch/redact"
	"github.com/oomwatch/oomwatch/warn"
)

// containerMetrics are the numbers of each container. Its counters are kept by name, so
// that they outlive the container and go on with the next of that name; the gauges are of
// those that run.
type containerMetrics struct {
	most int
	top  func() []warn.Row

	mu      sync.Mutex
	series  map[identity]*counts
	running map[string]identity // by id
	seen    *recent             // incidents that were counted
}

// identity is by which labels a container is known.
type identity struct{ container, namespace, pod, project, service string }

// other stands for all containers beyond the most that have series of their own.
var other = identity{container: "other"}

// counts are what happened to containers of one identity.
type counts struct {
	kills  float64
	deaths map[incident.Cause]float64
	runs   int
}

var (
	identityLabels = []string{"container", "namespace", "pod", "compose_project", "compose_service"}
	killsDesc      = prometheus.NewDesc("oomwatch_container_oom_kills_total", "Processes of the container that the kernel's OOM killer has killed. It outlives the container.", identityLabels, nil)
	deathsDesc     = prometheus.NewDesc("oomwatch_container_deaths_total", "Deaths of the container, by cause. It outlives the container.", append(identityLabels[:5:5], "cause"), nil)
	headroomDesc   = prometheus.NewDesc("oomwatch_container_memory_headroom_ratio", "The part of its memory limit that a running container has left, page cache not counted.", identityLabels, nil)
	forecastDesc   = prometheus.NewDesc("oomwatch_container_limit_seconds", "Seconds until a running container reaches its memory limit at the present rate; absent without a forecast.", identityLabels, nil)
	knownDesc      = prometheus.NewDesc("oomwatch_container_series", "Containers that have series of their own; the others are counted as container=\"other\".", nil, nil)
)

// newContainerMetrics registers the numbers of at most so many containers.
func newContainerMetrics(most int, reg prometheus.Registerer) *containerMetrics {
	m := &containerMetrics{most: most, series: map[identity]*counts{}, running: map[string]identity{}, seen: newRecent(4096)}
	reg.MustRegister(m)
	return m
}

// identityOf is the identity of a container; its values are valid label values.
func identityOf(c *incident.Container) identity {
	i := identity{container: c.Name}
	if i.container == "" {
		i.container = c.ID[:min(len(c.ID), 12)]
	}
	if p := c.Pod; p != nil {
		i.namespace, i.pod = p.Namespace, p.Name
		if n := c.Labels["io.kubernetes.container.name"]; n != "" {
			i.container = n
		}
	}
	if p := c.Compose; p != nil {
		i.project, i.service = p.Project, p.Service
	}
	for _, s := range []*string{&i.container, &i.namespace, &i.pod, &i.project, &i.service} {
		*s = redact.Sanitize(*s)
	}
	return i
}

func (i *identity) values() []string {
	return []string{i.container, i.namespace, i.pod, i.project, i.service}
}

// hear takes what the sources say of who runs: a counter that begins at 0 when the
// container starts shows its first kill as a rise.
func (m *containerMetrics) hear(o observe.Observation) {
	switch {
	case o.Container != nil:
		m.runs(o.Container)
	case o.List != nil:
		for i := range o.List.Containers {
			m.runs(&o.List.Containers[i])
		}
	case o.Exit != nil:
		m.ended(o.Exit.ID)
	case o.Event != nil && o.Event.Kind == observe.Removed:
		m.ended(o.Event.ID)
	}
}

func (m *containerMetrics) runs(c *observe.Container) {
	if c.Running == nil || !*c.Running || c.ID == "" || c.Name == "" {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, known := m.running[c.ID]; known {
		return
	}
	id, n := m.of(&c.Container)
	n.runs++
	m.running[c.ID] = id
}

// ended lets go of a container; a series that counted nothing makes room for others.
func (m *containerMetrics) ended(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	i, known := m.running[id]
	if !known {
		return
	}
	delete(m.running, id)
	if n := m.series[i]; n != nil {
		if n.runs--; n.runs <= 0 && n.kills == 0 && len(n.deaths) == 0 && i != other {
			delete(m.series, i)
		}
	}
}

// of is the series of a container. m.mu is held.
func (m *containerMetrics) of(c *incident.Container) (identity, *counts) {
	i := identityOf(c)
	n := m.series[i]
	if n == nil && len(m.series) >= m.most {
		i = other
		n = m.series[i]
	}
	if n == nil {
		n = &counts{deaths: map[incident.Cause]float64{}}
		m.series[i] = n
	}
	return i, n
}

// count counts an incident that is kept.
func (m *containerMetrics) count(e correlate.Emission) {
	inc := e.Incident
	if inc.Container == nil || inc.Historic || inc.Kind != incident.KindDeath && inc.Kind != incident.KindKill {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	_, n := m.of(inc.Container)
	if inc.Kind == incident.KindDeath && m.seen.first("death "+inc.ID) {
		n.deaths[inc.Cause]++
	}
	if k := inc.Killer; k != nil && k.Kind == "kernel" && inc.Victim != nil && m.seen.first("kill "+inc.ID) {
		kills := 1
		if inc.OOM != nil && inc.OOM.Group {
			kills = max(inc.OOM.Kills, 1)
		}
		n.kills += float64(kills)
	}
}

// Describe implements prometheus.Collector.
func (m *containerMetrics) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{killsDesc, deathsDesc, headroomDesc, forecastDesc, knownDesc} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (m *containerMetrics) Collect(out chan<- prometheus.Metric) {
	var rows []warn.Row
	if m.top != nil {
		rows = m.top()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, n := range m.series {
		out <- prometheus.MustNewConstMetric(killsDesc, prometheus.CounterValue, n.kills, i.values()...)
		for cause, deaths := range n.deaths {
			out <- prometheus.MustNewConstMetric(deathsDesc, prometheus.CounterValue, deaths, append(i.values(), string(cause))...)
		}
	}
	out <- prometheus.MustNewConstMetric(knownDesc, prometheus.GaugeValue, float64(len(m.series)))
	// The rows come with the most in danger first: of several containers of one identity
	// that one is shown.
	shown, foretold := map[identity]bool{}, map[identity]bool{}
	for i := range rows {
		r := &rows[i]
		id, known := m.running[r.ID]
		if !known || id == other {
			continue
		}
		if r.Headroom != nil && r.Limit != nil && *r.Limit > 0 && !shown[id] {
			shown[id] = true
			out <- prometheus.MustNewConstMetric(headroomDesc, prometheus.GaugeValue, float64(*r.Headroom)/float64(*r.Limit), id.values()...)
		}
		if r.TimeToLimit != nil && !foretold[id] {
			foretold[id] = true
			out <- prometheus.MustNewConstMetric(forecastDesc, prometheus.GaugeValue, *r.TimeToLimit, id.values()...)
		}
	}
}

// recent remembers the last keys that it was asked of.
type recent struct {
	has  map[string]bool
	ring []string
	next int
}

func newRecent(n int) *recent { return &recent{has: map[string]bool{}, ring: make([]string, n)} }

// first is true the first time that it is asked of a key.
func (r *recent) first(key string) bool {
	if r.has[key] {
		return false
	}
	delete(r.has, r.ring[r.next])
	r.ring[r.next], r.has[key] = key, true
	r.next = (r.next + 1) % len(r.ring)
	return true
}
