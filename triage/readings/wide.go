package readings

import (
	"math"
	"slices"
	"strings"
)

// columns are the metrics of cAdvisor, the kubelet and kube-state-metrics, and what they
// are here.
var columns = map[string]int{
	"container_memory_usage_bytes": used, "container_memory_working_set_bytes": workingSet, "container_memory_rss": anon,
	"container_memory_cache": file, "container_memory_swap": swap, "container_memory_kernel_usage": kernel,
	"container_spec_memory_limit_bytes": limit, "kube_pod_container_resource_limits": limit, "container_oom_events_total": kills,
	"container_start_time_seconds": started, "kube_pod_container_status_restarts_total": restarts,
}

const (
	// workingSet is the usage without inactive file pages.
	workingSet = fields + iota
	// started is when it started, restarts how often it was.
	started
	restarts
	allColumns
)

// memory tells a metric, or a rule's name, of memory in use from others.
func memory(name string) bool {
	has := func(words ...string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(name, w) })
	}
	return has("memory", "mem_", "rss", "resident") && has("bytes", "rss", "working_set", "usage", "resident") &&
		!has("max_", "limit", "request", "total", "virtual", "free", "available", "failcnt", "failures", "mapped", "committed")
}

// wide is the metrics of one container, until all are read.
type wide struct {
	service, part string
	of            [allColumns][]sample
	// names and labels are those of the series that it began with.
	names  [allColumns]string
	labels map[string]string
}

func (s *Set) wide(service, part, id string) *wide {
	key := service + "\x00" + part + "\x00" + id
	if s.tables == nil {
		s.tables = map[string]*wide{}
	}
	if s.tables[key] == nil {
		s.tables[key] = &wide{service: service, part: part}
		s.tableOrder = append(s.tableOrder, key)
	}
	return s.tables[key]
}

// settle turns the metrics into readings.
func (s *Set) settle() {
	if s.groups > 0 && len(s.tables) == 0 {
		s.note("the series are of pods' sandboxes and of groups of containers only: ask for those with a container's name or image")
	}
	s.share()
	for _, key := range s.tableOrder {
		w := s.tables[key]
		s.tables[key] = nil // a month of many is large
		// Containers of one pod have the same part and another id.
		_, id, _ := strings.Cut(strings.TrimPrefix(key, w.service+"\x00"), "\x00")
		w.into(s, id)
	}
	s.tables, s.tableOrder = nil, nil
}

// share gives what one source says of a container, without its usage, to those of the same
// pod and name that have it: a limit comes without the id.
func (s *Set) share() {
	for _, key := range s.tableOrder {
		from := s.tables[key]
		if from.base() != nil {
			continue
		}
		for _, to := range s.tables {
			if to == from || to.service != from.service || to.part != from.part && from.part != "" || to.base() == nil {
				continue
			}
			for i, c := range from.of {
				if to.of[i] == nil {
					to.of[i] = c
				}
			}
		}
	}
}

func (w *wide) base() []sample {
	if w.of[used] != nil {
		return w.of[used]
	}
	return w.of[workingSet]
}

// cursor goes along a column.
type cursor struct {
	p     []sample
	i     int
	reach float64
}

func newCursor(p []sample) cursor {
	c := cursor{p: p}
	gaps := make([]float64, 0, min(len(p), 101))
	for i := 1; i < len(p) && i <= 101; i++ {
		gaps = append(gaps, p[i].at-p[i-1].at)
	}
	if len(gaps) > 0 {
		slices.Sort(gaps)
		c.reach = gaps[len(gaps)/2]
	}
	c.reach = max(1.5*c.reach, 300) // as Prometheus looks back
	return c
}

// at is the newest value that is not later than t, NaN where it is too old.
func (c *cursor) at(t float64) float64 {
	for c.i+1 < len(c.p) && c.p[c.i+1].at <= t {
		c.i++
	}
	if len(c.p) == 0 || c.p[c.i].at > t || t-c.p[c.i].at > c.reach {
		return math.NaN()
	}
	return c.p[c.i].v
}

