package incident

import "time"

// Horizon says how far back one source reaches: the ring's first record, the engine's
// oldest event, the journal's first kernel line, when the trace began.
type Horizon struct {
	// Source is "kmsg", "journal", "docker", "trace" or "log".
	Source string `json:"source"`
	// Read is false where the source was not read at all; Reason says why.
	Read bool `json:"read"`
	// From is the first moment it covers, zero where that is not known; To is the
	// last, zero where it reaches the present.
	From time.Time `json:"from,omitzero"`
	To   time.Time `json:"to,omitzero"`
	// Undated is true for a log without a time of day: no moment can be looked up in it.
	Undated bool   `json:"undated,omitempty"`
	Reason  string `json:"reason,omitempty"`
}

// horizonSlack is how far from a log's last line a moment may lie and still be covered:
// a log that ends with the kill itself says nothing later.
const horizonSlack = 10 * time.Second

// Covers is true where the source was read and reaches the moment, so that its silence
// means that there was nothing.
func (h *Horizon) Covers(at time.Time) bool {
	return h.Read && !h.Undated && !h.From.IsZero() && !at.IsZero() && !at.Before(h.From) &&
		(h.To.IsZero() || !at.After(h.To.Add(horizonSlack)))
}

// Gap is the stretch around a moment that the source does not cover.
func (h *Horizon) Gap(at time.Time) Gap {
	g := Gap{Source: h.Source, Reason: h.Reason}
	switch {
	case !h.Read:
	case h.Undated:
		g.Reason = "it has no time of day, so no moment can be looked up in it"
	case h.From.IsZero():
		g.Reason = "how far back it reaches is not known"
	case at.Before(h.From):
		g.To = h.From
		g.Reason = "it begins " + FormatDuration(h.From.Sub(at)) + " after this"
	default:
		g.From = h.To
		g.Reason = "it ends " + FormatDuration(at.Sub(h.To)) + " before this"
	}
	return g
}
