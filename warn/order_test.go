package warn

import (
	"strings"
	"testing"
)

func TestSort(t *testing.T) {
	rows := func() []*Row {
		return []*Row{
			{Name: "b", Danger: 0.1, Held: new(int64(5)), Limit: new(int64(10)), Headroom: new(int64(5)), Slope: new(-1.0), PIDs: new(int64(3)), Restarts: new(int64(1))},
			{Name: "c", Danger: 1.5, Held: new(int64(7)), Limit: new(int64(8)), Headroom: new(int64(1)), Slope: new(2.0), PIDs: new(int64(9))},
			{Name: "a", Danger: 0.9},
		}
	}
	for by, want := range map[string]string{"danger": "c a b", "name": "a b c", "held": "c b a", "limit": "b c a", "room": "c b a", "growth": "c b a", "pids": "c b a", "restarts": "b c a"} {
		list := rows()
		if !Sort(list, by) {
			t.Fatalf("%s is no order", by)
		}
		got := list[0].Name + " " + list[1].Name + " " + list[2].Name
		if got != want {
			t.Errorf("by %s: %s, want %s", by, got, want)
		}
	}
	if Sort(rows(), "colour") || len(OrderNames()) != 8 || OrderNames()[0] != "danger" {
		t.Errorf("orders: %s", strings.Join(OrderNames(), " "))
	}
	r := Row{Name: "Shop-Web", ID: "0abc"}
	if !r.Matches("") || !r.Matches("p-w") || !r.Matches("ABC") || r.Matches("db") {
		t.Error("a row does not match what is in its name or id")
	}
}
