package verdict

import "github.com/oomwatch/oomwatch/incident"

// Alarm is what a warning says, beside what is known of the container.
type Alarm struct {
	// Cause is the one the death will have, if it comes to that.
	Cause      incident.Cause
	Confidence incident.Confidence
	Summary    string
	Advice     string
	Evidence   []incident.Evidence
	Signs      incident.WarningFacts
}

// Warn dresses an alarm as an Incident. f is what is known of the container, its
// readings included; a nil Container is the host.
func Warn(f *Facts, a Alarm) *incident.Incident {
	inc := &incident.Incident{
		Schema: incident.Schema, ID: f.ID, Kind: incident.KindWarning, Time: f.Time, Severity: incident.Warning,
		Cause: a.Cause, Confidence: a.Confidence, Summary: a.Summary, Evidence: a.Evidence,
		Container: container(f, new(incident.Container)), Warning: &a.Signs, Count: 1,
	}
	if f.Host != (incident.Host{}) {
		inc.Host = &f.Host
	}
	inc.SeenLive = new(true)
	if a.Advice != "" {
		inc.Advice = []string{a.Advice}
	}
	fillFromSamples(inc, f)
	return inc
}
