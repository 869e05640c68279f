package readings

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// sample is one value at one moment.
type sample struct{ at, v float64 }

// seconds takes a time for what it must be by its size: some answer in milliseconds.
func seconds(t float64) float64 {
	for range 3 {
		if math.Abs(t) < 1e11 {
			break
		}
		t /= 1e3
	}
	return t
}

// sane tells what can be a size or a time.
func sane(v float64) bool { return v >= 0 && v < 1<<60 }

// answer is what Prometheus answers to query_range, as far as it has been read.
type answer struct {
	status, kind, err string
	// vector is true where a series has one value, of one moment.
	vector bool
	series int
}

// addPrometheus reads one answer after another: whole ones, their lists of results
// (promtool), or the results themselves, one after another.
func (s *Set) addPrometheus(r io.Reader, name string) error {
	d := &scanner{r: r}
	for {
		c, err := d.peek()
		if errors.Is(err, io.EOF) {
			return nil
		}
		var a answer
		switch {
		case err != nil:
		case c == '[':
			err = s.results(d, &a)
		default:
			err = s.answer(d, &a, 0)
		}
		if err != nil {
			return fmt.Errorf("read %q: it begins like Prometheus' answer: %w", name, err)
		}
		switch {
		case a.status != "" && a.status != "success":
			return fmt.Errorf("read %q: Prometheus answered %q: %s", name, a.status, cmp.Or(a.err, "without saying why"))
		case a.err != "":
			return fmt.Errorf("read %q: Prometheus answered with an error: %s", name, a.err)
		case a.kind != "" && a.kind != "matrix":
			return fmt.Errorf("read %q: it holds a %s; ask query_range, which answers with a matrix", name, a.kind)
		case a.vector:
			return fmt.Errorf("read %q: it holds a vector, which is one moment; ask query_range, which answers with a matrix", name)
		case a.series == 0:
			s.note("a result in %q holds no series: look at the query and its time range", name)
		}
	}
}

// answer reads an object: the answer, its data, or one result.
func (s *Set) answer(d *scanner, a *answer, depth int) error {
	var metric map[string]string
	var values *column
	one := false
	err := d.each(func(key string) (err error) {
		c, err := d.peek()
		if err != nil {
			return cut(err)
		}
		switch {
		case key == "status" && c == '"':
			a.status, err = d.text()
		case key == "error" && c == '"', key == "errorType" && c == '"' && a.err == "":
			a.err, err = d.text()
		case key == "resultType" && c == '"':
			a.kind, err = d.text()
		case key == "data" && c == '{' && depth == 0:
			err = s.answer(d, a, depth+1)
		case key == "result" && c == '[':
			err = s.results(d, a)
		case key == "metric" && c == '{':
			one, metric = true, map[string]string{}
			err = d.each(func(label string) (err error) {
				metric[label], err = d.text()
				return err
			})
		case key == "values" && c == '[':
			one = true
			values, err = s.samples(d)
		case key == "value" && c == '[':
			one, a.vector = true, true
			err = d.skip()
		default:
			err = d.skip()
		}
		return err
	})
	if err == nil && one && !a.vector {
		a.series++
		s.take(metric, values)
	}
	return err
}

// results reads a list of series.
func (s *Set) results(d *scanner, a *answer) error {
	if err := d.want('['); err != nil {
		return err
	}
	return d.members(']', func() error {
		c, err := d.peek()
		if err != nil {
			return cut(err)
		}
		if c != '{' { // a scalar's: its type is refused
			a.kind = cmp.Or(a.kind, "scalar")
			return d.skip()
		}
		return s.answer(d, a, 1)
	})
}

// samples reads those of one series into memory that is used again.
func (s *Set) samples(d *scanner) (*column, error) {
	if err := d.want('['); err != nil {
		return nil, err
	}
	s.room.reset()
	err := d.members(']', func() error {
		q, ok, err := d.sample()
		if ok {
			s.room.add(q)
		}
		return err
	})
	return &s.room, err
}

// take files a series under the container that it is of.
func (s *Set) take(m map[string]string, values *column) {
	service, part := serviceOf(m)
	if service == "" {
		s.groups++
		return
	}
	name := m["__name__"]
	column, known := columns[name]
	if column == limit && m["resource"] != "" && m["resource"] != "memory" {
		return
	}
	if !known {
		if column = workingSet; name != "" && !memory(name) {
			s.note("the metric %q is not of memory that is held, and is left out", name)
			return
		}
	}
	if values == nil || values.n == 0 {
		s.note("a series of %q holds no number", service)
		return
	}
	values = values.kept()
	id := m["id"]
	if !strings.HasPrefix(id, "/") {
		id = ""
	}
	x := s.wide(service, part, id)
	if old := x.of[column]; old != nil && (x.names[column] != name || differ(old, values)) {
		if x.names[column] != name {
			s.note("%q has the metrics %q and %q: the first is judged", service, x.names[column], name)
			return
		}
		var more []string
		for k, v := range m {
			if x.labels[k] != v {
				more = append(more, k+"="+v)
			}
		}
		slices.Sort(more)
		part = strings.TrimSpace(part + " " + strings.Join(more, ","))
		x = s.wide(service, part, id)
	}
	if x.labels == nil {
		x.labels = m
	}
	x.names[column] = name
	x.of[column] = merge(x.of[column], values)
}

func byTime(a, b sample) int { return cmp.Compare(a.at, b.at) }
