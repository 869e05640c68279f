package verdict

import (
	"fmt"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/redact"
	"github.com/oomwatch/oomwatch/units"
)

// unhealthy returns the container's health where it was unhealthy at the moment
// of what ended it: when the stop or the kill was asked for, or the signal sent.
// Checks that fail only because it is being stopped explain nothing.
func unhealthy(f *Facts, v judgement) (h *incident.Health, at time.Time) {
	if f.Container == nil || f.Container.Health == nil || f.Container.Health.Status != incident.Unhealthy || f.Exit == nil {
		return nil, at
	}
	h, at = f.Container.Health, endTime(f)
	if v.sender != nil {
		at = v.sender.At
	}
	for i := range f.Signals {
		if s := f.Signals[i].At; s.Before(at) && endTime(f).Sub(s) <= requestWindow {
			at = s
		}
	}
	if h.Since.After(at) {
		return nil, at
	}
	return h, at
}

// unhealthyFor says for how long; "" where that is not known.
func unhealthyFor(h *incident.Health, at time.Time) string {
	switch {
	case h.Since.IsZero():
		return ""
	case h.Earlier:
		return " for at least " + incident.FormatDuration(at.Sub(h.Since))
	}
	return " for " + incident.FormatDuration(at.Sub(h.Since))
}

// healthEvidence says what the health check had told before the end.
func healthEvidence(f *Facts, h *incident.Health, at time.Time) incident.Evidence {
	x := incident.Evidence{Source: EngineOf(f.Container), Time: h.Since, Text: "health_status: unhealthy",
		Means: "its health check had failed; it was unhealthy" + unhealthyFor(h, at) + " by then"}
	if h.FailingStreak > 0 {
		x.Text += fmt.Sprintf(", %s failed in a row", units.Count(h.FailingStreak, "check"))
	}
	if h.Output != "" {
		x.Text += "; the last one said: " + redact.Sanitize(h.Output)
	}
	return x
}

// adviceUnhealthy is for an end that somebody brought about while the container
// was unhealthy: who does that acts on the health check.
func adviceUnhealthy(inc *incident.Incident, h *incident.Health, at time.Time) string {
	s := "Look at its health check first: it was unhealthy" + unhealthyFor(h, at)
	if h.FailingStreak > 0 {
		s += fmt.Sprintf(" (%s failed in a row)", units.Count(h.FailingStreak, "check"))
	}
	s += ". Autoheal or an orchestrator ends unhealthy containers."
	switch name := subject(inc); {
	case inc.Container.Runtime == "podman":
		return s + " What the check said: podman inspect -f '{{json .State.Health}}' " + name
	case byEngine(inc):
		return s + " What the check said: docker inspect -f '{{json .State.Health}}' " + name
	}
	return s
}
