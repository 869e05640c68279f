package observe

import "time"

// Down is a source's word that it cannot be read, and why.
func Down(name string, at time.Time, err error) Observation {
	return Observation{At: at, Source: &SourceState{Name: name, Reason: err.Error()}}
}
