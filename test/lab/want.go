package lab

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Want is what must be in an incident's JSON: fields by their path
// ("container.exit_code") and their values, or a Check of them.
type Want map[string]any

// Check judges a field by more than its equality; there is false where it is absent.
type Check func(v any, there bool) (wrong string)

// Any wants nothing in particular of a field.
func Any(any, bool) string { return "" }

// There wants a field, whatever its value.
func There(_ any, there bool) string {
	if !there {
		return "a value"
	}
	return ""
}

// Absent wants no such field.
func Absent(_ any, there bool) string {
	if there {
		return "nothing"
	}
	return ""
}

// AtLeast wants a number that is not smaller.
func AtLeast(n float64) Check {
	return func(v any, _ bool) string {
		if x, ok := v.(float64); !ok || x < n {
			return fmt.Sprintf("at least %v", n)
		}
		return ""
	}
}

// Has wants a text, or a list of which a text, with part in it.
func Has(part string) Check {
	return func(v any, _ bool) string {
		if list, ok := v.([]any); ok {
			for _, one := range list {
				if s, ok := one.(string); ok && strings.Contains(s, part) {
					return ""
				}
			}
		}
		if s, ok := v.(string); ok && strings.Contains(s, part) {
			return ""
		}
		return fmt.Sprintf("something with %q", part)
	}
}

// Lacks wants a text, or a list of texts, without part in any.
func Lacks(part string) Check {
	has := Has(part)
	return func(v any, there bool) string {
		if has(v, there) == "" {
			return fmt.Sprintf("nothing with %q", part)
		}
		return ""
	}
}

// All wants all that several checks want.
func All(checks ...Check) Check {
	return func(v any, there bool) string {
		for _, c := range checks {
			if wrong := c(v, there); wrong != "" {
				return wrong
			}
		}
		return ""
	}
}

// With is w with what more says on top of it.
func (w Want) With(more Want) Want {
	all := maps.Clone(w)
	maps.Copy(all, more)
	return all
}

// Cause is the code it wants, "-" where nothing may be told.
func (w Want) Cause() string {
	if s, ok := w["cause"].(string); ok {
		return s
	}
	return "-"
}

// Wrong compares an incident's JSON with what is wanted: a line for each field
// that differs, in the order of their paths, none where all is right.
func (w Want) Wrong(body []byte) []string {
	var doc any
	if err := json.Unmarshal(body, &doc); err != nil {
		return []string{"not JSON: " + err.Error()}
	}
	var wrong []string
	for _, path := range slices.Sorted(maps.Keys(w)) {
		v, there := field(doc, path)
		want := ""
		switch x := w[path].(type) {
		case func(any, bool) string:
			want = x(v, there)
		case Check:
			want = x(v, there)
		case int:
			if v != float64(x) {
				want = fmt.Sprint(x)
			}
		default:
			if v != x {
				want = fmt.Sprint(x)
			}
		}
		if want == "" {
			continue
		}
		is := "absent"
		if there {
			b, _ := json.Marshal(v) // it came out of JSON
			is = string(b)
		}
		wrong = append(wrong, fmt.Sprintf("%s is %s, want %s", path, is, want))
	}
	return wrong
}

func field(doc any, path string) (v any, there bool) {
	for name := range strings.SplitSeq(path, ".") {
		m, ok := doc.(map[string]any)
		if !ok {
			return nil, false
		}
		if doc, ok = m[name]; !ok {
			return nil, false
		}
	}
	return doc, true
}