func (w *wide) into(s *Set, id string) {
	base := w.base()
	if len(base) == 0 {
		return
	}
	cursors := [allColumns]cursor{}
	for i := range w.of {
		cursors[i] = newCursor(w.of[i])
	}
	last := math.NaN()
	if p := w.of[limit]; len(p) > 0 {
		last = p[len(p)-1].v
	}
	was, before := [2]float64{math.NaN(), math.NaN()}, base[0]
	for i, q := range base {
		l := line{time: q.at}
		for k := range l.v {
			l.v[k] = cursors[k].at(q.at)
		}
		if math.IsNaN(l.v[limit]) {
			l.v[limit] = last
		}
		l.v[used] = q.v
		if w.of[used] == nil {
			l.v[file] = math.NaN() // of the cache the working set holds an unknown part
		} else if v := cursors[workingSet].at(q.at); w.of[file] == nil && !math.IsNaN(v) {
			// The working set is without the pages that are first to go.
			l.v[file] = max(0, q.v-v)
		}
		r := l.row()
		for k, c := range []*cursor{&cursors[started], &cursors[restarts]} {
			v := c.at(q.at)
			r.start = r.start || !math.IsNaN(was[k]) && !math.IsNaN(v) && v != was[k]
			if !math.IsNaN(v) {
				was[k] = v
			}
		}
		// What comes back with less than half after a gap is another run.
		if i > 0 && q.at-before.at > 2.5*cursors[w.baseColumn()].reach/1.5 && 2*q.v < before.v {
			r.start = true
		}
		before = q
		s.add([]byte(w.service), []byte(w.part+"\x00"+id), r)
	}
}

func (w *wide) baseColumn() int {
	if w.of[used] != nil {
		return used
	}
	return workingSet
}

// serviceOf names a service by its labels, and tells its containers apart. It is
// "" for what is no container: a pod's sandbox, a group of pods.
func serviceOf(m map[string]string) (service, part string) {
	first := func(keys ...string) string {
		for _, k := range keys {
			if m[k] != "" {
				return m[k]
			}
		}
		return ""
	}
	if first("container", "container_name") == "POD" {
		return "", ""
	}
	in := func(name string) string {
		if ns := first("namespace", "exported_namespace"); ns != "" {
			return ns + "/" + name
		}
		return name
	}
	project, compose := m["container_label_com_docker_compose_project"], m["container_label_com_docker_compose_service"]
	pod := first("pod", "pod_name", "exported_pod")
	switch container := first("container", "container_name", "exported_container"); {
	case compose != "":
		return strings.TrimPrefix(project+"/"+compose, "/"), first("id", "name")
	case container != "":
		return in(container), pod
	case pod != "" && m["id"] != "" && m["image"] == "" && m["name"] == "":
		return "", ""
	case pod != "" && m["name"] == "" && m["id"] == "": // a sum over its containers
		return in(ownerOf(pod)), pod
	}
	if name := first("name", "service", "pod", "unit", "id", "job"); name != "" {
		return name, m["instance"]
	}
	var all []string
	for k, v := range m {
		if k != "__name__" {
			all = append(all, k+"="+v)
		}
	}
	slices.Sort(all)
	if len(all) == 0 {
		return "all", ""
	}
	return strings.Join(all, ","), ""
}

// ownerOf is the deployment that a pod is of, by the form of its name: web-6d4cf56db6-x7k2q;
// the pod's own name where it has another.
func ownerOf(pod string) string {
	made := func(s string, least, most int) bool { // as Kubernetes makes names up
		return len(s) >= least && len(s) <= most && strings.Trim(s, "bcdfghjklmnpqrstvwxz2456789") == ""
	}
	parts := strings.Split(pod, "-")
	n := len(parts)
	if n >= 3 && made(parts[n-1], 5, 5) && made(parts[n-2], 6, 10) {
		return strings.Join(parts[:n-2], "-")
	}
	return pod
}
