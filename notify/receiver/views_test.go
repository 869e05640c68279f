package receiver

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/oomwatch/oomwatch/incident"
)

// TestViewsGolden shows what each receiver is sent of an OOM kill, of a warning
// that is over, and of a storm, for people to look at.
func TestViewsGolden(t *testing.T) {
	own := incident.Alert{DeliveryID: "delivery-1", Incident: cases()["oom_container"], Attempt: 1}
	warning := *base("warning", incident.OOMContainer, incident.Likely, "web will reach its 64 MiB limit in about 4 min")
	warning.Kind, warning.Severity = incident.KindWarning, incident.Warning
	warning.Warning = &incident.WarningFacts{What: "forecast", Since: warning.Time.Add(-time.Minute), TimeToLimit: new(240.0), TimeToLimitError: new(30.0)}
	warning.ResolvedAt = warning.Time.Add(5 * time.Minute)
	over := incident.Alert{DeliveryID: "delivery-2", Incident: &warning, Attempt: 1, Update: true}
	var ds []incident.Delivery
	for _, name := range []string{"oom_container", "kill_stop_timeout", "crash_signal"} {
		ds = append(ds, incident.Delivery{ID: name, Incident: cases()[name]})
	}
	storm := incident.NewDigest(ds, "x", 0)
	for _, s := range sinks(t) {
		if s.name == "exec" || s.name == "webhook" || s.name == "syslog" || s.name == "stdout" {
			continue // the bare JSON, and what holds the time of day or has golden files already
		}
		if m, ok := s.n.(*Alertmanager); ok {
			m.p.now = func() time.Time { return own.Incident.Time.Add(time.Second) }
		}
		var out bytes.Buffer
		show := func(what string) {
			for _, b := range s.sent() {
				out.WriteString("--- " + what + "\n")
				var pretty bytes.Buffer
				if json.Indent(&pretty, b, "", " ") != nil {
					pretty.Reset()
					pretty.WriteString(strings.NewReplacer("\x00", ".").Replace(strings.ToValidUTF8(string(b), ".")))
				}
				out.Write(bytes.TrimRight(pretty.Bytes(), "\n"))
				out.WriteString("\n")
			}
		}
		if err := s.n.Notify(t.Context(), own); err != nil {
			t.Fatal(err)
		}
		show("an OOM kill")
		if err := s.n.Notify(t.Context(), over); err != nil {
			t.Fatal(err)
		}
		show("a warning that is over")
		if send := s.n.Traits().Digest; send != nil {
			if err := send(t.Context(), "delivery-3", storm); err != nil {
				t.Fatal(err)
			}
			show("a storm")
		}
		golden(t, "views/"+strings.ReplaceAll(s.name, " ", "_")+".txt", out.Bytes())
	}
}

// TestAnyInputFits: whatever an incident holds, wherever, every message keeps the
// rules of the receiver that it is for.
func TestAnyInputFits(t *testing.T) {
	texts := rapid.OneOf(
		rapid.String(),
		rapid.SampledFrom([]string{"", " ", "\n", "`", "```", "*a*", "_a_", "<!here>", "&", "&amp;", "@", ":a:", "\\", "{{", "[a](b)", "://", "]", `"`, "中", "\u202e", "\xff"}),
		rapid.Custom(func(t *rapid.T) string {
			return strings.Repeat(rapid.StringN(1, 8, -1).Draw(t, "unit"), rapid.IntRange(1, 800).Draw(t, "times"))
		}),
	)
	all := sinks(t)
	rapid.Check(t, func(rt *rapid.T) {
		inc := &incident.Incident{Schema: incident.Schema, Kind: rapid.SampledFrom([]incident.Kind{incident.KindDeath, incident.KindKill, incident.KindWarning, incident.KindHost}).Draw(rt, "kind"),
			Severity: rapid.SampledFrom([]incident.Severity{incident.Critical, incident.Warning, incident.Info}).Draw(rt, "severity"),
			Cause:    incident.Causes[rapid.IntRange(0, len(incident.Causes)-1).Draw(rt, "cause")].Code, Confidence: incident.Likely, Count: rapid.IntRange(-1, 1e9).Draw(rt, "count")}
		seed := rapid.Uint64().Draw(rt, "seed")
		pool := rapid.SliceOfN(texts, 1, 6).Draw(rt, "texts")
		some(reflect.ValueOf(inc).Elem(), rand.New(rand.NewPCG(seed, 1)), pool)
		a := incident.Alert{DeliveryID: "d", Incident: inc, Attempt: 1, Repeat: rapid.Bool().Draw(rt, "repeat"), Update: rapid.Bool().Draw(rt, "update")}
		for i := range all {
			// A program is slow, and there is nothing to tell Alertmanager of what
			// was nothing bad and never told.
			if n := all[i].name; n != "exec" && (n != "alertmanager" || inc.Cause != incident.ExitOK) {
				tell(rt, &all[i], a)
			}
		}
	})
}

// some fills some of a value's parts from a pool of texts, at random.
func some(v reflect.Value, r *rand.Rand, pool []string) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(pool[r.IntN(len(pool))])
	case reflect.Pointer:
		if r.IntN(4) > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			some(v.Elem(), r, pool)
		}
	case reflect.Slice:
		n := []int{0, 0, 1, 2, 4, 30}[r.IntN(6)]
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			some(v.Index(i), r, pool)
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			if r.IntN(3) > 0 {
				v.Set(reflect.ValueOf(time.Unix(r.Int64N(4e9), 0)))
			}
			return
		}
		for i := range v.NumField() {
			if !ours[v.Type().Field(i).Name] && v.Type().Field(i).Name != "Count" {
				some(v.Field(i), r, pool)
			}
		}
	case reflect.Int, reflect.Int64:
		v.SetInt([]int64{0, 1, -1, 64 << 20, 1 << 62, -1 << 62}[r.IntN(6)])
	case reflect.Float64:
		v.SetFloat([]float64{0, 1.5, -1, 1e300}[r.IntN(4)])
	case reflect.Bool:
		v.SetBool(r.IntN(2) == 0)
	}
}
