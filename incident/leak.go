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

// TrendWord is the trend in words. What grew is called growth where all that is kept of its
// service is too little to call it a leak.
func (h *History) TrendWord() string {
	if h.Trend == ClassLeak && h.Class == ClassUndecided {
		return "growth"
	}
	return h.Trend
}

// The classes of triage that decide how an incident's trend is called.
const (
	ClassLeak      = "leak"
	ClassSawtooth  = "sawtooth"
	ClassUndecided = "not_enough_data"
)
