package render

import (
	"regexp"
	"time"
)

// clock writes a time for a person: this machine's own (TZ), with the offset.
func clock(t time.Time, to time.Duration) string {
	layout := "2006-01-02 15:04:05"
	if to < time.Second {
		layout += ".000"
	}
	t = t.Local()
	if _, offset := t.Zone(); offset == 0 {
		return t.Format(layout + " UTC")
	}
	return t.Format(layout + " -07:00")
}

// Clock is a moment as the views write it, to the second.
func Clock(t time.Time) string { return clock(t, time.Second) }

// containerIDs are the ids that kernel and engine write out in full.
var containerIDs = regexp.MustCompile(`\b([0-9a-f]{12})[0-9a-f]{52}\b`)

// shortIDs shortens ids to what people know them by. The whole is in the JSON.
func shortIDs(s string) string { return containerIDs.ReplaceAllString(s, "$1…") }
