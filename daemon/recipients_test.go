package daemon

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/oomwatch/oomwatch/config"
	"github.com/oomwatch/oomwatch/correlate"
	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/store"
	"github.com/oomwatch/oomwatch/watcher"
)

func TestRouting(t *testing.T) {
	core, logs := observer.New(zap.WarnLevel)
	r := &recipients{log: zap.New(core), unknown: map[string]bool{}, list: []config.Receiver{
		{Name: "all-critical", MinSeverity: "critical"},
		{Name: "shop", Projects: []config.Pattern{"shop*"}},
		{Name: "payments", Labels: []config.LabelPattern{"team=pay*"}, Causes: []config.Cause{"oom.container", "exit.error"}},
		{Name: "web", Containers: []config.Pattern{"web-?"}, Kinds: []config.IncidentKind{"death"}},
		{Name: "node", Hosts: []config.Pattern{"node-*"}, Causes: []config.Cause{"oom.host"}},
		{Name: "rest", Default: true},
	}}
	one := func(f func(*incident.Incident)) *incident.Incident {
		i := &incident.Incident{Kind: incident.KindDeath, Cause: incident.OOMContainer, Severity: incident.Critical,
			Host: &incident.Host{Name: "node-7"}, Container: &incident.Container{Name: "db", Labels: map[string]string{}}}
		f(i)
		return i
	}
	label := func(k, v string) func(*incident.Incident) {
		return func(i *incident.Incident) { i.Container.Labels[k] = v }
	}
	for name, tt := range map[string]struct {
		change func(*incident.Incident)
		want   string
	}{
		"critical":           {func(*incident.Incident) {}, "all-critical"},
		"nobody's":           {func(i *incident.Incident) { i.Severity = incident.Warning }, "rest"},
		"info is off":        {func(i *incident.Incident) { i.Severity = incident.Info }, ""},
		"project":            {func(i *incident.Incident) { i.Container.Compose = &incident.Compose{Project: "shop-eu"} }, "all-critical shop"},
		"label":              {label("team", "payments"), "all-critical payments"},
		"label, other cause": {func(i *incident.Incident) { label("team", "payments")(i); i.Cause = incident.CrashSignal }, "all-critical"},
		"name":               {func(i *incident.Incident) { i.Container.Name, i.Severity = "web-1", incident.Warning }, "web"},
		"name, not a death": {func(i *incident.Incident) {
			i.Container.Name, i.Severity, i.Kind = "web-1", incident.Warning, incident.KindKill
		}, "rest"},
		"host":                {func(i *incident.Incident) { i.Container, i.Cause = nil, incident.OOMHost }, "all-critical node"},
		"picked":              {label(labelReceiver, "web"), "web"},
		"picked two":          {label(labelReceiver, " web , shop,"), "shop web"},
		"picked, wrong cause": {func(i *incident.Incident) { label(labelReceiver, "payments")(i); i.Cause = incident.CrashSignal }, ""},
		"picked, not grave":   {func(i *incident.Incident) { label(labelReceiver, "all-critical")(i); i.Severity = incident.Warning }, ""},
		"picked, unknown":     {label(labelReceiver, "attacker"), "all-critical"},
		"picked, one unknown": {label(labelReceiver, "attacker,web"), "web"},
		"not for the host":    {func(i *incident.Incident) { label(labelReceiver, "web")(i); i.Cause = incident.OOMHost }, "all-critical node"},
	} {
		if got := strings.Join(r.owed(one(tt.change)), " "); got != tt.want {
			t.Errorf("%s: told %q, want %q", name, got, tt.want)
		}
	}
	if n := logs.FilterFieldKey("receiver").Len(); n != 1 {
		t.Errorf("an unknown name is said %d times, want once", n)
	}
	r.info = true
	if got := strings.Join(r.owed(one(func(i *incident.Incident) { i.Severity = incident.Info })), " "); got != "rest" {
		t.Errorf("info: told %q", got)
	}
}

