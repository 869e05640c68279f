// Package units writes sizes, durations and rates for people.
package units

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"time"
)

// NoLimit is a size that no limit has: the kernel and engines print numbers from here on
// where nothing is limited.
const NoLimit = 1 << 50

// Bytes writes a size with a binary unit and at most one decimal:
// "32 MiB", "31.6 MiB", "512 B".
func Bytes(n int64) string {
	neg := ""
	u := uint64(n)
	if n < 0 {
		neg, u = "-", uint64(-n)
	}
	if u < 1024 {
		return neg + strconv.FormatUint(u, 10) + " B"
	}
	v, unit := float64(u), 0
	// 1023.95 would print as 1024.0 of the smaller unit.
	for v >= 1023.95 && unit < len(byteUnits)-1 {
		v /= 1024
		unit++
	}
	var room [32]byte
	b := append(room[:0], neg...)
	if whole := uint64(v); float64(whole) == v {
		b = strconv.AppendUint(b, whole, 10)
	} else {
		b = strconv.AppendFloat(b, v, 'f', 1, 64)
		b = bytes.TrimSuffix(b, []byte(".0"))
	}
	b = append(b, ' ')
	return string(append(b, byteUnits[unit]...))
}

var byteUnits = [...]string{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}

// Duration writes a duration in the two largest units that matter:
// "850 ms", "1.5 s", "3 min 20 s", "2 h 5 min", "4 d 3 h".
func Duration(d time.Duration) string {
	if d < 0 {
		return "-" + Duration(-max(d, -math.MaxInt64)) // the least has no opposite
	}
	pair := func(a int64, ua string, b int64, ub string) string {
		if b == 0 {
			return fmt.Sprintf("%d %s", a, ua)
		}
		return fmt.Sprintf("%d %s %d %s", a, ua, b, ub)
	}
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 10*time.Second:
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + " s"
	case d < time.Minute:
		return fmt.Sprintf("%d s", int64(d.Seconds()))
	case d < time.Hour:
		return pair(int64(d.Minutes()), "min", int64(d.Seconds())%60, "s")
	case d < 24*time.Hour:
		return pair(int64(d.Hours()), "h", int64(d.Minutes())%60, "min")
	default:
		return pair(int64(d.Hours())/24, "d", int64(d.Hours())%24, "h")
	}
}

// Seconds is Duration for a number of seconds. What is no duration, or longer
// than a hundred years, is "a long time".
func Seconds(s float64) string {
	if !(s > -century && s < century) {
		return "a long time"
	}
	return Duration(time.Duration(s * float64(time.Second)))
}

const century = 100 * 365.25 * 86400

// Rate writes bytes per second by the second, minute, hour or day, whichever
// gives a number to remember: "1.2 MiB/s", "38 MiB/h", "5.1 MiB/day".
func Rate(perSecond float64) string { return RateAs(perSecond, perSecond) }

// RateAs writes bytes per second by the second, minute, hour or day that Rate takes for
// like: numbers that are read side by side are of one unit of time.
func RateAs(like, perSecond float64) string {
	size := math.Abs(like)
	for _, per := range [...]struct {
		seconds float64
		name    string
	}{{1, "s"}, {60, "min"}, {3600, "h"}} {
		if size*per.seconds >= 1<<20 {
			return Bytes(int64(perSecond*per.seconds)) + "/" + per.name
		}
	}
	return Bytes(int64(perSecond*86400)) + "/day"
}

// Count writes a number of things: "1 alert", "3 alerts".
func Count(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return fmt.Sprintf("%d %s", n, thing)
}

// Times writes how often something happened: "once", "3 times".
func Times(n int) string {
	if n == 1 {
		return "once"
	}
	return Count(n, "time")
}
