package incident

import (
	"time"
)

// Health is the last word of a container's health check (HEALTHCHECK).
type Health struct {
	// Status is the engine's word: "starting", "healthy" or "unhealthy".
	Status string `json:"status"`
	// Since is when it became so; zero where that is not known. Earlier is
	// true when it was so at Since already, and how long before is not known.
	Since   time.Time `json:"since,omitzero"`
	Earlier bool      `json:"earlier,omitempty"`
	// FailingStreak is how many checks had failed in a row, and Output what the
	// last of them printed, redacted; known from inspect only.
	FailingStreak int    `json:"failing_streak,omitempty"`
	Output        string `json:"output,omitempty"`
}

// The engine's words for a container's health.
const (
	Healthy   = "healthy"
	Unhealthy = "unhealthy"
)
