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
	// Lane names what must be told in order: the incident's container, or the host.
	Lane string
	// Seq orders the deliveries of a store.
	Seq int64
	// Attempts is how many were made and settled, FirstAttempt when the first
	// of them was; zero before it.
	Attempts     int
	FirstAttempt time.Time
	// Unknown is true when an earlier attempt may have arrived: it timed out
	// after it was sent, or the program died before it could note the outcome.
	Unknown bool
	// KeptAt is when the delivery was written; Error is the last attempt's.
	KeptAt time.Time
	Error  string
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
	// Error is the reason, without secrets; "" when it was delivered.
	Error string
}

// DeliveryID derives a delivery's id from the incident's id and the receiver's
// name: a UUID of version 5 (RFC 9562).
func DeliveryID(incidentID, receiver string) string {
	// These 16 bytes are the namespace; they never change.
	h := sha1.New()
	h.Write([]byte("oomwatch/deliver"))
	fmt.Fprintf(h, "%d:%s%s", len(incidentID), incidentID, receiver)
	u := h.Sum(nil)[:16]
	u[6] = u[6]&0x0f | 0x50
	u[8] = u[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
}

// HostLane is the lane of what happened outside every container.
const HostLane = "host"

// Lane names the thread in which an incident must be told in order: its
// container by id, else by name, else the host.
func (i *Incident) Lane() string {
	switch {
	case i.Container == nil:
		return HostLane
	case i.Container.ID != "":
		return i.Container.ID
	case i.Container.Name != "":
		return "name:" + i.Container.Name
	}
	return HostLane
}
