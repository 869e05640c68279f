package incident

import (
	"strings"
	"testing"
)

func TestGlob(t *testing.T) {
	for _, tt := range []struct {
		pattern, s string
		want       bool
	}{
		{"web", "web", true}, {"web", "web-1", false}, {"web*", "web-1", true}, {"*", "", true}, {"", "", true}, {"?", "", false},
		{"*-1", "shop-web-1", true}, {"w?b", "wäb", true}, {"a*b*c", "axxbyyc", true}, {"a*b*c", "axxbyy", false},
		{"*.*", "a.b", true}, {"[a]", "a", false}, {"[a]", "[a]", true}, {"a.c", "abc", false}, {"**", "x", true},
		{strings.Repeat("*a", 50), strings.Repeat("a", 5000) + "b", false},
	} {
		if got := Glob(tt.pattern, tt.s); got != tt.want {
			t.Errorf("Glob(%q, %.20q) = %v", tt.pattern, tt.s, got)
		}
	}
}

func TestMatch(t *testing.T) {
	inc := &Incident{Kind: KindDeath, Cause: OOMContainer, Severity: Critical, Host: &Host{Name: "node-7"}, Container: &Container{Name: "shop-web-1",
		Labels: map[string]string{"team": "payments/eu", "empty": ""}, Compose: &Compose{Project: "shop", Service: "web"}}}
	host := &Incident{Kind: KindHost, Cause: OOMHost, Severity: Critical, Host: &Host{Name: "node-7"}}
	for name, tt := range map[string]struct {
		m         Match
		web, host bool
	}{
		"everything":      {Match{}, true, true},
		"cause":           {Match{Causes: []string{"exit.error", "oom.container"}}, true, false},
		"kind":            {Match{Kinds: []string{"host"}}, false, true},
		"severity":        {Match{Severities: []string{"warning"}}, false, false},
		"container":       {Match{Containers: []string{"db", "shop-*"}}, true, false},
		"service":         {Match{Containers: []string{"web"}}, true, false},
		"another":         {Match{Containers: []string{"w"}}, false, false},
		"label":           {Match{Labels: []string{"team=payments*"}}, true, false},
		"any value":       {Match{Labels: []string{"empty"}}, true, false},
		"no value":        {Match{Labels: []string{"team="}}, false, false},
		"both labels":     {Match{Labels: []string{"team", "other"}}, false, false},
		"project":         {Match{Projects: []string{"sh?p"}}, true, false},
		"host":            {Match{Hosts: []string{"node-*"}}, true, true},
		"another host":    {Match{Hosts: []string{"node-1"}}, false, false},
		"all must":        {Match{Causes: []string{"oom.container"}, Projects: []string{"blog"}}, false, false},
		"host and a name": {Match{Hosts: []string{"*"}, Containers: []string{"*"}}, true, false},
	} {
		if got := tt.m.Fits(inc); got != tt.web {
			t.Errorf("%s: the container: %v", name, got)
		}
		if got := tt.m.Fits(host); got != tt.host {
			t.Errorf("%s: the host: %v", name, got)
		}
	}
	for _, m := range []Match{{Causes: []string{"oom"}}, {Kinds: []string{"x"}}, {Severities: []string{"fatal"}}, {Labels: []string{"=x"}},
		{Containers: []string{""}}, {Hosts: []string{strings.Repeat("x", 300)}}, {Projects: strings.Split(strings.Repeat("x,", 200), ",")}} {
		if m.Check() == nil {
			t.Errorf("%+v is accepted", m)
		}
	}
	if ok := (&Match{Causes: []string{"oom.host"}, Kinds: []string{"host"}, Severities: []string{"info"}, Labels: []string{"a=b"}}); ok.Check() != nil || ok.Empty() {
		t.Error(ok.Check())
	}
}
