package render

import (
	"regexp"
	"time"

	"github.com/oomwatch/oomwatch/units"
)

// clock writes a time for a person: this machine's own (TZ), with the offset.
func clock(t time.Time, to time.Duration) string {
	if to < time.Second {
		return units.ClockMillis(t)
	}
	return units.Clock(t)
}

// Clock is a moment as the views write it, to the second.
func Clock(t time.Time) string { return units.Clock(t) }

// containerIDs are the ids that kernel and engine write out in full.
var containerIDs = regexp.MustCompile(`\b([0-9a-f]{12})[0-9a-f]{52}\b`)

// shortIDs shortens ids to what people know them by. The whole is in the JSON.
func shortIDs(s string) string { return containerIDs.ReplaceAllString(s, "$1…") }
