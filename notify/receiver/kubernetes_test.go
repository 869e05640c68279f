package receiver

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/incident"
)

var camelCase = regexp.MustCompile(`^[A-Z][A-Za-z0-9]{2,127}$`)

// checkKubernetes holds an event against k8s.io/kubernetes's pkg/apis/core/validation
// (events.go) and what a name may be.
func checkKubernetes(t checker, what string, body []byte) {
	t.Helper()
	m := decode(t, what, body)
	if !camelCase.MatchString(length(t, what+": reason", m["reason"], 1, 128)) || m["type"] != "Normal" && m["type"] != "Warning" {
		t.Errorf("%s: reason %v, type %v", what, m["reason"], m["type"])
	}
	if s := length(t, what+": message", m["message"], 1, 1024); len(s) > 1024 {
		t.Errorf("%s: a message of %d bytes", what, len(s))
	}
	allStrings(m, func(key, s string) { safe(t, what+": "+key, s) })
	if m["metadata"] == nil { // it brings one up to date
		only(t, what, m, "reason", "message", "type", "count")
		return
	}
	only(t, what, m, "apiVersion", "kind", "metadata", "involvedObject", "reason", "message", "type", "source", "firstTimestamp", "lastTimestamp", "count",
		"reportingComponent", "reportingInstance")
	meta, object := m["metadata"].(map[string]any), m["involvedObject"].(map[string]any)
	only(t, what, object, "apiVersion", "kind", "namespace", "name", "uid", "fieldPath")
	name, namespace := length(t, what+": name", meta["name"], 18, 253), length(t, what+": namespace", meta["namespace"], 1, 63)
	if !kubeName().MatchString(name) || !kubeName().MatchString(namespace) || !kubeName().MatchString(length(t, what+": object", object["name"], 1, 253)) {
		t.Errorf("%s: the event %q in %q of %q", what, name, namespace, object["name"])
	}
	switch kind := object["kind"]; {
	case kind == "Pod" && object["namespace"] != namespace, kind == "Node" && (object["namespace"] != nil || namespace != "default"), kind != "Pod" && kind != "Node":
		t.Errorf("%s: an event of %v %v in %s", what, kind, object["namespace"], namespace)
	}
	for _, k := range []string{"firstTimestamp", "lastTimestamp"} {
		if _, err := time.Parse(time.RFC3339, length(t, what+": "+k, m[k], 20, 30)); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// podAlert is an incident of a pod's container.
func podAlert(kind incident.Kind, cause incident.Cause, memcg string) incident.Alert {
	a := alertOf("k-" + string(kind) + "-" + string(cause))
	a.Incident.Kind, a.Incident.Cause, a.Incident.Time = kind, cause, at("2026-11-21T07:56:40.848Z")
	a.Incident.Host = &incident.Host{Name: "node-7"}
	a.Incident.Advice = []string{"Set resources.limits.memory: 48Mi."}
	a.Incident.Container = &incident.Container{ID: strings.Repeat("4fd21a9b", 8), Name: "main",
		Pod: &incident.Pod{Namespace: "shop", Name: "web-7d4b9c6f5d-x2x7q", UID: "6f248fdc-ca22-4832-bc89-4be09a61aeaf"}}
	if memcg != "" {
		a.Incident.OOM = &incident.OOM{OOMMemcg: memcg}
	}
	return a
}

// TestKubernetesReasons gives each cause a reason, and tells whose limit it was.
func TestKubernetesReasons(t *testing.T) {
	const pod = "/kubepods/burstable/pod6f248fdc-ca22-4832-bc89-4be09a61aeaf"
	const slice = "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod6f248fdc_ca22_4832_bc89_4be09a61aeaf.slice"
	for _, tt := range []struct {
		a    incident.Alert
		want string
	}{
		{podAlert(incident.KindDeath, incident.OOMContainer, pod+"/4fd2"), "OOMKilled"},
		{podAlert(incident.KindKill, incident.OOMContainer, pod+"/4fd2"), "OOMKilledChild"},
		{podAlert(incident.KindDeath, incident.OOMAncestor, pod), "OOMKilledByPodLimit"},
		{podAlert(incident.KindKill, incident.OOMAncestor, slice), "OOMKilledChildByPodLimit"},
		{podAlert(incident.KindDeath, incident.OOMAncestor, "/kubepods/burstable"), "OOMKilledByParentLimit"},
		{podAlert(incident.KindDeath, incident.OOMHost, ""), "OOMKilledByNode"},
		{podAlert(incident.KindDeath, incident.OOMNode, ""), "OOMKilledByCpuset"},
		{podAlert(incident.KindDeath, incident.KillStopTimeout, ""), "StopTimeout"},
		{podAlert(incident.KindDeath, incident.KillProcess, ""), "KilledByProcess"},
	} {
		if got := kubeReason(tt.a.Incident); got != tt.want {
			t.Errorf("%s %s: %s, want %s", tt.a.Incident.Kind, tt.a.Incident.Cause, got, tt.want)
		}
	}
	seen := map[string]incident.Cause{}
	for _, c := range incident.Causes {
		r := kubeReason(podAlert(incident.KindDeath, c.Code, "").Incident)
		if other, twice := seen[r]; twice || !camelCase.MatchString(r) {
			t.Errorf("%s: the reason %q, as %s", c.Code, r, other)
		}
		seen[r] = c.Code
	}
	w := podAlert(incident.KindWarning, incident.OOMContainer, "")
	w.Incident.Warning = &incident.WarningFacts{What: "restart_loop"}
	if got := kubeReason(w.Incident); got != "RestartLoop" {
		t.Errorf("a warning: %s", got)
	}
}

// apiServer answers as an API server does of the events that it was given.
type apiServer struct {
	events map[string]map[string]any
	asked  []string
	tokens []string
}

func (s *apiServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.asked = append(s.asked, r.Method+" "+r.URL.Path+" "+r.Header.Get("Content-Type"))
	s.tokens = append(s.tokens, r.Header.Get("Authorization"))
	var e map[string]any
	if b, err := io.ReadAll(r.Body); err != nil || json.Unmarshal(b, &e) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	name := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
	switch {
	case r.Method == http.MethodPatch && s.events[name] == nil:
		w.WriteHeader(http.StatusNotFound)
	case r.Method == http.MethodPatch:
		for k, v := range e {
			s.events[name][k] = v
		}
	default:
		name = e["metadata"].(map[string]any)["name"].(string)
		if s.events[name] != nil {
			w.WriteHeader(http.StatusConflict)
			return
		}
		s.events[name] = e
		w.WriteHeader(http.StatusCreated)
	}
}

// TestKubernetesEvents creates an event, repeats it, updates it, and makes it anew where
// the API server has forgotten it; the token is read for each request.
func TestKubernetesEvents(t *testing.T) {
	api := &apiServer{events: map[string]map[string]any{}}
	srv := httptest.NewServer(api)
	defer srv.Close()
	token := filepath.Join(t.TempDir(), "token")
	write := func(s string) {
		t.Helper()
		if err := os.WriteFile(token, []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("first\n")
	k, err := NewKubernetes(KubernetesOptions{HTTPOptions: HTTPOptions{URL: srv.URL}, TokenFile: token})
	if err != nil {
		t.Fatal(err)
	}
	defer k.Traits().Close()
	a := podAlert(incident.KindDeath, incident.KillUnknown, "")
	tell := func() {
		t.Helper()
		if err := k.Notify(t.Context(), a); err != nil {
			t.Fatal(err)
		}
	}
	tell()
	write("second")
	a.Repeat = true
	tell()
	a.Repeat, a.Update, a.Incident.Cause, a.Incident.Summary = false, true, incident.KillProcess, "web was killed by pid 7 (monit)"
	tell()
	if len(api.events) != 1 {
		t.Fatalf("%d events", len(api.events))
	}
	for _, e := range api.events {
		if object := e["involvedObject"].(map[string]any); e["reason"] != "KilledByProcess" || !strings.Contains(e["message"].(string), "monit") ||
			object["fieldPath"] != "spec.containers{main}" || object["uid"] != a.Incident.Container.Pod.UID {
			t.Errorf("the event is %v", e)
		}
	}
	clear(api.events)
	tell()
	const events, json, patch = "/api/v1/namespaces/shop/events", " application/json", " application/merge-patch+json"
	name := "/" + eventOf(a, time.Now()).Metadata.Name
	want := []string{"POST " + events + json, "POST " + events + json, "PATCH " + events + name + patch, "PATCH " + events + name + patch, "PATCH " + events + name + patch, "POST " + events + json}
	if !slices.Equal(api.asked, want) {
		t.Errorf("asked:\n%s\nwant:\n%s", strings.Join(api.asked, "\n"), strings.Join(want, "\n"))
	}
	if api.tokens[0] != "Bearer first" || api.tokens[1] != "Bearer second" {
		t.Errorf("tokens %q", api.tokens)
	}
}

// TestKubernetesInAPod finds the API server by a pod's environment, and says what is
// missing elsewhere.
func TestKubernetesInAPod(t *testing.T) {
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	if _, err := NewKubernetes(KubernetesOptions{}); err == nil || !strings.Contains(err.Error(), "KUBERNETES_SERVICE_HOST") {
		t.Errorf("outside of a pod: %v", err)
	}
	t.Setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
	t.Setenv("KUBERNETES_SERVICE_PORT", "6443")
	k, err := NewKubernetes(KubernetesOptions{TokenFile: filepath.Join(t.TempDir(), "none")})
	if err != nil || k.p.url != "https://[fd00::1]:6443/api/v1/namespaces" {
		t.Fatalf("in a pod: %v", err)
	}
	if err := k.Notify(t.Context(), podAlert(incident.KindDeath, incident.OOMContainer, "")); err == nil || verdict(err) != "again" {
		t.Errorf("without a token: %v", err)
	}
}

// TestKubernetesDigest keeps the events of a storm few: one for each container and cause,
// the rest as one on the node. Their counts are all that happened, a repeat adds none, and
// what the API server refuses is in the rest.
func TestKubernetesDigest(t *testing.T) {
	api := &apiServer{events: map[string]map[string]any{}}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/namespaces/gone/") {
			w.WriteHeader(http.StatusForbidden) // a namespace that is being deleted
			return
		}
		api.ServeHTTP(w, r)
	}))
	defer srv.Close()
	k, err := NewKubernetes(KubernetesOptions{HTTPOptions: HTTPOptions{URL: srv.URL}, Token: "token"})
	if err != nil {
		t.Fatal(err)
	}
	defer k.Traits().Close()
	var all []incident.Delivery
	add := func(namespace, pod string, times int) {
		for i := range times {
			a := podAlert(incident.KindDeath, incident.OOMContainer, "")
			c := *a.Incident.Container
			c.ID, c.Pod = fmt.Sprintf("%s-%d", pod, i), &incident.Pod{Namespace: namespace, Name: pod, UID: "uid-" + pod}
			a.Incident.Container, a.Incident.ID, a.Incident.Summary = &c, fmt.Sprintf("%s-%s-%d", namespace, pod, i), pod+" was OOM-killed"
			all = append(all, incident.Delivery{Incident: a.Incident})
		}
	}
	add("gone", "leaving-0", 1)
	for i := range 200 {
		add("shop", fmt.Sprintf("web-%d", i), 1)
	}
	add("shop", "loop-0", 50)
	d := incident.NewDigest(all, "describe-pod", 0)
	for range 2 {
		if err := k.Traits().Digest(t.Context(), "batch-1", d); err != nil {
			t.Fatal(err)
		}
	}
	sum, nodes := 0, 0
	for name, e := range api.events {
		body, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		checkKubernetes(t, name, body)
		sum += int(e["count"].(float64))
		if e["involvedObject"].(map[string]any)["kind"] == "Node" {
			nodes++
			if e["reason"] != "ManyIncidents" {
				t.Errorf("on the node: %v", e)
			}
		}
	}
	if len(api.events) > maxKubeDigest+1 || sum != 251 || nodes != 1 {
		t.Errorf("%d events of %d incidents, %d on the node", len(api.events), sum, nodes)
	}
}
