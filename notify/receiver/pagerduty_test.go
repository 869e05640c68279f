package receiver

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/incident"
)

// TestPagerDutyResolves: what triggers and what resolves have one key, and a
// repeat has the same.
func TestPagerDutyResolves(t *testing.T) {
	var bodies [][]byte
	var paths []string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		bodies, paths = append(bodies, b), append(paths, r.URL.Path)
		w.WriteHeader(http.StatusAccepted)
	}))
	defer srv.Close()
	p, err := NewPagerDuty(PagerDutyOptions{HTTPOptions: HTTPOptions{URL: srv.URL}, Key: canaryKey})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Traits().Close()
	a := incident.Alert{DeliveryID: "d-1", Incident: cases()["oom_container"], Attempt: 1}
	a.Incident.Kind, a.Incident.Severity = incident.KindWarning, incident.Warning
	over := a
	inc := *a.Incident
	inc.ResolvedAt = time.Now()
	over.Incident, over.Update, over.DeliveryID = &inc, true, "d-2"
	back := a
	good := *a.Incident
	good.Kind, good.Cause = incident.KindDeath, incident.ExitOK
	back.Incident, back.Update, back.DeliveryID = &good, true, "d-3"
	for _, one := range []incident.Alert{a, a, over, back} {
		if err := p.Notify(t.Context(), one); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for i, b := range bodies {
		checkPagerDuty(t, "event", b)
		m := decode(t, "event", b)
		got = append(got, paths[i]+" "+m["event_action"].(string)+" "+m["dedup_key"].(string))
	}
	want := "/v2/enqueue trigger oomwatch/d-5f3a9c-own,/v2/enqueue trigger oomwatch/d-5f3a9c-own,/v2/enqueue resolve oomwatch/d-5f3a9c-own,/v2/enqueue resolve oomwatch/d-5f3a9c-own"
	if strings.Join(got, ",") != want {
		t.Errorf("%q", got)
	}
	pay := decode(t, "event", bodies[0])["payload"].(map[string]any)
	for k, v := range map[string]string{"source": "node-7", "severity": "warning", "component": "web", "group": "shop", "class": "oom.container", "timestamp": "2026-11-21T07:56:40.848Z"} {
		if pay[k] != v {
			t.Errorf("%s: %v, want %s", k, pay[k], v)
		}
	}
	if d := pay["custom_details"].(map[string]any); d["Last log lines"] != "listening on :8080\nGET /export 200 18ms\nloading the whole table into memory" || d["More"] != "oomwatch explain d-5f3a9c-own" {
		t.Errorf("details %v", d)
	}
}

func TestPagerDutyKeyIsChecked(t *testing.T) {
	for _, key := range []string{"", canary, canaryKey + "0", strings.Repeat("-", 32)} {
		_, err := NewPagerDuty(PagerDutyOptions{Key: key})
		if err == nil {
			t.Errorf("%q was taken", key)
		}
		hide(t, err)
	}
}
