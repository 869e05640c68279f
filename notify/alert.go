// Package notify is the outbox: it takes deliveries from a queue and hands each to
// its receiver, in order for each container, with grouping, rate limits and retry.
// What a receiver is (Slack, a webhook, a command and others) stands in package
// notify/receiver, one file for each service.
package notify

import (
	"context"
	"fmt"
	"time"

	"github.com/oomwatch/oomwatch/incident"
)

// Notifier sends one message to one receiver. It knows nothing of retry: nil means
// delivered, a *Rejected never again, a *RetryAfter not before then, and any other
// error again. No error holds a secret.
type Notifier interface {
	Notify(ctx context.Context, a incident.Alert) error
	Traits() Traits
}

// Traits are what a receiver can do beside taking alerts one by one. A function that
// is nil is an ability that it does not have.
type Traits struct {
	// Digest sends many incidents in one message, under the message's id. Without it
	// a storm is sent one by one.
	Digest func(ctx context.Context, id string, d *incident.Digest) error
	// Thread is used in place of Notify, by a receiver that can add to a message:
	// what repeats goes into the first message's thread, and that message is brought
	// up to date. thread is kept, and comes back as Alert.Thread.
	Thread func(ctx context.Context, a incident.Alert) (thread string, err error)
	// KeepsOpen is true for a receiver that keeps an alert open, or on show, until an
	// update closes it: updates never go into a digest.
	KeepsOpen bool
	// Run is the receiver's work beside sending; it ends with ctx.
	Run func(ctx context.Context)
	// Restore is called once after a start, so that the receiver knows again what goes
	// on. sent returns the incidents that it has had: all warnings that last, and of
	// the others what it was sent since a time.
	Restore func(sent func(since time.Time) ([]incident.Delivery, error)) error
	// Inherit takes over what the Notifier before it, of the same receiver, knew: the
	// configuration was read again, and the receiver does not know of that.
	Inherit func(from Notifier)
	// Close ends idle connections.
	Close func()
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
