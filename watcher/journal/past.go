package journal

import (
	"context"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/kmsg"
	"github.com/oomwatch/oomwatch/observe"
)

// maxPast is how many reports of the kernel the past is given by, the newest of them.
const maxPast = 256

// past emits what the kernel said before its ring begins, as far as the journal has it,
// and how far back the kernel's log reaches with it.
func (s *Source) past(ctx context.Context, emit func(observe.Observation)) {
	began := ringBegan(ctx)
	var kept []observe.Observation
	var left time.Time // of the newest that was left out
	from, err := (&Kernel{Since: s.Since, Command: s.Command}).read(ctx, func(o observe.Observation) {
		if o.At.After(began) {
			return // the ring has it
		}
		if len(kept) == maxPast {
			left, kept = kept[0].At, kept[1:]
		}
		kept = append(kept, o)
	})
	for _, o := range kept {
		emit(o)
	}
	// What was not read to its end covers nothing, and the ring says how far it reaches.
	if err != nil || from.IsZero() {
		return
	}
	if left.After(from) {
		from = left
	}
	emit(observe.Observation{At: time.Now(), Horizon: &incident.Horizon{Source: observe.KernelLog, Read: true, From: from}})
}

// ringBegan is the time of the ring's first record; now, where it cannot be read.
func ringBegan(ctx context.Context) time.Time {
	now := time.Now()
	r, err := kmsg.Open(kmsg.ReaderOptions{})
	if err != nil {
		return now
	}
	defer r.Close()
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if _, err := r.Next(ctx); err != nil || r.Began().IsZero() {
		return now
	}
	return r.Began()
}
