package incident

import (
	"strings"
	"testing"
	"time"
)

// TestDeliveryIDs pins the ids: a receiver drops repeats by them, also after an upgrade.
func TestDeliveryIDs(t *testing.T) {
	first := DeliveryID("", "dwvqkp6eidjbqksg", "slack")
	if first != "7508be51-ffa2-5399-a629-cc91f3cd0b54" {
		t.Errorf("first %s", first)
	}
	if UpdateID("", "dwvqkp6eidjbqksg", 0, "slack") != first {
		t.Error("update 0 is the first word")
	}
	seen := map[string]bool{first: true}
	for _, id := range []string{UpdateID("", "dwvqkp6eidjbqksg", 1, "slack"), UpdateID("", "dwvqkp6eidjbqksg", 2, "slack"),
		UpdateID("", "dwvqkp6eidjbqksg", 1, "hook"), DeliveryID("", "dwvqkp6eidjbqksg/1slac", "k"),
		DeliveryID("node-1", "dwvqkp6eidjbqksg", "slack"), DeliveryID("node-2", "dwvqkp6eidjbqksg", "slack"), DeliveryID("node-", "2dwvqkp6eidjbqksg", "slack")} {
		if seen[id] {
			t.Errorf("%s is taken twice", id)
		}
		seen[id] = true
	}
}

func TestKey(t *testing.T) {
	of := func(f func(*Incident)) string {
		i := &Incident{Kind: KindDeath, Cause: OOMContainer, Container: &Container{ID: "aaaa", Name: "shop-web-1"}}
		f(i)
		return i.Key()
	}
	plain := of(func(*Incident) {})
	for name, tt := range map[string]struct {
		change func(*Incident)
		same   bool
	}{
		"created anew":  {func(i *Incident) { i.Container.ID = "bbbb" }, true},
		"another cause": {func(i *Incident) { i.Cause = ExitError }, false},
		"another kind":  {func(i *Incident) { i.Kind = KindKill }, false},
		"another name":  {func(i *Incident) { i.Container.Name = "shop-web-2" }, false},
		"a service":     {func(i *Incident) { i.Container.Compose = &Compose{Project: "shop", Service: "web"} }, false},
		"the host":      {func(i *Incident) { i.Container = nil }, false},
		"a warning":     {func(i *Incident) { i.Kind, i.Warning = KindWarning, &WarningFacts{What: "headroom"} }, false},
	} {
		if got := of(tt.change); (got == plain) != tt.same {
			t.Errorf("%s: %q against %q", name, got, plain)
		}
	}
	a := of(func(i *Incident) { i.Container.Compose = &Compose{Project: "shop", Service: "web"} })
	b := of(func(i *Incident) {
		i.Container = &Container{ID: "cccc", Name: "shop-web-2", Compose: &Compose{Project: "shop", Service: "web"}}
	})
	if a != b {
		t.Errorf("two containers of a service: %q and %q", a, b)
	}
}

func TestNews(t *testing.T) {
	i := &Incident{Cause: OOMContainer, Confidence: Likely, Summary: "a", Count: 1}
	was := i.News()
	if i.Summary, i.Count = "b", 2; i.News() != was {
		t.Error("new numbers are no news")
	}
	i.Container = &Container{ID: "aaaa"}
	if i.News() == was {
		t.Error("that it was in a container is news")
	}
	was = i.News()
	if i.Container.ExitCode, i.Container.FinishedAt = new(137), time.Unix(2, 0); i.News() != was {
		t.Error("the end of what was told as dead is no news")
	}
	if i.Container.ID = "bbbb"; i.News() == was {
		t.Error("that it was in another container is news")
	}
	was = i.News()
	if i.Confidence = Certain; i.News() == was {
		t.Error("to be sure now is news")
	}
	was = i.News()
	if i.ResolvedAt = time.Unix(1, 0); i.News() == was {
		t.Error("that it is over is news")
	}
}

func TestDeliveryIDIsAUUID(t *testing.T) {
	a, b := DeliveryID("", "i1", "slack"), DeliveryID("", "i1", "webhook")
	if a == b || a != DeliveryID("", "i1", "slack") || DeliveryID("", "i1s", "lack") == a {
		t.Errorf("ids are not one per pair: %s %s", a, b)
	}
	if len(a) != 36 || a[14] != '5' || !strings.ContainsRune("89ab", rune(a[19])) {
		t.Errorf("%s is no UUID of version 5", a)
	}
}
