package daemon

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/oomwatch/oomwatch/notify"
)

const (
	// removedEvery is how often deliveries of removed receivers are looked for.
	removedEvery = time.Hour
	noReceiver   = "no receiver of this name was configured for 72 hours"
)

// endRemoved gives up the deliveries of removed receivers once they have waited for
// notify.GiveUp, until ctx ends: no delivery waits for ever.
func (d *Daemon) endRemoved(ctx context.Context) error {
	for wait := time.Minute; ; wait = removedEvery { // not in the first minute: it may be renamed back
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		d.keeper.giveUpRemoved(ctx, time.Now(), d.selves.deadLettered, d.log)
	}
}

func (k *keeper) giveUpRemoved(ctx context.Context, now time.Time, gaveUp func(notify.Trouble), log *zap.Logger) {
	given, err := k.store.GiveUp(ctx, k.recipients.Load().names(), now.Add(-notify.GiveUp), noReceiver)
	if err != nil {
		if ctx.Err() == nil {
			log.Warn("deliveries of removed receivers are not given up yet", zap.Error(err))
		}
		return
	}
	for receiver, n := range given {
		log.Error("deliveries given up", zap.String("receiver", receiver), zap.Int("deliveries", n), zap.String("reason", noReceiver))
		gaveUp(notify.Trouble{Receiver: receiver, Parked: n, Reason: noReceiver})
	}
}
