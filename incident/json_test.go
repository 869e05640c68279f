package incident

import (
	"bytes"
	"encoding/json"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// encoded is what encoding/json makes of an incident, as oomwatch prints it.
func encoded(t testing.TB, inc *Incident) string {
	t.Helper()
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(inc); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// filler sets the fields of a value, all that there are, to what chance will.
type filler struct {
	rnd *rand.Rand
	// full leaves nothing out.
	full bool
}

var oddTexts = []string{"", "web", `a "quoted" \ name`, "tab\tline\nend\r\b\f\x00\x01\x1f\x7f", "<b>&amp;</b>", "größe 🐳", "\xff\xfe cut \xe2\x82", "\u2028\u2029\ufffd\U0010ffff",
	"0123456789abcdef0123456789abcdef", "12345678\"", "1234567\\9", "\"", strings.Repeat("long ", 100) + "\x80", "12345678\u00e9", "!!!!!!!! !!!!!!!", "\x21\x20\x1f\x5b\x5d\x23aa"}

func (f filler) fill(t *testing.T, v reflect.Value) {
	if v.Type() == reflect.TypeFor[time.Time]() {
		zone := []*time.Location{time.UTC, time.FixedZone("", 5*3600+1800), time.FixedZone("x", -7*3600)}[f.rnd.IntN(3)]
		at := time.Unix(f.rnd.Int64N(4e9), f.rnd.Int64N(4)*250e6+f.rnd.Int64N(2)).In(zone)
		if f.rnd.IntN(3) == 0 {
			at = time.Unix(1.7e9, 5e8).UTC() // the same again
		}
		if f.full || f.rnd.IntN(4) > 0 {
			v.Set(reflect.ValueOf(at))
		}
		return
	}
	if !f.full && f.rnd.IntN(4) == 0 {
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			f.fill(t, v.Field(i))
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		f.fill(t, v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1+f.rnd.IntN(3), 4))
		for i := range v.Len() {
			f.fill(t, v.Index(i))
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range 1 + f.rnd.IntN(4) {
			k, e := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			f.fill(t, k)
			f.fill(t, e)
			v.SetMapIndex(k, e)
		}
	case reflect.String:
		s := oddTexts[f.rnd.IntN(len(oddTexts))]
		if f.full && s == "" || f.rnd.IntN(4) == 0 {
			b := make([]byte, 1+f.rnd.IntN(40))
			for i := range b {
				b[i] = byte(f.rnd.UintN(256))
			}
			s = string(b)
		}
		v.SetString(s)
	case reflect.Bool:
		v.SetBool(f.full || f.rnd.IntN(2) == 0)
	case reflect.Int, reflect.Int64:
		v.SetInt([]int64{1, -1, 137, math.MaxInt64, math.MinInt64, 8589934592}[f.rnd.IntN(6)])
	case reflect.Float64:
		v.SetFloat([]float64{1, -2.5, 12345.678901, 1e21, 1e20, -3e-7, 1e-6, 4.2e-12, math.MaxFloat64, math.SmallestNonzeroFloat64}[f.rnd.IntN(10)])
	default:
		t.Fatalf("no way to fill a %s yet", v.Type())
	}
}

// TestAppendJSONIsEncodingJSON fills all fields there are, also those that are
// added later, and compares.
func TestAppendJSONIsEncodingJSON(t *testing.T) {
	rnd := rand.New(rand.NewPCG(4, 2))
	for n := range 4000 {
		var inc Incident
		filler{rnd: rnd, full: n%2 == 0}.fill(t, reflect.ValueOf(&inc).Elem())
		if n == 1 {
			inc = Incident{}
		}
		want, got := encoded(t, &inc), string(inc.AppendJSON([]byte("before ")))
		if d := cmp.Diff("before "+want, got); d != "" {
			t.Fatalf("incident %d (-encoding/json +AppendJSON):\n%s", n, d)
		}
	}
}

func TestAppendJSONString(t *testing.T) {
	for i := range 256 { // each byte, at each place of a word
		for at := range 9 {
			s := strings.Repeat("a", at) + string([]byte{byte(i)}) + strings.Repeat("b", 9-at)
			inc := Incident{Summary: s}
			if want, got := encoded(t, &inc), string(inc.AppendJSON(nil)); want != got {
				t.Fatalf("%q: %s, want %s", s, got, want)
			}
		}
	}
}

func TestAppendJSONTakesWhatJSONCannotHold(t *testing.T) {
	nan := math.NaN()
	inc := Incident{Time: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), UptimeSeconds: &nan,
		Evidence: []Evidence{{Time: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}}}
	got := inc.AppendJSON(nil)
	if !json.Valid(got) || !strings.Contains(string(got), `"time":null,"uptime_seconds":null,`) {
		t.Errorf("%s", got)
	}
}

func FuzzAppendJSONString(f *testing.F) {
	for _, s := range oddTexts {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		inc := Incident{Summary: s}
		if want, got := encoded(t, &inc), string(inc.AppendJSON(nil)); want != got {
			t.Errorf("%q: %s, want %s", s, got, want)
		}
	})
}