func TestSilences(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "o.db")
	st := openTestStore(t, path)
	now := time.Now()
	s, err := newSilencer(ctx, st, now)
	if err != nil {
		t.Fatal(err)
	}
	web := incident.Match{Containers: []string{"web-*"}}
	for name, x := range map[string]incident.Silence{
		"no matcher":  {Until: now.Add(time.Hour), Reason: "x"},
		"no reason":   {Match: web, Until: now.Add(time.Hour), Reason: " \n"},
		"past":        {Match: web, Until: now, Reason: "x"},
		"too long":    {Match: web, Until: now.AddDate(1, 0, 0), Reason: "x"},
		"bad cause":   {Match: incident.Match{Causes: []string{"oom"}}, Until: now.Add(time.Hour), Reason: "x"},
		"long reason": {Match: web, Until: now.Add(time.Hour), Reason: strings.Repeat("x", 600)},
	} {
		if _, err := s.add(ctx, x, now); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	x, err := s.add(ctx, incident.Silence{Match: web, Until: now.Add(time.Hour), Reason: "deploy\x1b[31m of\nweb", By: "uid 0"}, now)
	if err != nil || strings.ContainsAny(x.Reason, "\n\x1b") {
		t.Fatalf("%+v, %v", x, err)
	}
	// The next run knows it.
	if s, err = newSilencer(ctx, st, now); err != nil {
		t.Fatal(err)
	}
	k := testKeeper(st, s)
	k.recipients.Store(&recipients{list: []config.Receiver{{Name: "hook"}}, log: zap.NewNop(), unknown: map[string]bool{}})
	one := func(id, name string, at time.Time) *incident.Incident {
		return &incident.Incident{ID: id, Cause: incident.OOMContainer, Severity: incident.Critical, Kind: incident.KindDeath, Time: at,
			Container: &incident.Container{ID: id, Name: name, Labels: map[string]string{}}}
	}
	labelled := one("labelled", "db", now)
	labelled.Container.Labels[labelSilence] = "true"
	hostOOM := one("host", "db", now)
	hostOOM.Cause, hostOOM.Container.Labels = incident.OOMHost, labelled.Container.Labels
	self := one("self", "", now)
	self.Container, self.Kind, self.Warning = nil, incident.KindWarning, &incident.WarningFacts{What: "store", Self: true}
	if err := k.Keep(ctx, watcher.Kept{Emissions: []correlate.Emission{{Incident: one("in", "web-1", now.Add(time.Minute))}, {Incident: one("before", "web-1", now.Add(-time.Minute))},
		{Incident: one("other", "db", now)}, {Incident: labelled}, {Incident: hostOOM}, {Incident: self}}}); err != nil {
		t.Fatal(err)
	}
	due, err := st.Due(ctx, "hook", time.Now(), 10)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, d := range due {
		got = append(got, d.Incident.ID)
	}
	if strings.Join(got, " ") != "before other host self" {
		t.Errorf("told %q", got)
	}
	list, err := st.List(ctx, store.Query{})
	if err != nil || len(list) != 6 {
		t.Fatalf("%d kept, %v", len(list), err)
	}
	for _, i := range list {
		want := map[string]string{"in": x.String(), "labelled": "by the container's label oomwatch.silence=true"}[i.ID]
		if i.Silenced != want {
			t.Errorf("%s: silenced %q, want %q", i.ID, i.Silenced, want)
		}
	}
	if _, err := s.expire(ctx, "nope", now); !errors.Is(err, errNoSilence) {
		t.Errorf("an id that is not: %v", err)
	}
	if _, err := s.expire(ctx, x.ID[:3], now.Add(30*time.Minute)); err != nil {
		t.Error(err)
	}
	if got := s.why(one("late", "web-1", now.Add(31*time.Minute)), now.Add(31*time.Minute)); got != "" {
		t.Errorf("after its end: %q", got)
	}
	if got := s.why(one("late", "web-1", now.Add(29*time.Minute)), now.Add(31*time.Minute)); got == "" {
		t.Error("what happened before its end and comes late is told")
	}
	if len(s.active(now.Add(31*time.Minute))) != 0 {
		t.Error("it is still listed")
	}
	// The run that begins after its end says the same of what nobody saw meanwhile.
	if s, err = newSilencer(ctx, st, now.Add(31*time.Minute)); err != nil {
		t.Fatal(err)
	}
	for at, want := range map[time.Duration]bool{29 * time.Minute: true, 31 * time.Minute: false} {
		if got := s.why(one("late", "web-1", now.Add(at)), now.Add(31*time.Minute)); (got != "") != want {
			t.Errorf("after a restart, of what happened after %s: %q", at, got)
		}
	}
	if len(s.active(now.Add(31*time.Minute))) != 0 {
		t.Error("after a restart it is listed")
	}
}
