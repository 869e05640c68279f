package store

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oomwatch/oomwatch/incident"
)

func TestSilencesOutliveARestart(t *testing.T) {
	p := path(t)
	s := open(t, p)
	a := incident.Silence{ID: "a", From: t0, Until: t0.Add(time.Hour), Reason: "deploy", Match: incident.Match{Containers: []string{"web-*"}}}
	b := incident.Silence{ID: "b", From: t0, Until: t0.Add(time.Minute), Reason: "move", By: "uid 0"}
	for _, x := range []incident.Silence{a, b} {
		if err := s.PutSilence(ctx, x); err != nil {
			t.Fatal(err)
		}
	}
	s.Close()
	s = open(t, p)
	got, err := s.Silences(ctx, t0)
	if d := cmp.Diff([]incident.Silence{b, a}, got); d != "" || err != nil {
		t.Error(d, err)
	}
	a.Until = t0 // it is ended
	if err := s.PutSilence(ctx, a); err != nil {
		t.Fatal(err)
	}
	if got, err = s.Silences(ctx, t0); err != nil || len(got) != 1 || got[0].ID != "b" {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := s.prune(ctx, time.Now()); err != nil {
		t.Fatal(err)
	}
	if got, err = s.Silences(ctx, time.Time{}); err != nil || len(got) != 0 {
		t.Errorf("long after: %v, %v", got, err)
	}
}
