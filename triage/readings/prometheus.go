package readings

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
)

// columns are the metrics of cAdvisor and the kubelet, and what they are here.
var columns = map[string]int{
	"container_memory_usage_bytes": used, "container_memory_working_set_bytes": workingSet, "container_memory_rss": anon,
	"container_memory_cache": file, "container_memory_swap": swap, "container_memory_kernel_usage": kernel,
	"container_spec_memory_limit_bytes": limit, "container_oom_events_total": kills,
}

// workingSet is the usage without inactive file pages.
const workingSet = fields

// answer is what Prometheus answers to query_range.
type answer struct {
	Status string `json:"status"`
	Error  string `json:"error"`
	Data   *data  `json:"data"`
	data
}

type data struct {
	Type   string   `json:"resultType"`
	Result []result `json:"result"`
}

type result struct {
	Metric map[string]string `json:"metric"`
	Values []sample          `json:"values"`
}

// sample is [seconds, "value"].
type sample struct{ at, v float64 }

func (s *sample) UnmarshalJSON(b []byte) error {
	b = bytes.TrimSpace(b)
	b = bytes.TrimSuffix(bytes.TrimPrefix(b, []byte("[")), []byte("]"))
	at, v, ok := bytes.Cut(b, []byte(","))
	if !ok {
		return fmt.Errorf("a sample is [seconds, \"value\"], not %.40q", b)
	}
	var err error
	if s.at, err = strconv.ParseFloat(string(bytes.TrimSpace(at)), 64); err != nil {
		return fmt.Errorf("the time of a sample: %w", err)
	}
	if s.v, err = strconv.ParseFloat(strings.Trim(string(bytes.TrimSpace(v)), `"`), 64); err != nil {
		return fmt.Errorf("the value of a sample: %w", err)
	}
	return nil
}

// addPrometheus reads one answer after another.
func (s *Set) addPrometheus(br *bufio.Reader, name string) error {
	d := json.NewDecoder(br)
	for {
		var a answer
		if err := d.Decode(&a); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read %q: it begins like Prometheus' answer: %w", name, err)
		}
		if a.Status != "" && a.Status != "success" {
			return fmt.Errorf("read %q: Prometheus answered %q: %s", name, a.Status, a.Error)
		}
		list := a.data
		if a.Data != nil {
			list = *a.Data
		}
		if list.Type != "" && list.Type != "matrix" {
			return fmt.Errorf("read %q: it holds a %s; ask query_range, which answers with a matrix", name, list.Type)
		}
		s.table(list.Result)
	}
}

// table takes the metrics of one answer. Those of other answers follow as they come:
// a limit that is in another file is joined by time.
func (s *Set) table(list []result) {
	for i := range list {
		r := &list[i]
		service, part := serviceOf(r.Metric)
		if service == "" {
			continue
		}
		column, known := columns[r.Metric["__name__"]]
		if !known {
			column = workingSet
		}
		x := s.wide(service, part)
		if x.of[column] == nil {
			x.of[column] = map[float64]float64{}
		}
		for _, q := range r.Values {
			if !math.IsNaN(q.v) && !math.IsInf(q.v, 0) {
				x.of[column][q.at] = q.v
			}
		}
	}
}

// wide is the metrics of one container, until all are read.
type wide struct {
	service, part string
	of            [fields + 1]map[float64]float64
}

func (s *Set) wide(service, part string) *wide {
	key := service + "\x00" + part
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
	for _, key := range s.tableOrder {
		s.tables[key].into(s)
	}
	s.tables, s.tableOrder = nil, nil
}

func (w *wide) into(s *Set) {
	base := w.of[used]
	if base == nil {
		base = w.of[workingSet]
	}
	var times []float64
	for t := range base {
		times = append(times, t)
	}
	slices.Sort(times)
	last := w.lastLimit()
	for _, t := range times {
		l := line{time: t}
		for i := range l.v {
			l.v[i] = math.NaN()
			if v, ok := w.of[i][t]; ok {
				l.v[i] = v
			}
		}
		if math.IsNaN(l.v[limit]) {
			l.v[limit] = last
		}
		if math.IsNaN(l.v[used]) {
			l.v[used] = base[t]
		}
		if w.of[file] == nil && w.of[workingSet] != nil {
			// The working set is without the pages that are first to go.
			if v, ok := w.of[workingSet][t]; ok {
				l.v[file] = max(0, l.v[used]-v)
			}
		}
		s.add([]byte(w.service), []byte(w.part), l.row())
	}
}

func (w *wide) lastLimit() float64 {
	at, v := math.Inf(-1), math.NaN()
	for t, x := range w.of[limit] {
		if t > at {
			at, v = t, x
		}
	}
	return v
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
	project, compose := m["container_label_com_docker_compose_project"], m["container_label_com_docker_compose_service"]
	pod := first("pod", "pod_name")
	switch container := first("container", "container_name"); {
	case compose != "":
		return strings.TrimPrefix(project+"/"+compose, "/"), first("id", "name")
	case container != "":
		if ns := first("namespace", "exported_namespace"); ns != "" {
			container = ns + "/" + container
		}
		return container, pod
	case pod != "" && m["id"] != "" && m["image"] == "" && m["name"] == "":
		return "", ""
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
