package boundedjson

import (
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
)

func bounded(t *testing.T, in string, lim Bounds) (out string, cuts int, err error) {
	t.Helper()
	b := New(io.NopCloser(iotest.OneByteReader(strings.NewReader(in))), lim, func() { cuts++ })
	got, err := io.ReadAll(b)
	return string(got), cuts, err
}

// What is within bounds is passed on as it means.
func TestPasses(t *testing.T) {
	wide := Bounds{Depth: 3, Total: 1 << 20, Text: 100, Members: 100, Texts: 1000}
	for _, in := range []string{
		`{}`, `[]`, `""`, `0`, `{"a":[1,2.5e-3,true,null,{"b":"c\"d\\"}],"e":{"f":{"g":{"h":"ü\u00fc\ud83d\ude00"}}}}`,
		"{\"a\": 1 ,\n\t\"b\" : [ 1 , 2 ] }\n{\"c\":\"{[,]}\"}\n",
	} {
		out, cuts, err := bounded(t, in, wide)
		if err != nil || cuts != 0 || !reflect.DeepEqual(values(t, in), values(t, out)) {
			t.Errorf("%s became %s, %d cuts, %v", in, out, cuts, err)
		}
	}
}

func values(t *testing.T, in string) (all []any) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(in))
	for {
		var v any
		err := d.Decode(&v)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("%s: %v", in, err)
		}
		all = append(all, v)
	}
}

func TestCuts(t *testing.T) {
	long := strings.Repeat("x", 500)
	lim := Bounds{Depth: 3, Total: 4000, Text: 200, Members: 3, Texts: 300}
	for name, tt := range map[string]struct{ in, want string }{
		"a long string":              {`{"a":"` + long + `","b":1}`, `{"a":"` + long[:200] + `","b":1}`},
		"a long key":                 {`{"` + long + `":1}`, `{"` + long[:200] + `":1}`},
		"no half escape":             {`["` + long[:198] + `\u00e9\"end"]`, `["` + long[:198] + `\u00e9"]`},
		"members, nested ones too":   {`{"a":{"b":{"c":1,"d":2,"e":3,"f":{"g":[1,2]},"h":"x"},"i":1}}`, `{"a":{"b":{"c":1,"d":2,"e":3},"i":1}}`},
		"of arrays":                  {`[[[1,2,3,[4],"5"],6]]`, `[[[1,2,3],6]]`},
		"not of the engine's own":    {`[{"a":1,"b":1,"c":1,"d":1},{},{},{},{}]`, `[{"a":1,"b":1,"c":1,"d":1},{},{},{},{}]`},
		"many strings become short":  {`[[["` + long[:190] + `","` + long[:190] + `","` + long[:190] + `"]]]`, `[[["` + long[:190] + `","` + long[:110] + `","` + long[:shortText] + `"]]]`},
		"blanks within":              {"[" + strings.Repeat(" ", 5000) + "1]", "[1]"},
		"the next value starts anew": {`{"a":"` + long + `"}{"b":"` + long[:10] + `"}`, `{"a":"` + long[:200] + `"}{"b":"` + long[:10] + `"}`},
	} {
		out, cuts, err := bounded(t, tt.in, lim)
		if err != nil || out != tt.want || (cuts == 0) != (name == "not of the engine's own" || name == "blanks within") {
			t.Errorf("%s: %s\nwant %s (%d cuts, %v)", name, out, tt.want, cuts, err)
		}
	}
	for name, in := range map[string]string{
		"larger than all bounds": `[` + strings.Repeat(`{"a":"`+long[:190]+`"},`, 30) + `1]`,
		"an endless number":      `[` + strings.Repeat("1", 100) + `]`,
		"deep":                   strings.Repeat("[", 100),
		"endless blanks":         strings.Repeat(" ", 5000),
	} {
		if out, _, err := bounded(t, in, lim); err == nil {
			t.Errorf("%s: %d bytes pass", name, len(out))
		}
	}
}

// However much comes, no more than the bounds is passed on, and it is still JSON.
func Fuzz(f *testing.F) {
	f.Add(`{"a":{"b":{"c":"d\u00e9","e":[1,2,3,4,5]}}}`)
	f.Fuzz(func(t *testing.T, in string) {
		lim := Bounds{Depth: 3, Total: 300, Text: 8, Members: 2, Texts: 16}
		out, _, err := bounded(t, in, lim)
		if len(out) > len(in) {
			t.Fatalf("%q grew to %q", in, out)
		}
		if json.Valid([]byte(in)) && err == nil && !json.Valid([]byte(out)) {
			t.Fatalf("%q became %q", in, out)
		}
	})
}
