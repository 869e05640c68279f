// Package triage ranks services by the evidence that they leak memory, from the
// kernel's kills alone (Collector) and from readings (History). It is pure: no
// clock, no I/O; the same code judges the store's incidents and a stranger's log.
package triage

import (
	"time"

	"github.com/oomwatch/oomwatch/incident"
)

// Schema names the JSON form of a Service. Fields are only ever added.
const Schema = "oomwatch.triage/v1"

// Class says what a service's memory does.
type Class string

// The classes, in the order in which they are looked at.
const (
	// Leak: what is left after each fall grows steadily, run after run.
	Leak Class = "leak"
	// LimitTooSmall: it does not grow, it needs more than it may have.
	LimitTooSmall Class = "limit_too_small"
	// HostOvercommitted: the host ran out, and no one program had taken it all.
	HostOvercommitted Class = "host_overcommitted"
	// Spike: it takes much at once, now and then.
	Spike Class = "spike"
	// Cache: what grows is page cache, which the kernel takes back.
	Cache Class = "cache"
	// Sawtooth: it grows and falls back to the same floor, as with a garbage
	// collector: healthy.
	Sawtooth Class = "sawtooth"
	// Filling: it grows towards a bound, and slows down: no leak.
	Filling Class = "filling"
	// Steady: none of these.
	Steady Class = "steady"
	// NotEnoughData: what is known allows more than one answer.
	NotEnoughData Class = "not_enough_data"
)

// Classes are all classes, in that order.
var Classes = []Class{Leak, LimitTooSmall, HostOvercommitted, Spike, Cache, Filling, Sawtooth, Steady, NotEnoughData}

// Words is the class for people: "limit too small".
func (c Class) Words() string {
	switch c {
	case LimitTooSmall:
		return "limit too small"
	case HostOvercommitted:
		return "host overcommitted"
	case NotEnoughData:
		return "not enough data"
	}
	return string(c)
}

// Service is one service, or one program of a log, with what was found. Sizes
// are bytes, durations seconds; what is not known is left out.
type Service struct {
	Schema string `json:"schema"`
	// Rank is its place, from 1.
	Rank int `json:"rank"`
	// Service is what a person calls it: its compose or container name, its
	// unit, or where a log gives no name the program and where it ran.
	Service string `json:"service"`
	Class   Class  `json:"class"`
	// Confidence is likely or possible; left out for NotEnoughData.
	Confidence incident.Confidence `json:"confidence,omitempty"`
	// Reasons are why, in words; Advice what to do next.
	Reasons []string `json:"reasons"`
	Advice  []string `json:"advice,omitempty"`

	// Rate is how fast it grows, in bytes per second, with its interval.
	Rate     *float64 `json:"rate_bytes_per_second,omitempty"`
	RateLow  *float64 `json:"rate_low_bytes_per_second,omitempty"`
	RateHigh *float64 `json:"rate_high_bytes_per_second,omitempty"`
	// SecondsToLimit is how long after the last reading a leak reaches the limit,
	// SecondsError by how much that may be wrong, earlier or later.
	SecondsToLimit *float64 `json:"seconds_to_limit,omitempty"`
	SecondsError   *float64 `json:"seconds_to_limit_error,omitempty"`
	// Limit is the memory limit it died at, or has. Suggested is what Advice
	// says to try; never given for a leak.
	Limit     *int64 `json:"limit_bytes,omitempty"`
	Suggested *int64 `json:"suggested_limit_bytes,omitempty"`

	// Kills are what the kernel killed of it.
	Kills *Kills `json:"kills,omitempty"`
	// Windows are its readings over 1 h, 6 h, 24 h and 7 d, where they were asked for.
	Windows []Window `json:"windows,omitempty"`

	// Process says which process holds the most now, Runtime what it is, Image what the
	// newest run ran.
	Process string `json:"process,omitempty"`
	Runtime string `json:"runtime,omitempty"`
	Image   string `json:"image,omitempty"`
	// Program is the process that was killed, Containers the newest ids (and
	// names) it ran as, Unit its systemd unit, Pod its uid.
	Program    string   `json:"program,omitempty"`
	Containers []string `json:"containers,omitempty"`
	Unit       string   `json:"unit,omitempty"`
	Pod        string   `json:"pod_uid,omitempty"`
	// Unverified is true when a program could have written the kills' lines.
	Unverified bool `json:"unverified,omitempty"`

	score float64
}

// Kills are the OOM kills of a service.
type Kills struct {
	// Count is how many processes were killed, Times on how many occasions:
	// kills of the same minute are one.
	Count int `json:"count"`
	Times int `json:"times"`
	// First and Last are zero, and the uptimes are given, where the log has no dates.
	First       time.Time `json:"first,omitzero"`
	Last        time.Time `json:"last,omitzero"`
	FirstUptime *float64  `json:"first_uptime_seconds,omitempty"`
	LastUptime  *float64  `json:"last_uptime_seconds,omitempty"`
	// Interval is the median time between two occasions, from Min to Max.
	Interval    *float64 `json:"interval_seconds,omitempty"`
	IntervalMin *float64 `json:"interval_min_seconds,omitempty"`
	IntervalMax *float64 `json:"interval_max_seconds,omitempty"`
	// Chance is how likely kills at random times are to be as regular.
	Chance *float64 `json:"chance,omitempty"`
	// RSS is what the victim held when it was killed, the median.
	RSS *int64 `json:"rss_at_death_bytes,omitempty"`
}

// Window is what the readings of one stretch of time show.
type Window struct {
	Seconds float64 `json:"seconds"`
	// Shape is growth, spike, sawtooth, flat or unknown.
	Shape string `json:"shape"`
	// Slope is in bytes per second, with its 99 % interval.
	Slope     *float64 `json:"slope_bytes_per_second,omitempty"`
	SlopeLow  *float64 `json:"slope_low_bytes_per_second,omitempty"`
	SlopeHigh *float64 `json:"slope_high_bytes_per_second,omitempty"`
	// Tau and P are the Mann-Kendall test's.
	Tau    *float64 `json:"tau,omitempty"`
	P      *float64 `json:"p,omitempty"`
	Drops  int      `json:"drops"`
	Runs   int      `json:"runs"`
	Reason string   `json:"reason"`
}
