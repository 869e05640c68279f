package units

import "time"

// Clock writes a moment for a person, to the second: by this machine's own clock (TZ),
// with the offset from UTC.
func Clock(t time.Time) string { return clock(t, "2006-01-02 15:04:05") }

// ClockMillis is Clock to the millisecond.
func ClockMillis(t time.Time) string { return clock(t, "2006-01-02 15:04:05.000") }

func clock(t time.Time, layout string) string {
	t = t.Local()
	if _, offset := t.Zone(); offset == 0 {
		return t.Format(layout + " UTC")
	}
	return t.Format(layout + " -07:00")
}
