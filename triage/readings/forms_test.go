package readings

import (
	"fmt"
	"strings"
	"testing"

	"github.com/oomwatch/oomwatch/triage"
)

// seriesOf is one result of an answer.
func seriesOf(labels string, samples ...string) string {
	return fmt.Sprintf(`{"metric":{%s},"values":[%s]}`, labels, strings.Join(samples, ","))
}

// run is samples every minute from a time on, growing by step.
func run(at, n int, from, step float64) string {
	var out []string
	for i := range n {
		out = append(out, fmt.Sprintf(`[%d,"%.0f"]`, at+60*i, from+step*float64(i)))
	}
	return strings.Join(out, ",")
}

func matrix(results ...string) string {
	return `{"status":"success","data":{"resultType":"matrix","result":[` + strings.Join(results, ",") + `]}}`
}

const (
	ws    = `"__name__":"container_memory_working_set_bytes",`
	rss   = `"__name__":"container_memory_rss",`
	cache = `"__name__":"container_memory_cache",`
	pod1  = `"namespace":"shop","pod":"web-6d4cf56db6-x7k2q","container":"web"`
	pod2  = `"namespace":"shop","pod":"web-7f9b8c6d54-b4zxl","container":"web"`
)

// histories are all of them at once.
func histories(s *Set) (out []triage.History) {
	for h := range s.Histories() {
		out = append(out, *h)
	}
	return out
}

// said is the histories in short: of each service its runs, each with its readings, what
// the first and last of them held, and its limit.
func said(list []triage.History) string {
	var out []string
	for _, h := range list {
		s := h.Service + ":"
		for _, r := range h.Runs {
			n := len(r.Readings)
			s += fmt.Sprintf(" %dx %.0f-%.0f", n, r.Readings[0].Held, r.Readings[n-1].Held)
			if r.Limit > 0 {
				s += fmt.Sprintf(" of %.0f", r.Limit)
			}
		}
		out = append(out, s)
	}
	return strings.Join(out, "; ")
}

