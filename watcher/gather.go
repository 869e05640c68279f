package watcher

import (
	"context"
	"sync"
	"time"

	"github.com/oomwatch/oomwatch/observe"
)

// Gather runs sources until each has told what it knows of the past, or for at
// most wait, and returns what they said. A source has told it when Run returns,
// or when its list or the word that it is down has come from it.
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
				keepFrom(&o, s)
				mu.Lock()
				all = append(all, o)
				mu.Unlock()
				owed += details(&o)
				listed = listed || o.List != nil
				switch {
				case o.Source != nil && !o.Source.Up, o.List != nil && owed == 0:
					// What follows within a moment still belongs to it.
					time.AfterFunc(gatherTail, stop)
				case o.List != nil:
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
	case o.List != nil:
		for i := range o.List.Containers {
			if o.List.Containers[i].DetailPending {
				n++
			}
		}
	}
	return n
}

// gatherTail is how long a source may go on after its list of containers: the
// engine replays its events beside it.
const gatherTail = 300 * time.Millisecond

// detailWait is how long the details that a list promises are waited for.
const detailWait = 3 * time.Second

// keepFrom notes which source an observation is from.
func keepFrom(o *observe.Observation, s observe.Source) {
	if o.From == "" {
		o.From = s.Name()
	}
}
