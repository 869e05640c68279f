package warn

import (
	"cmp"
	"math"
	"slices"
	"strings"
)

// An Order is a way to sort rows.
type Order struct {
	Name string
	less func(a, b *Row) int
}

// Orders are the ways to sort rows, the usual one first. What is not known comes last.
var Orders = []Order{
	{"danger", func(a, b *Row) int { return cmp.Compare(b.Danger, a.Danger) }},
	{"name", func(a, b *Row) int { return strings.Compare(a.Name, b.Name) }},
	{"held", func(a, b *Row) int { return most(a.Held, b.Held) }},
	{"limit", func(a, b *Row) int { return most(a.Limit, b.Limit) }},
	{"room", func(a, b *Row) int {
		return cmp.Compare(orElse(a.Headroom, math.MaxInt64), orElse(b.Headroom, math.MaxInt64))
	}},
	{"growth", func(a, b *Row) int { return cmp.Compare(growth(b), growth(a)) }},
	{"pids", func(a, b *Row) int { return most(a.PIDs, b.PIDs) }},
	{"restarts", func(a, b *Row) int { return most(a.Restarts, b.Restarts) }},
}

// OrderNames are the names of Orders.
func OrderNames() []string {
	names := make([]string, len(Orders))
	for i := range Orders {
		names[i] = Orders[i].Name
	}
	return names
}

// Sort sorts rows by the order of that name, rows alike as they were; false is no such
// order.
func Sort(rows []*Row, by string) bool {
	for _, o := range Orders {
		if o.Name == by {
			slices.SortStableFunc(rows, o.less)
			return true
		}
	}
	return false
}

// Matches is true for a row whose name or id has the text in it, in any case.
func (r *Row) Matches(text string) bool {
	return text == "" || strings.Contains(strings.ToLower(r.Name+" "+r.ID), strings.ToLower(text))
}

func most(a, b *int64) int { return cmp.Compare(orElse(b, -1), orElse(a, -1)) }

func orElse(n *int64, otherwise int64) int64 {
	if n == nil {
		return otherwise
	}
	return *n
}

func growth(r *Row) float64 {
	if r.Slope == nil {
		return math.Inf(-1)
	}
	return *r.Slope
}
