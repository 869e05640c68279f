package incident

// Alert is one delivery to be told.
type Alert struct {
	// DeliveryID is the same for every attempt: a receiver can tell a repeat by it.
	DeliveryID string
	Incident   *Incident
	// Attempt counts from 1.
	Attempt int
	// Repeat is true when an earlier attempt may have arrived.
	Repeat bool
	// Update is true when the receiver was told of this incident before, and
	// more is known now: a warning is over, a verdict is final.
	Update bool
	// Thread is what the receiver gave back for the first message about the same
	// container and cause; "" for that first message.
	Thread string
}
