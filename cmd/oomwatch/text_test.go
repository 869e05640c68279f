package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/oomwatch/oomwatch/incident"
)

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

func ids(list []*incident.Incident) string {
	var out []string
	for _, i := range list {
		out = append(out, i.ID)
	}
	return strings.Join(out, " ")
}
