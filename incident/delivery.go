package incident

import (
	"crypto/sha1"
	"fmt"
	"time"
)

// Delivery is one incident owed to one receiver.
type Delivery struct {
	// ID is the same for every attempt and after a restart, so that a
	// receiver can tell a repeat. See DeliveryID.
	ID       string
	Receiver string
	Incident *Incident
	// Host is the name of the host that the incident happened on: two hosts'
	// incidents are told apart by it.
	Host string
	// Rev is 0 for the first word about an incident, and counts what was told
	// of it after that: an Update is a delivery of its own.
	Rev int
	// Lane names what must be told in order: the incident's container, or the host.
	Lane string
	// Key is what repeats are recognised by; see Incident.Key.
	Key string
	// News is what it was to tell when it was read; see Incident.News.
	News string
	// Last is what the receiver was last told under this key; as it stands when
	// the delivery is settled as delivered, it is kept.
	Last Last
	// Batch is the id of the message that it was last sent in, where it went
	// together with others: they stay together until the outcome is known.
	Batch string
	// Seq orders the deliveries of a store.
	Seq int64
	// Attempts is how many were made and settled, FirstAttempt when the first
	// of them was, or when somebody asked for it to be tried anew; zero before it.
	Attempts     int
	FirstAttempt time.Time
	// Unknown is true when an earlier attempt may have arrived: it timed out
	// after it was sent, or the program died before it could note the outcome.
	Unknown bool
	// KeptAt is when the delivery was written; Error is the last attempt's.
	KeptAt time.Time
	Error  string
}

// Last is what a receiver was last told of a key: repeats pause the longer the
// more of them there are, and go into the thread of the first message.
type Last struct {
	// At is when it was told; zero when never.
	At time.Time
	// Wait is how long the next repeat pauses.
	Wait time.Duration
	// Thread is the receiver's own reference of its first message; "" for none.
	Thread string
}

// DeliveryState is where a delivery stands.
type DeliveryState string

// The states of a delivery. Every delivery is in exactly one of them.
const (
	Pending   DeliveryState = "pending"
	Delivered DeliveryState = "delivered"
	Parked    DeliveryState = "parked" // given up; never tried again by itself
)

// Outcome is how an attempt ended.
type Outcome struct {
	State DeliveryState
	// At is when the attempt ended.
	At time.Time
	// Next is when a delivery that stays Pending is tried again.
	Next time.Time
	// Unknown is true when the receiver may have got it although the attempt failed.
	Unknown bool
	// NotTried is true when nothing was sent (the delivery was put off or
	// parked unsent), so that no attempt is counted.
	NotTried bool
	// Held is true when a pending delivery only waits to be told together with
	// others: what comes after it in its lane need not wait behind it.
	Held bool
	// Error is the reason, without secrets; "" when it was delivered.
	Error string
}

// Word is one delivery of an incident, as far as the next depends on it.
type Word struct {
	// Rev is the delivery's, News what it tells; see Incident.News.
	Rev  int
	News string
	// Outcome is what became of it so far.
	Outcome Outcome
}

// DeliveryID derives a delivery's id from the host's name ("" where it is not known), the
// incident's id and the receiver's name: a UUID of version 5 (RFC 9562).
func DeliveryID(host, incidentID, receiver string) string {
	// These 16 bytes are the namespace; they never change.
	h := sha1.New()
	h.Write([]byte("oomwatch/deliver"))
	if host != "" {
		fmt.Fprintf(h, "%d@%s", len(host), host)
	}
	fmt.Fprintf(h, "%d:%s%s", len(incidentID), incidentID, receiver)
	u := h.Sum(nil)[:16]
	u[6] = u[6]&0x0f | 0x50
	u[8] = u[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
}

// UpdateID is DeliveryID for the rev-th update of an incident.
func UpdateID(host, incidentID string, rev int, receiver string) string {
	if rev == 0 {
		return DeliveryID(host, incidentID, receiver)
	}
	return DeliveryID(host, fmt.Sprintf("%s/%d", incidentID, rev), receiver)
}

// HostName is the name of the host that it happened on; "" where that is not known.
func (i *Incident) HostName() string {
	if i.Host == nil {
		return ""
	}
	return i.Host.Name
}

// News is what a reader wants to hear of again when it changes: the cause, how
// sure it is, whose it was, and that it is over. New numbers alone are none, nor is
// the end of a container that was told as dead.
func (i *Incident) News() string {
	s := string(i.Cause) + " " + string(i.Confidence)
	if i.Container != nil && i.Container.ID != "" {
		s += " " + i.Container.ID
		if i.Container.Name == "" && i.Kind == KindKill {
			s += " unnamed" // its name, and that it has died, come when its engine is back
		}
	}
	if !i.ResolvedAt.IsZero() {
		s += " resolved"
	}
	return s
}

// Over is true when there is nothing to be woken for any more: it has ended, or
// was nothing bad after all.
func (i *Incident) Over() bool { return !i.ResolvedAt.IsZero() || i.Cause == ExitOK }

// Open is true for a warning that lasts.
func (i *Incident) Open() bool { return i.Kind == KindWarning && i.ResolvedAt.IsZero() }

// Key names what an incident is one more of on its host: the same Subject, kind and
// cause. Over several hosts HostName stands beside it.
func (i *Incident) Key() string {
	what := string(i.Kind)
	if i.Warning != nil {
		what += ":" + i.Warning.What
	}
	return what + " " + string(i.Cause) + " " + i.Subject()
}

// Subject names what it happened to: the service (or container, or unit, or the host).
// It outlives a restart and a re-creation of the container.
func (i *Incident) Subject() string {
	switch c := i.Container; {
	case i.Warning != nil && i.Warning.Self:
		return "self:" + i.Warning.Subject
	case c == nil && i.Unit != "":
		return "unit:" + i.Unit
	case c == nil:
		return HostLane
	case c.Compose != nil && c.Compose.Service != "":
		return "service:" + c.Compose.Project + "/" + c.Compose.Service
	case c.Pod != nil && c.Pod.Name != "" && c.Name != "":
		return "pod:" + c.Pod.Namespace + "/" + c.Pod.Owner(c.Labels) + "/" + c.Name
	case c.Name != "":
		return "name:" + c.Name
	case c.ID != "":
		return c.ID
	}
	return HostLane
}

// HostLane is the lane of what happened outside every container, SelfLane of what
// the watcher tells of itself.
const (
	HostLane = "host"
	SelfLane = "self"
)

// Lane names the thread in which an incident must be told in order: its
// container by id, else by name, else the host. Over several hosts HostName stands
// beside it.
func (i *Incident) Lane() string {
	switch {
	case i.Warning != nil && i.Warning.Self:
		return SelfLane + ":" + i.Warning.Subject
	case i.Container == nil:
		return HostLane
	case i.Container.ID != "":
		return i.Container.ID
	case i.Container.Name != "":
		return "name:" + i.Container.Name
	}
	return HostLane
}
