// Package notify delivers incidents to people: as text, to Slack and to a webhook,
// from an outbox with retry.
package notify

import (
	"context"
	"fmt"
	"time"

	"github.com/oomwatch/oomwatch/incident"
)

// Alert is one delivery to be told.
type Alert struct {
	// DeliveryID is the same for every attempt: a receiver can tell a repeat by it.
	DeliveryID string
	Incident   *incident.Incident
	// Attempt counts from 1.
	Attempt int
	// Repeat is true when an earlier attempt may have arrived.
	Repeat bool
}

// Notifier tells one alert to one receiver. It knows nothing of retry: nil means
// told, a *Rejected never again, a *RetryAfter not before then, and any other
// error again. No error holds a secret.
type Notifier interface {
	Notify(ctx context.Context, a Alert) error
}

// Rejected is the receiver's word that it will never take this alert.
type Rejected struct {
	Err error
	// Gone is true when it will take no other alert either (410).
	Gone bool
}

func (e *Rejected) Error() string { return e.Err.Error() }

// Unwrap returns the reason.
func (e *Rejected) Unwrap() error { return e.Err }

// RetryAfter is the receiver's word when to come again. It holds for all that the
// receiver is owed.
type RetryAfter struct {
	Err error
	// At is the moment, by the clock of this machine.
	At time.Time
}

func (e *RetryAfter) Error() string {
	return fmt.Sprintf("%v (asked to wait until %s)", e.Err, e.At.UTC().Format(time.RFC3339))
}

// Unwrap returns the reason.
func (e *RetryAfter) Unwrap() error { return e.Err }

// Unsure is a failure after which the receiver may have got the alert: it was
// sent, and no answer came.
type Unsure struct{ Err error }

func (e *Unsure) Error() string { return e.Err.Error() }

// Unwrap returns the reason.
func (e *Unsure) Unwrap() error { return e.Err }
