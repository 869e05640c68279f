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

// Notifier tells one alert to one receiver. It knows nothing of retry: nil means
// told, a *Rejected never again, a *RetryAfter not before then, and any other
// error again. No error holds a secret.
type Notifier interface {
	Notify(ctx context.Context, a incident.Alert) error
}

// Threader is a Notifier that can add to a message it has posted: what comes
// again goes into its thread, and the first message is brought up to date.
type Threader interface {
	// NotifyThread is Notify; thread is kept, and comes back as Alert.Thread with
	// what follows.
	NotifyThread(ctx context.Context, a incident.Alert) (thread string, err error)
}

// Runner is a Notifier with work of its own beside telling: Run does it until ctx
// ends.
type Runner interface {
	Run(ctx context.Context)
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
