package kmsg

import (
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// maxDrift is how fast the kernel's log clock and CLOCK_MONOTONIC can come
// apart: the log clock is not disciplined, and time synchronisation slews the
// other by at most 500 ppm.
const maxDrift = 500e-6

// logClock turns the kernel's stamps into wall clock time. The stamps are of a
// clock of their own that cannot be read: it started a few milliseconds apart
// from CLOCK_MONOTONIC and runs at a slightly other rate. What is known is that
// a record is read after it was written, so that
//
//	CLOCK_MONOTONIC when read - stamp = difference of the clocks + delay
//
// never is less than the difference, and nearly is it when the reader was
// waiting for the record. Like every such stamp, those from before a suspend of
// the machine come out too late by its length.
type logClock struct {
	diff     time.Duration // the estimate: CLOCK_MONOTONIC - log clock
	at0      time.Duration // CLOCK_MONOTONIC when diff was last confirmed
	anchored bool          // diff was measured
}

// at returns the wall clock time of the record stamped stamp that was read at
// CLOCK_MONOTONIC mono, wall clock real. fresh means that the reader was waiting
// for it.
func (c *logClock) at(stamp, mono time.Duration, real time.Time, fresh bool) time.Time {
	sample := mono - stamp
	switch {
	case sample < c.diff:
		c.diff, c.at0 = sample, mono
	case fresh && !c.anchored:
		c.diff, c.at0 = sample, mono
	case fresh:
		// The clocks may have come apart since, or this one was read late.
		limit := c.diff + time.Duration(float64(mono-c.at0)*maxDrift)
		c.diff, c.at0 = min(sample, limit), mono
	}
	c.anchored = c.anchored || fresh
	age := sample - c.diff
	return real.Add(-age).Round(0).UTC().Truncate(time.Microsecond)
}

func readClocks() (mono time.Duration, real time.Time) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		// The clock is there on every Linux; what is wrong then is worse than this.
		panic("clock_gettime(CLOCK_MONOTONIC): " + err.Error())
	}
	return time.Duration(ts.Nano()), time.Now()
}

// readBootID returns the id that the kernel drew at boot.
func readBootID() (string, error) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(b)), err
}
