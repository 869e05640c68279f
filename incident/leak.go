package incident

// Leak is what the readings that are kept of a service say of its memory.
type Leak struct {
	// Service is as in ServiceOf; Container is the id of the running container whose
	// readings its are now, "" where none runs.
	Service   string `json:"service"`
	Container string `json:"container,omitempty"`
	// Confidence is that of the leak; "" where there is none.
	Confidence Confidence `json:"confidence,omitempty"`
	// Reasons and Advice are triage's, in words.
	Reasons []string `json:"reasons,omitempty"`
	Advice  string   `json:"advice,omitempty"`
	// Rate is in bytes per second. SecondsToLimit is when the limit is reached, and
	// SecondsError by how much that may be wrong; nil where that is not known.
	Rate           float64  `json:"rate_bytes_per_second,omitempty"`
	Limit          int64    `json:"limit_bytes,omitempty"`
	SecondsToLimit *float64 `json:"seconds_to_limit,omitempty"`
	SecondsError   *float64 `json:"seconds_to_limit_error,omitempty"`
}

// Leaks is one look for leaks.
type Leaks struct {
	Found []Leak `json:"found,omitempty"`
	// All is true where every service was judged that is kept: one that is not among
	// Found is no more.
	All bool `json:"all,omitempty"`
}

// Judged is what triage says of a service's memory, by all that is kept of it.
type Judged struct {
	// Class is one of triage's; ClassLeak and ClassUndecided are told from the others.
	Class      string
	Confidence Confidence
	Reasons    []string
	// Rate is how fast a leak grows, in bytes per second; nil where it is none.
	Rate *float64
}

// Trends of an incident's history, of those that its class decides.
const (
	TrendUnknown  = "unknown"
	TrendSpike    = "spike"
	TrendFlat     = "flat"
	TrendSawtooth = "sawtooth"
	// TrendGrowth is the word for what grew and is not known to be a leak. In JSON that is
	// "unknown" with growth.
	TrendGrowth = "growth"
)

// The classes of triage that decide how a trend is called.
const (
	ClassLeak      = "leak"
	ClassSawtooth  = "sawtooth"
	ClassSpike     = "spike"
	ClassSteady    = "steady"
	ClassTooSmall  = "limit_too_small"
	ClassUndecided = "not_enough_data"
)

// TrendFor is what a trend is called, wherever one is: shape is what a few readings look
// like, class what triage makes of all that is kept of the service, "" where it has not been
// asked. Only what triage calls a leak is one.
func TrendFor(shape, class string) string {
	switch {
	case class == ClassLeak:
		return ClassLeak
	case shape != ClassLeak && shape != TrendGrowth:
		return shape
	}
	switch class {
	case ClassSawtooth:
		return TrendSawtooth
	case ClassSpike:
		return TrendSpike
	case ClassSteady, ClassTooSmall:
		return TrendFlat
	}
	return TrendGrowth
}

// TrendWord is the trend in words.
func (h *History) TrendWord() string {
	if h.Growth && h.Trend == TrendUnknown {
		return TrendFor(TrendGrowth, h.Class)
	}
	return TrendFor(h.Trend, h.Class)
}

// Call gives the trend a word, as Trend and Growth.
func (h *History) Call(word string) {
	h.Trend, h.Growth = word, word == TrendGrowth
	if h.Growth {
		h.Trend = TrendUnknown
	}
}
