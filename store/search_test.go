package store

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/incident"
)

// TestSearchLeavesOutOnlyWhatLacksAWord: of incidents with short and long heads a search
// hands on each that has all words before its victim, and its depth ends where it says.
func TestSearchLeavesOutOnlyWhatLacksAWord(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "o.db"))
	long := map[string]string{}
	for i := range 60 {
		long[fmt.Sprintf("a.label.%02d", i)] = strings.Repeat("x", 100)
	}
	var b Batch
	for i := range 40 {
		x := inc(fmt.Sprintf("id%02d", i), fmt.Sprintf("%064d", i), t0.Add(time.Duration(i)*time.Minute))
		x.Severity, x.Summary = incident.Critical, fmt.Sprintf("Shop_%02d was OOM-killed, 100%% sure", i)
		x.LogTail = []string{strings.Repeat("y", 9000) + " needle"}
		x.Container.Name, x.Container.Image = fmt.Sprintf("Shop_%02d", i), "img"
		if i%4 == 1 {
			x.Severity = incident.Warning
		}
		if i%10 == 3 { // its name stands behind 6 KiB of labels
			x.Summary, x.Container.Name, x.Container.Image = "it died", "", "img"
			x.Container.Labels, x.Container.Pod = long, &incident.Pod{Name: "deep-pod"}
		}
		b.Entries = append(b.Entries, Entry{Incident: x})
	}
	if _, err := s.Save(ctx, b); err != nil {
		t.Fatal(err)
	}
	ask := func(q Query) (out []string, end Place) {
		q.NewestFirst = true
		if err := s.EachBody(ctx, q, func(p Place, body []byte) error {
			if body == nil {
				end = p
				return nil
			}
			id := string(body[strings.Index(string(body), `"id":"`)+6:][:4])
			out = append(out, id)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return out, end
	}
	deep := []string{"id33", "id23", "id13", "id03"} // what may have it beyond the head
	with := func(ids ...string) []string {
		all := append(ids, deep...)
		slices.Sort(all)
		slices.Reverse(all)
		return slices.Compact(all)
	}
	for _, c := range []struct {
		q    Query
		want []string
	}{
		{Query{Words: []string{"shop_07"}}, with("id07")},
		{Query{Words: []string{"shop_0", "sure", "img"}}, with("id00", "id01", "id02", "id04", "id05", "id06", "id07", "id08", "id09")},
		{Query{Words: []string{"shopx07"}}, with()},
		{Query{Words: []string{"1%0"}}, with()},
		{Query{Words: []string{"needle"}}, with()},
		{Query{Words: []string{"deep-pod"}}, with()},
		{Query{Words: []string{"shop_"}, Severity: "warning"}, []string{"id37", "id33", "id29", "id25", "id21", "id17", "id13", "id09", "id05", "id01"}},
	} {
		if got, end := ask(c.q); !slices.Equal(got, c.want) || end != (Place{}) {
			t.Errorf("%+v: %q, want %q; it ends at %s", c.q, got, c.want, end)
		}
	}
	got, end := ask(Query{Words: []string{"shop_", "oom-killed"}, Depth: 10})
	if want := []string{"id39", "id38", "id37", "id36", "id35", "id34", "id33", "id32", "id31", "id30"}; !slices.Equal(got, want) {
		t.Errorf("to a depth of 10: %q", got)
	}
	if got, _ := ask(Query{Words: []string{"shop_"}, Before: end, Limit: 1}); !slices.Equal(got, []string{"id29"}) {
		t.Errorf("after the depth of 10 comes %q", got)
	}
	if got, end := ask(Query{Words: []string{"shop_07"}, Depth: 100}); !slices.Equal(got, with("id07")) || end != (Place{}) {
		t.Errorf("to a depth beyond all: %q, it ends at %s", got, end)
	}
}
