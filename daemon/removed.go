package daemon

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/oomwatch/oomwatch/notify"
)

const (
	// orphansEvery is how often it is looked for what is owed to nobody.
	orphansEvery = time.Hour
	orphaned     = "no receiver of this name was configured for 72 hours"
)

// endOrphans gives up what receivers that the configuration no longer has have been
// owed for as long as anybody may be, until ctx ends: no delivery waits for ever.
func (k *keeper) endOrphans(ctx context.Context, gaveUp func(notify.Trouble), log *zap.Logger) error {
	for wait := time.Minute; ; wait = orphansEvery { // not in the first minute: it may be renamed back
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		k.giveUpOrphans(ctx, time.Now(), gaveUp, log)
	}
}

func (k *keeper) giveUpOrphans(ctx context.Context, now time.Time, gaveUp func(notify.Trouble), log *zap.Logger) {
	given, err := k.store.GiveUp(ctx, k.told.Load().names(), now.Add(-notify.GiveUp), orphaned)
	if err != nil {
		if ctx.Err() == nil {
			log.Warn("what is owed to nobody is not given up yet", zap.Error(err))
		}
		return
	}
	for receiver, n := range given {
		log.Error("deliveries given up", zap.String("receiver", receiver), zap.Int("deliveries", n), zap.String("reason", orphaned))
		gaveUp(notify.Trouble{Receiver: receiver, Parked: n, Reason: orphaned})
	}
}
