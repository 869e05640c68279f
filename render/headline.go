package render

import (
	"strings"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/redact"
)

// warningTitles say in a headline what a warning is about.
var warningTitles = map[string]string{
	"headroom": "little memory left", "forecast": "memory will run out", "pressure": "memory pressure", "throttled": "throttled",
	"limit_hits": "hits its limit again and again", "restart_loop": "crash-looping", "gave_up": "down for good", "unhealthy": "unhealthy", "pids": "near its pids limit",
	incident.SelfBlind: "a source is blind", incident.SelfLost: "records were lost", incident.SelfParked: "alerts were given up",
	incident.SelfDown: "a receiver takes no alerts", incident.SelfStore: "the store is in trouble", incident.SelfRestored: "the store was replaced",
	incident.SelfKilled: "it was killed itself",
}

// noLonger say what is true of a container once a warning is over.
var noLonger = map[string]string{
	"headroom": "is no longer near its memory limit", "forecast": "is no longer heading for its memory limit",
	"pressure": "no longer stalls, waiting for memory", "throttled": "is no longer throttled at memory.high",
	"limit_hits": "no longer runs into its memory limit", "restart_loop": "is no longer crash-looping", "gave_up": "was started again, or has been down for a day",
	"unhealthy": "is no longer unhealthy", "pids": "is no longer near its pids limit",
}

// Headline names what it happened to and what happened, in a few words.
func Headline(inc *incident.Incident) string {
	what := inc.Cause.Info().Title
	if inc.Kind == incident.KindWarning {
		what = "warning: " + what
		if w := inc.Warning; w != nil && warningTitles[w.What] != "" {
			what = "warning: " + warningTitles[w.What]
		}
	}
	return Clip(subject(inc), 80) + ": " + what
}

// subject is what an incident is about: a container, a unit, the host, or oomwatch itself.
func subject(inc *incident.Incident) string {
	s := who(inc)
	if s == "-" {
		s = "host"
		if inc.Host != nil && inc.Host.Name != "" {
			s = redact.Sanitize(inc.Host.Name)
		}
	}
	if inc.Warning != nil && inc.Warning.Self {
		s = "oomwatch on " + s
	}
	return s
}

// resolved is the headline of a warning that is over.
func resolved(inc *incident.Incident) string {
	s := "Resolved" + overAfter(inc) + ": "
	if w := inc.Warning; w != nil && !w.Self && noLonger[w.What] != "" {
		return s + Clip(subject(inc), 80) + " " + noLonger[w.What]
	}
	return s + strings.TrimSpace(inc.Summary)
}

// overAfter is how long a warning lasted: " after 5 min".
func overAfter(inc *incident.Incident) string {
	since := inc.Time
	if inc.Warning != nil && !inc.Warning.Since.IsZero() {
		since = inc.Warning.Since
	}
	if since.IsZero() || !inc.ResolvedAt.After(since) {
		return ""
	}
	return " after " + incident.FormatDuration(inc.ResolvedAt.Sub(since))
}
