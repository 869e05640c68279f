package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/watcher"
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
	list := []*incident.Incident{
		at(30, "death2", incident.KindDeath, web), at(10, "death1", incident.KindDeath, web), at(35, "kill1", incident.KindKill, web),
		at(5, "pkill", incident.KindKill, pod), unit,
	}
	for _, tt := range []struct {
		what string
		all  bool
		want string
	}{
		{"", false, "death2"},
		{"", true, "pkill death1 death2 kill1 host1"},
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
		{"nothing", true, ""},
	} {
		if got := ids(pick(list, tt.what, tt.all)); got != tt.want {
			t.Errorf("pick(%q, all %v) = %q, want %q", tt.what, tt.all, got, tt.want)
		}
	}
	if got := ids(pick(list[2:], "", false)); got != "host1" {
		t.Errorf("without a death: %q", got)
	}
}

func TestMergeKeepsWhatIsKept(t *testing.T) {
	kept, seen := at(1, "a", incident.KindDeath, nil), at(1, "a", incident.KindDeath, nil)
	kept.Summary = "knew more"
	got := merge([]*incident.Incident{kept}, []*incident.Incident{seen, at(2, "b", incident.KindDeath, nil)})
	if ids(got) != "a b" || got[0].Summary != "knew more" {
		t.Errorf("%q, %q", ids(got), got[0].Summary)
	}
}

func TestLatestTellsOnce(t *testing.T) {
	first, second := at(1, "a", incident.KindDeath, nil), at(1, "a", incident.KindDeath, nil)
	second.Summary = "more is known"
	got := latest([]watcher.Told{{Incident: first}, {Incident: at(2, "b", incident.KindKill, nil)}, {Incident: second, Update: true}})
	if ids(got) != "a b" || got[0].Summary != "more is known" {
		t.Errorf("%q, %q", ids(got), got[0].Summary)
	}
}

func TestWrap(t *testing.T) {
	got := wrap("one two  three\nfour averyverylongword end", 9)
	want := []string{"one two", "three", "four", "averyverylongword", "end"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got := wrap("", 9); got != nil {
		t.Errorf("of nothing: %q", got)
	}
}

func TestSinceTime(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.Local)
	for in, want := range map[string]time.Time{
		"24h": now.Add(-24 * time.Hour), "7d": now.Add(-7 * 24 * time.Hour),
		"2026-11-20": time.Date(2026, 11, 20, 0, 0, 0, 0, time.Local), "2026-11-20 07:08": time.Date(2026, 11, 20, 7, 8, 0, 0, time.Local),
		"2026-11-20T07:08:09Z": time.Date(2026, 11, 20, 7, 8, 9, 0, time.UTC),
	} {
		var s sinceTime
		if err := s.UnmarshalText([]byte(in)); err != nil || !s.from(now).Equal(want) {
			t.Errorf("%q: %v, %v, want %v", in, s.from(now), err, want)
		}
	}
	if err := new(sinceTime).UnmarshalText([]byte("yesterday")); err == nil {
		t.Error("yesterday was taken")
	}
}

func TestProgress(t *testing.T) {
	var b strings.Builder
	clock := time.Unix(0, 0)
	p := &progress{w: &b, began: clock, now: func() time.Time { return clock }}
	p.at(1<<20, 4<<20)
	if b.Len() > 0 {
		t.Errorf("a short file is drawn: %q", b.String())
	}
	p.clear()
	if b.Len() > 0 {
		t.Errorf("nothing drawn is cleared: %q", b.String())
	}
	clock = clock.Add(time.Second)
	p.at(1<<20, 4<<20)
	if !strings.Contains(b.String(), " 25 %  1 MiB of 4 MiB") {
		t.Errorf("drawn: %q", b.String())
	}
	n := b.Len()
	p.at(2<<20, 4<<20)
	if b.Len() != n {
		t.Errorf("drawn again at once: %q", b.String())
	}
	clock = clock.Add(time.Second)
	p.at(3<<20, 0)
	if !strings.HasSuffix(b.String(), "read 3 MiB") {
		t.Errorf("of unknown length: %q", b.String())
	}
	p.clear()
	if !strings.HasSuffix(b.String(), "\r\x1b[K") {
		t.Errorf("not cleared: %q", b.String())
	}
	newProgress(&b).at(1, 2) // not a terminal: draws nothing, and does not fall over
}