// TestForms: the forms in which people have Prometheus' answers are read right, or it is
// said why not.
func TestForms(t *testing.T) {
	for name, tt := range map[string]struct{ text, want, note, err string }{
		"a bare list, as promtool prints":      {text: `[` + seriesOf(ws+pod1, run(1e9, 3, 10, 1)) + `]`, want: "shop/web: 3x 10-12"},
		"results one a line, as of jq":         {text: seriesOf(ws+pod1, run(1e9, 2, 10, 1)) + "\n" + seriesOf(ws+pod2, run(1e9+600, 2, 5, 1)), want: "shop/web: 2x 10-11 2x 5-6"},
		"a byte order mark":                    {text: "\ufeff" + matrix(seriesOf(ws+pod1, run(1e9, 2, 10, 1))), want: "shop/web: 2x 10-11"},
		"milliseconds, as of Thanos":           {text: matrix(seriesOf(ws+pod1, `[1000000000000,"7"],[1000000060000,"8"]`)), want: "shop/web: 2x 7-8"},
		"fractions and numbers without quotes": {text: matrix(seriesOf(ws+pod1, `[1000000000.781, 7], [1000000060.781,"8.5e0"]`)), want: "shop/web: 2x 7-8"},
		"NaN, Inf and null":                    {text: matrix(seriesOf(ws+pod1, `[1000000000,"NaN"],[1000000060,"+Inf"],[1000000120,null],[1000000180,"-Inf"],[1000000240,"9"]`)), want: "shop/web: 1x 9-9"},
		"nothing but NaN":                      {text: matrix(seriesOf(ws+pod1, `[1000000000,"NaN"]`)), note: "holds no number"},
		"partial, of VictoriaMetrics":          {text: `{"isPartial":false,` + matrix(seriesOf(ws+pod1, run(1e9, 2, 1, 1)))[1:], want: "shop/web: 2x 1-2"},
		"warnings and statistics":              {text: `{"warnings":["x"],"stats":{"a":[1,{"b":"]"}]},"data":{"result":[` + seriesOf(ws+pod1, run(1e9, 2, 1, 1)) + `],"resultType":"matrix"},"status":"success"}`, want: "shop/web: 2x 1-2"},
		"values before the labels":             {text: matrix(`{"values":[` + run(1e9, 2, 1, 1) + `],"metric":{` + ws + pod1 + `}}`), want: "shop/web: 2x 1-2"},
		"an expression without a name":         {text: matrix(seriesOf(`"pod":"web-6d4cf56db6-x7k2q","namespace":"shop"`, run(1e9, 2, 1, 1))), want: "shop/web: 2x 1-2"},
		"no labels at all":                     {text: matrix(seriesOf(``, run(1e9, 2, 1, 1))), want: "all: 2x 1-2"},
		"a stateful set, at the same time":     {text: matrix(seriesOf(ws+`"pod":"db-0","container":"db"`, run(1e9, 30, 1, 1)), seriesOf(ws+`"pod":"db-1","container":"db"`, run(1e9, 30, 3, 1))), want: "db (db-0): 30x 1-30; db (db-1): 30x 3-32"},
		"a rollout whose pods overlap":         {text: matrix(seriesOf(ws+pod1, run(1e9, 100, 10, 1)), seriesOf(ws+pod2, run(1e9+95*60, 100, 5, 0))), want: "shop/web: 95x 10-104 100x 5-5"},
		"a container restarted in its pod": {text: matrix(seriesOf(ws+pod1+`,"id":"/kubepods/a"`, run(1e9, 50, 10, 1)), seriesOf(ws+pod1+`,"id":"/kubepods/b"`, run(1e9+48*60, 50, 5, 1))),
			want: "shop/web: 48x 10-57 50x 5-54"},
		"scraped twice":             {text: matrix(seriesOf(ws+pod1+`,"prometheus_replica":"a"`, run(1e9, 5, 100, 1)), seriesOf(ws+pod1+`,"prometheus_replica":"b"`, run(1e9, 6, 101, 1))), want: "shop/web: 6x 100-106"},
		"two that are not the same": {text: matrix(seriesOf(ws+`"job":"api","id":"heap"`, run(1e9, 5, 100, 1)), seriesOf(ws+`"job":"api","id":"old"`, run(1e9, 5, 900, 1))), want: "heap: 5x 100-104; old: 5x 900-904"},
		"two of a name, not the same": {text: matrix(seriesOf(ws+`"job":"api","area":"heap"`, run(1e9, 5, 100, 1)), seriesOf(ws+`"job":"api","area":"other"`, run(1e9, 5, 900, 1))),
			want: "api: 5x 100-104; api (area=other): 5x 900-904"},
		"limits of kube-state-metrics": {text: matrix(seriesOf(ws+pod1+`,"id":"/kubepods/a"`, run(1e9, 2, 10, 1)),
			seriesOf(`"__name__":"kube_pod_container_resource_limits","resource":"memory",`+pod1, run(1e9, 2, 64, 0)),
			seriesOf(`"__name__":"kube_pod_container_resource_limits","resource":"cpu",`+pod1, run(1e9, 2, 2, 0))), want: "shop/web: 2x 10-11 of 64"},
		"cache without usage: the working set holds a part of it": {text: matrix(seriesOf(ws+pod1, run(1e9, 2, 100, 1)), seriesOf(cache+pod1, run(1e9, 2, 500, 0))), want: "shop/web: 2x 100-101"},
		"usage with a working set of another pace": {text: matrix(seriesOf(`"__name__":"container_memory_usage_bytes",`+pod1, run(1e9, 6, 100, 0)), seriesOf(ws+pod1, `[1000000000,"60"],[1000000300,"60"]`)),
			want: "shop/web: 6x 60-60"},
		"restarts are counted": {text: matrix(seriesOf(ws+pod1, run(1e9, 6, 100, 1)), seriesOf(`"__name__":"kube_pod_container_status_restarts_total",`+pod1, `[1000000000,"0"],[1000000180,"1"]`)), want: "shop/web: 3x 100-102 3x 103-105"},
		"less after a gap":     {text: matrix(seriesOf(ws+pod1, run(1e9, 40, 100, 10), run(1e9+60*60, 40, 100, 10))), want: "shop/web: 40x 100-490 40x 100-490"},
		"other metrics":        {text: matrix(seriesOf(ws+pod1, run(1e9, 2, 10, 1)), seriesOf(`"__name__":"container_memory_failcnt",`+pod1, run(1e9, 2, 9000, 1))), want: "shop/web: 2x 10-11", note: "container_memory_failcnt"},
		"the rule of a mixin":  {text: matrix(seriesOf(`"__name__":"node_namespace_pod_container:container_memory_working_set_bytes",`+pod1, run(1e9, 2, 10, 1))), want: "shop/web: 2x 10-11"},
		"the process's own":    {text: matrix(seriesOf(`"__name__":"process_resident_memory_bytes","job":"api","instance":"a:1"`, run(1e9, 2, 10, 1))), want: "api: 2x 10-11"},
		"out of order":         {text: matrix(seriesOf(ws+pod1, `[1000000120,"3"],[1000000000,"1"],[1000000060,"2"]`)), want: "shop/web: 3x 1-3"},
		"several answers":      {text: matrix(seriesOf(ws+pod1, run(1e9, 2, 10, 1))) + "\n" + matrix(seriesOf(rss+pod1, run(1e9, 2, 9, 1))), want: "shop/web: 2x 10-11"},

		"sandboxes and groups only": {text: matrix(seriesOf(ws+`"pod":"web-1","container":"POD"`, run(1e9, 2, 1, 1)), seriesOf(ws+`"pod":"web-1","id":"/kubepods/pod1"`, run(1e9, 2, 1, 1))), note: "sandboxes"},

		"an empty result":         {text: matrix(), note: "no series"},
		"an error":                {text: `{"status":"error","errorType":"bad_data","error":"parse error: unexpected end"}`, err: "parse error: unexpected end"},
		"an error of a proxy":     {text: `{"error":"unauthorized"}`, err: "unauthorized"},
		"an error without words":  {text: `{"status":"error"}`, err: "without saying why"},
		"a vector":                {text: `{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1000000000,"1"]}]}}`, err: "query_range"},
		"a vector without a type": {text: `[{"metric":{},"value":[1000000000,"1"]}]`, err: "query_range"},
		"a scalar":                {text: `{"status":"success","data":{"resultType":"scalar","result":[1000000000,"1"]}}`, err: "holds a scalar"},
		"a text":                  {text: `{"status":"success","data":{"resultType":"string","result":[1000000000,"x"]}}`, err: "holds a string"},
		"words for a value":       {text: matrix(seriesOf(ws+pod1, `[1000000000,"much"]`)), err: "is no number"},
		"words for a time":        {text: matrix(seriesOf(ws+pod1, `["noon","1"]`)), err: "is no time"},
		"values and timestamps":   {text: `{"metric":{"__name__":"up"},"values":[1,2],"timestamps":[1,2]}`, err: `[seconds, "value"]`},
		"cut off in a sample":     {text: matrix(seriesOf(ws+pod1, run(1e9, 9, 10, 1)))[:150], err: "ends in the middle"},
		"cut off in its labels":   {text: `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"pod":"we`, err: "ends in the middle"},
		"a page":                  {text: "<html><body>502 Bad Gateway</body></html>", err: "not a reading as JSON"},
		"deeper than any":         {text: `{"status":"success","x":` + strings.Repeat("[", 5000), err: "nests too deep"},
	} {
		t.Run(name, func(t *testing.T) {
			var s Set
			err := s.Add(strings.NewReader(tt.text), "x.json")
			got := ""
			if err == nil {
				got = said(histories(&s))
			}
			if (err != nil) != (tt.err != "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Fatalf("%v, want %q", err, tt.err)
			}
			if got != tt.want {
				t.Errorf("%s\nwant %s", got, tt.want)
			}
			if notes := strings.Join(s.Notes, "; "); (notes != "") != (tt.note != "") || !strings.Contains(notes, tt.note) {
				t.Errorf("notes %q, want %q", notes, tt.note)
			}
		})
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add(matrix(seriesOf(ws+pod1, run(1e9, 3, 10, 1)), seriesOf(rss+pod2, `[1,"NaN"]`)))
	f.Add(`[{"metric":{},"value":[1,"2"]}]`)
	f.Add(`{"status":"success","data":{"result":[{"values":[[1e300,"1e300"],[-1,"0"]]}]}}`)
	f.Fuzz(func(t *testing.T, text string) {
		var s Set
		if err := s.addPrometheus(strings.NewReader(text), "x"); err != nil && err.Error() == "" {
			t.Error("an error without words")
		}
		for h := range s.Histories() {
			triage.JudgeHistory(h)
		}
	})
}
