package explain

import (
	"slices"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/incident"
)

func named(name, project, service string, at int) *incident.Incident {
	return &incident.Incident{ID: name + project, Kind: incident.KindDeath, Time: time.Unix(int64(at), 0),
		Container: &incident.Container{ID: "c0ffee" + name + project, Name: name, Compose: &incident.Compose{Project: project, Service: service}}}
}

func TestChoicesAndNear(t *testing.T) {
	list := []*incident.Incident{named("shop-web-1", "shop", "web", 1), named("blog-web-1", "blog", "web", 2), named("shop-web-1", "shop", "web", 3),
		named("blog-db-1", "blog", "db", 4),
		{ID: "pod", Kind: incident.KindKill, Time: time.Unix(5, 0), Container: &incident.Container{ID: "d0d0d0", Name: "api", Pod: &incident.Pod{Namespace: "prod", Name: "api-7f9c"}}}}
	for word, want := range map[string][]string{
		"web":        {"shop-web-1", "blog-web-1"}, // the newest first
		"shop/web":   nil,
		"blog-web-1": nil,
		"":           nil,
		"api-7f9c":   nil,
		"c0ff":       {"blog-db-1", "shop-web-1", "blog-web-1"},
	} {
		if got := Choices(list, word); !slices.Equal(got, want) {
			t.Errorf("%s stands for %q, want %q", word, got, want)
		}
	}
	for word, want := range map[string]string{"shop-wbe-1": "shop-web-1", "Shop/Web": "shop/web", "prod": "prod/api-7f9c", "api-7f9": "api-7f9c", "blogdb1": "blog-db-1"} {
		if got := Near(list, word); len(got) == 0 || got[0] != want {
			t.Errorf("near %s are %q, want %q first", word, got, want)
		}
	}
	for _, word := range []string{"postgres", "x", "zz"} {
		if got := Near(list, word); got != nil {
			t.Errorf("near %s are %q", word, got)
		}
	}
}

// Each name by which something is called finds its newest incident, be it an old death or
// a newer kill in a container that lives.
func TestPickNewest(t *testing.T) {
	old := named("shop-web-1", "shop", "web", 1)
	kill := named("shop-web-1", "shop", "web", 100)
	kill.ID, kill.Kind, kill.Container.ID = "kill", incident.KindKill, "beef00"
	swarm := &incident.Incident{ID: "task", Kind: incident.KindDeath, Time: time.Unix(50, 0), Container: &incident.Container{ID: "abcdef123456", Name: "api.2.x7y8z9",
		Labels: map[string]string{"com.docker.swarm.service.name": "api"}}}
	list := []*incident.Incident{old, swarm, kill}
	for word, want := range map[string]string{"shop-web-1": "kill", "web": "kill", "shop/web": "kill", "c0ff": old.ID, "api": "task", "api#2": "task", "": "kill"} {
		if got := Pick(list, word, false); len(got) != 1 || got[0].ID != want {
			t.Errorf("%q is answered with %v, want %s", word, got, want)
		}
	}
}
