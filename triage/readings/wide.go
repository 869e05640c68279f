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

// wide is the metrics of one container: of one pod's, containers have the same part and
// another id.
type wide struct {
	service, part, id string
	of                [allColumns]*column
	// names and labels are those of the series that it began with.
	names  [allColumns]string
	labels map[string]string
}

// wide is the table of a container, made where there is none.
func (s *Set) wide(service, part, id string) *wide {
	key := service + "\x00" + part + "\x00" + id
	if s.tables == nil {
		s.tables = map[string]*wide{}
	}
	if s.tables[key] == nil {
		s.tables[key] = &wide{service: service, part: part, id: id}
		s.tableOrder = append(s.tableOrder, key)
	}
	return s.tables[key]
}

// share gives what one source says of a container, without its usage, to those of the same
// pod and name that have it: a limit comes without the id.
func (s *Set) share() {
	of := map[string][]*wide{}
	for _, key := range s.tableOrder {
		w := s.tables[key]
		of[w.service] = append(of[w.service], w)
	}
	for _, list := range of {
		for _, from := range list {
			if from.base() != nil {
				continue
			}
			for _, to := range list {
				if from.part != "" && to.part != from.part || to.base() == nil {
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
}

// base is what each reading has: the usage, or else the working set.
func (w *wide) base() *column { return w.of[w.baseColumn()] }

func (w *wide) baseColumn() int {
	if w.of[used] != nil {
		return used
	}
	return workingSet
}

// into turns the metrics into readings.
func (w *wide) into(s *Set) {
	base := w.base()
	if base == nil {
		return
	}
	cursors := [allColumns]cursor{}
	for i := range w.of {
		cursors[i] = newCursor(w.of[i])
	}
	last := math.NaN()
	if c := w.of[limit]; c != nil {
		last = c.last.v
	}
	part := []byte(w.part + "\x00" + w.id)
	was, before := [2]float64{math.NaN(), math.NaN()}, base.first
	for rows := base.read(); rows.next(); {
		q := rows.now
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
		if q.at-before.at > 2.5*cursors[w.baseColumn()].reach/1.5 && 2*q.v < before.v {
			r.start = true
		}
		before = q
		s.add([]byte(w.service), part, r)
	}
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
