package watcher

import (
	"context"
	"github.com/oomwatch/oomwatch/observe"
	"slices"
	"sync"
	"time"
)

// Replay judges observations that were all made before: those of a file, or of
// sources that were asked once. The engine's list of containers comes first,
// because it names what the others only number; the rest goes by its own time.
// Nothing is told until everything has been seen.
func Replay(c *Correlator, obs []observe.Observation) []Told {
	if len(obs) == 0 {
		return nil
	}
	if c.opt.Offline {
		c.placed = placeUptimes(obs)
	}
	rank := func(o *observe.Observation) int {
		switch {
		case o.Source != nil, o.Host != nil:
			return 0
		case o.Reconcile != nil, o.Container != nil:
			return 1
		}
		return 2
	}
	slices.SortStableFunc(obs, func(a, b observe.Observation) int {
		if ra, rb := rank(&a), rank(&b); ra != rb {
			return ra - rb
		}
		return a.At.Compare(b.At)
	})
	var told []Told
	for _, o := range obs {
		// One moment for all: no wait runs out between two of them.
		o.Seen = obs[len(obs)-1].At
		told = append(told, c.Observe(o)...)
	}
	told = append(told, c.Finish()...)
	slices.SortStableFunc(told, func(a, b Told) int { return a.Incident.Time.Compare(b.Incident.Time) })
	return told
}

// Gather runs sources until each has told what it knows of the past, or for at
// most wait, and returns what they said. A source has told it when Run returns,
// or when a Reconcile or the word that it is down has come from it.
func Gather(ctx context.Context, wait time.Duration, sources ...observe.Source) []observe.Observation {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	var mu sync.Mutex
	var all []observe.Observation
	var wg sync.WaitGroup
	for _, s := range sources {
		one, stop := context.WithCancel(ctx)
		owed, listed := 0, false // Details that were promised, and whether its list has come
		wg.Go(func() {
			defer stop()
			err := s.Run(one, func(o observe.Observation) {
				mu.Lock()
				all = append(all, o)
				mu.Unlock()
				owed += details(&o)
				listed = listed || o.Reconcile != nil
				switch {
				case o.Source != nil && !o.Source.Up, o.Reconcile != nil && owed == 0:
					// What follows within a moment still belongs to it.
					time.AfterFunc(gatherTail, stop)
				case o.Reconcile != nil:
					time.AfterFunc(detailWait, stop)
				case listed && o.Detail != nil && owed == 0:
					time.AfterFunc(gatherTail, stop)
				}
			})
			if err != nil && one.Err() == nil {
				mu.Lock()
				all = append(all, observe.Down(s.Name(), time.Now(), err))
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return all
}

// details is how many Details an observation promises; -1 for one that is one.
func details(o *observe.Observation) (n int) {
	switch {
	case o.Detail != nil:
		return -1
	case o.Exit != nil && o.Exit.DetailPending:
		return 1
	case o.Reconcile != nil:
		for i := range o.Reconcile.Containers {
			if o.Reconcile.Containers[i].DetailPending {
				n++
			}
		}
	}
	return n
}

// gatherTail is how long a source may go on after its list of containers: the
// engine replays its events beside it.
const gatherTail = 300 * time.Millisecond
