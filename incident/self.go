package incident

// What the watcher tells of itself, in WarningFacts.What.
const (
	SelfBlind    = "source_blind"
	SelfLost     = "records_lost"
	SelfParked   = "receiver_parked"
	SelfDown     = "receiver_down"
	SelfStore    = "store"
	SelfRestored = "store_replaced"
	SelfKilled   = "watcher_killed"
)

// SelfEvent is true for a trouble of the watcher's own that has happened, and has no
// end to be told.
func (w *WarningFacts) SelfEvent() bool {
	if w == nil || !w.Self {
		return false
	}
	switch w.What {
	case SelfLost, SelfParked, SelfRestored, SelfKilled:
		return true
	}
	return false
}
