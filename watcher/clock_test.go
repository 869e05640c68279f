package watcher

import (
	"testing"
	"time"
)

// TestClockWatch: only a set-back of seconds is one; how far it went is exact.
func TestClockWatch(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var c clockWatch
	var mono time.Duration
	for _, x := range []struct {
		name         string
		passes, step time.Duration
		want         time.Duration
	}{
		{name: "the first look", step: -time.Hour},
		{name: "time passes", passes: 2 * time.Second},
		{name: "an hour back", passes: time.Second, step: -time.Hour, want: time.Hour},
		{name: "not twice", passes: time.Second},
		{name: "a leap second", passes: time.Second, step: -time.Second},
		{name: "an hour on, or asleep", passes: time.Second, step: time.Hour},
		{name: "two hours back", passes: 10 * time.Millisecond, step: -2 * time.Hour, want: 2 * time.Hour},
		{name: "slewed for a day", passes: 24 * time.Hour, step: -500 * time.Millisecond},
		{name: "five seconds back", passes: time.Second, step: -5 * time.Second, want: 5 * time.Second},
	} {
		before := at
		mono += x.passes
		at = at.Add(x.passes + x.step)
		got := c.look(at, mono)
		switch {
		case got == nil && x.want == 0:
		case got == nil || got.By != x.want:
			t.Errorf("%s: %+v, want %v", x.name, got, x.want)
		case !got.After.Equal(before.Add(-x.want)):
			t.Errorf("%s: after %v, want %v", x.name, got.After, before.Add(-x.want))
		}
	}
}
