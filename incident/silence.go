package incident

import (
	"fmt"
	"time"
)

// Silence keeps what it matches from being told, between two times. What it
// silences is kept as an incident all the same.
type Silence struct {
	ID     string    `json:"id"`
	Match  Match     `json:"match"`
	From   time.Time `json:"from"`
	Until  time.Time `json:"until"`
	Reason string    `json:"reason"`
	// By is who asked for it, as the kernel names the peer of the socket.
	By string `json:"by,omitempty"`
}

// Covers says whether an incident, kept now, is silenced.
func (s *Silence) Covers(i *Incident, now time.Time) bool {
	at := i.Time
	if at.IsZero() {
		at = now
	}
	return !at.Before(s.From) && at.Before(s.Until) && s.Match.Fits(i)
}

// String is how an incident names its silence.
func (s *Silence) String() string {
	return fmt.Sprintf("silence %s until %s: %s", s.ID, s.Until.UTC().Format(time.RFC3339), s.Reason)
}
