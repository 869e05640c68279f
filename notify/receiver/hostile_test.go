package receiver

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/test/race"
)

// ours are the fields of an incident that hold our own words or numbers; all
// others take what somebody else has written.
var ours = map[string]bool{"Schema": true, "Kind": true, "Severity": true, "Cause": true, "Confidence": true, "What": true}

// fill puts a text into every string of a value, and makes what is not there:
// a field that is added later is filled, too.
func fill(v reflect.Value, text string) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Pointer:
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		fill(v.Elem(), text)
	case reflect.Slice:
		if v.IsNil() {
			v.Set(reflect.MakeSlice(v.Type(), 3, 3))
		}
		for i := range v.Len() {
			fill(v.Index(i), text)
		}
	case reflect.Map:
		if v.Type().Elem().Kind() == reflect.String {
			v.Set(reflect.MakeMap(v.Type()))
			v.SetMapIndex(reflect.ValueOf(text), reflect.ValueOf(text))
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return
		}
		for i := range v.NumField() {
			if !ours[v.Type().Field(i).Name] {
				fill(v.Field(i), text)
			}
		}
	case reflect.Int64:
		if v.Int() == 0 {
			v.SetInt(64 << 20)
		}
	}
}

// hostileAlerts are alerts of every sort whose every text is the given one.
func hostileAlerts(text string) []incident.Alert {
	now := time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)
	death := &incident.Incident{Schema: incident.Schema, Kind: incident.KindDeath, Time: now, Severity: incident.Critical, Cause: incident.OOMAncestor, Confidence: incident.Likely, Count: 3}
	fill(reflect.ValueOf(death).Elem(), text)
	death.Warning, death.ResolvedAt = nil, time.Time{}
	many := 22
	if len(text) > 4096 {
		many = 5 // it is long enough by itself
	}
	for len(death.LogTail) < many {
		death.LogTail = append(death.LogTail, text)
	}
	for len(death.Processes) < many {
		death.Processes = append(death.Processes, death.Processes[0])
		death.Evidence = append(death.Evidence, death.Evidence[0])
		death.Gaps = append(death.Gaps, death.Gaps[0])
		death.Advice = append(death.Advice, text)
	}
	host := *death
	host.Kind, host.Container = incident.KindHost, nil
	bare := &incident.Incident{Schema: incident.Schema, Kind: incident.KindHost, Severity: incident.Info, Summary: text, Cause: incident.UnknownCause, Confidence: incident.Possible}
	warning := *death
	warning.Kind, warning.Severity = incident.KindWarning, incident.Warning
	warning.Warning = &incident.WarningFacts{What: "forecast", Self: true, Subject: text, Since: now.Add(-time.Hour)}
	over := warning
	over.ResolvedAt = now.Add(time.Minute)
	return []incident.Alert{
		{DeliveryID: "a", Incident: death, Attempt: 1}, {DeliveryID: "b", Incident: &host, Attempt: 2, Repeat: true}, {DeliveryID: "c", Incident: bare, Attempt: 1},
		{DeliveryID: "d", Incident: &warning, Attempt: 1}, {DeliveryID: "e", Incident: &over, Attempt: 1, Update: true},
		{DeliveryID: "f", Incident: death, Attempt: 1, Update: true},
		{DeliveryID: "g", Incident: death, Attempt: 1, Thread: "C1 1.2 4"}, {DeliveryID: "h", Incident: &over, Attempt: 1, Update: true, Thread: "C1 1.2 4"},
	}
}

// hostileDigest is a storm whose every text is the given one.
func hostileDigest(text string) *incident.Digest {
	var ds []incident.Delivery
	few := hostileAlerts(text)[:3]
	for range max(4, min(100, 100_000/max(len(text), 1))) {
		for _, a := range few {
			ds = append(ds, incident.Delivery{Incident: a.Incident})
		}
	}
	d := incident.NewDigest(ds, "x", 0)
	d.Summary += " " + text
	return d
}

// corpus are the texts of testdata/hostile, a file each.
func corpus(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("testdata/hostile/*.txt")
	if err != nil || len(files) < 30 {
		t.Fatalf("%d files: %v", len(files), err)
	}
	out := map[string]string{}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		out[strings.TrimSuffix(filepath.Base(f), ".txt")] = string(b)
	}
	return out
}

// TestHostileText sends every text of the corpus, in every field at once, through
// every receiver, and holds what goes out against the receiver's rules.
func TestHostileText(t *testing.T) {
	all := sinks(t)
	for name, text := range corpus(t) {
		text = text[:min(len(text), race.Or(len(text), 2000))]
		alerts, storm := hostileAlerts(text), hostileDigest(text)
		for _, s := range all {
			t.Run(name+"/"+s.name, func(t *testing.T) {
				for i, a := range alerts[:race.Or(len(alerts), 1)] {
					if i < 2 || s.name != "exec" { // a process each
						tell(t, &s, a)
					}
				}
				if send := s.n.Traits().Digest; send != nil {
					if err := send(t.Context(), "d", storm); err != nil {
						t.Error(err)
					}
					looked(t, &s, "digest")
				}
			})
		}
	}
	if _, err := os.Stat("/tmp/pwned"); err == nil {
		t.Error("a shell has run")
	}
}

func tell(t checker, s *sink, a incident.Alert) {
	t.Helper()
	var err error
	if thread := s.n.Traits().Thread; thread != nil {
		_, err = thread(t.Context(), a)
	} else {
		err = s.n.Notify(t.Context(), a)
	}
	if err != nil {
		t.Errorf("%s: %v", a.DeliveryID, err)
	}
	looked(t, s, "alert "+a.DeliveryID)
}

func looked(t checker, s *sink, what string) {
	t.Helper()
	sent := s.sent()
	if len(sent) == 0 {
		t.Errorf("%s: nothing went out", what)
	}
	for _, body := range sent {
		// A receiver's own secrets are for its address and its headers; PagerDuty's
		// key alone goes into the message.
		if bytes.Contains(bytes.ReplaceAll(body, []byte(`"routing_key":"`+canaryKey+`"`), nil), []byte(canary)) {
			t.Errorf("%s: a secret of the receiver is in the message: %.300s", what, body)
		}
		s.check(t, what, body)
	}
}
