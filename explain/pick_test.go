package explain

import (
	"strings"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/correlate"
	"github.com/oomwatch/oomwatch/incident"
)

func at(sec int64, id string, kind incident.Kind, c *incident.Container) *incident.Incident {
	return &incident.Incident{ID: id, Kind: kind, Time: time.Unix(sec, 0), Container: c}
}

func ids(list []*incident.Incident) string {
	var out []string
	for _, i := range list {
		out = append(out, i.ID)
	}
	return strings.Join(out, " ")
}

func TestPick(t *testing.T) {
	hex := strings.Repeat("ab", 32)
	web := &incident.Container{ID: hex, Name: "web", Compose: &incident.Compose{Service: "front"}, OuterID: "beef" + hex[:60]}
	pod := &incident.Container{ID: strings.Repeat("c", 64), Pod: &incident.Pod{UID: "u-1", Name: "pod-1"}}
	unit := at(40, "host1", incident.KindHost, nil)
	unit.Unit = "nginx.service"
	job := &incident.Container{ID: strings.Repeat("d", 64), Name: "stack_api.1.x", Labels: map[string]string{"com.docker.swarm.service.name": "stack_api"},
		Compose: &incident.Compose{Project: "shop", Service: "api"}}
	name := &incident.Container{ID: strings.Repeat("e", 64), Name: "cart", Pod: &incident.Pod{Namespace: "ns", Name: "cart-1"}}
	list := []*incident.Incident{
		at(30, "death2", incident.KindDeath, web), at(10, "death1", incident.KindDeath, web), at(33, "kill1", incident.KindKill, web),
		at(5, "pkill", incident.KindKill, pod), unit,
		at(1, "swarm1", incident.KindDeath, job), at(4, "swarm2", incident.KindKill, name), at(12, "swarm3", incident.KindKill, job), at(13, "warn", incident.KindWarning, job),
	}
	for _, tt := range []struct {
		what string
		all  bool
		want string
	}{
		{"", false, "host1"},
		{"", true, "swarm1 swarm2 pkill death1 swarm3 warn death2 kill1 host1"},
		{"web", false, "death2"},
		{"/web", false, "death2"},
		{"web", true, "death1 death2 kill1"},
		{"front", false, "death2"},
		{hex[:12], false, "death2"},
		{hex, false, "death2"},
		{"beef", false, "death2"},
		{"aba", false, ""}, // too short for an id
		{"we", false, ""},
		{"kill1", false, "kill1"},
		{"pod-1", false, "pkill"},
		{"u-1", false, "pkill"},
		{"nginx", false, "host1"},
		{"nginx.service", false, "host1"},
		{"stack_api", false, "swarm3"}, // a kill that is newer than an old death
		{"shop/api", false, "swarm3"},
		{"ns/cart-1", false, "swarm2"},
		{"ns/cart-1/cart", false, "swarm2"},
		{"nothing", true, ""},
	} {
		if got := ids(Pick(list, tt.what, tt.all)); got != tt.want {
			t.Errorf("Pick(%q, all %v) = %q, want %q", tt.what, tt.all, got, tt.want)
		}
	}
	if got := ids(Pick(list[2:], "", false)); got != "host1" {
		t.Errorf("without a death: %q", got)
	}
}

func TestMergeKeepsWhatIsKept(t *testing.T) {
	kept, seen := at(1, "a", incident.KindDeath, nil), at(1, "a", incident.KindDeath, nil)
	kept.Summary = "knew more"
	got := Merge([]*incident.Incident{kept}, []*incident.Incident{seen, at(2, "b", incident.KindDeath, nil)})
	if ids(got) != "a b" || got[0].Summary != "knew more" {
		t.Errorf("%q, %q", ids(got), got[0].Summary)
	}
}

func TestLatestTellsOnce(t *testing.T) {
	first, second := at(1, "a", incident.KindDeath, nil), at(1, "a", incident.KindDeath, nil)
	second.Summary = "more is known"
	got := latest([]correlate.Emission{{Incident: first}, {Incident: at(2, "b", incident.KindKill, nil)}, {Incident: second, Update: true}})
	if ids(got) != "a b" || got[0].Summary != "more is known" {
		t.Errorf("%q, %q", ids(got), got[0].Summary)
	}
}
