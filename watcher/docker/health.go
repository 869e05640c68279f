package docker

import (
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/redact"
)

// health is what inspect tells of a container's health check. Log holds the last
// few checks, oldest first.
type health struct {
	Status        string
	FailingStreak int
	Log           []healthResult
}

type healthResult struct {
	End      time.Time
	ExitCode int
	Output   string
}

func healthOf(in *container.Health) *health {
	if in == nil {
		return nil
	}
	h := &health{Status: string(in.Status), FailingStreak: in.FailingStreak}
	for _, r := range in.Log {
		if r != nil {
			h.Log = append(h.Log, healthResult{End: r.End, ExitCode: r.ExitCode, Output: r.Output})
		}
	}
	return h
}

// defaultRetries is how many checks in a row must fail before the engine calls a
// container unhealthy, where it was not told otherwise.
const defaultRetries = 3

// maxHealthOutput bounds what is kept of a check's own words.
const maxHealthOutput = 256

// health turns the engine's word into ours; nil where there is no health check.
// Of a container that does not run the engine says "unhealthy" whatever it was:
// its checks tell then.
func (d *document) health() *incident.Health {
	in := d.State.Health
	if in == nil || in.Status == "" || in.Status == string(container.NoHealthcheck) {
		return nil
	}
	retries := defaultRetries
	if c := d.Config; c != nil && c.Healthcheck != nil && c.Healthcheck.Retries > 0 {
		retries = c.Healthcheck.Retries
	}
	h := &incident.Health{Status: in.Status, FailingStreak: in.FailingStreak}
	if !d.State.Running {
		switch {
		case in.FailingStreak >= retries:
			h.Status = incident.Unhealthy
		case len(in.Log) > 0:
			h.Status = incident.Healthy
		default:
			return nil
		}
	}
	if h.Status != incident.Unhealthy {
		h.FailingStreak = 0
		return h
	}
	// The check that made it so, if it is among the last few.
	if i := len(in.Log) - in.FailingStreak + retries - 1; i >= 0 && i < len(in.Log) {
		h.Since = in.Log[i].End.UTC()
	} else if i < 0 && len(in.Log) > 0 {
		h.Since, h.Earlier = in.Log[0].End.UTC(), true
	}
	// The last check may have been cut short, and have said nothing.
	for i := len(in.Log) - 1; i >= 0 && in.Log[i].ExitCode != 0 && h.Output == ""; i-- {
		h.Output = redact.Cut(redact.Line(strings.TrimSpace(in.Log[i].Output)), maxHealthOutput)
	}
	return h
}
