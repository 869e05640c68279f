package daemon

import (
	"strings"
	"sync"
	"time"

	"github.com/oomwatch/oomwatch/observe"
	"github.com/oomwatch/oomwatch/watcher"
)

// deathSources are the sources that see deaths; the control groups alone see none.
var deathSources = []string{"docker", "kmsg"}

// ready reports whether a source of deaths works, and if not, why.
func ready(states []observe.SourceState) (bool, string) {
	var why []string
	for _, name := range deathSources {
		reason := "has not reported yet"
		for _, s := range states {
			if s.Name == name {
				if s.Up {
					return true, ""
				}
				reason = s.Reason
			}
		}
		why = append(why, name+": "+reason)
	}
	return false, strings.Join(why, "; ")
}

// blind returns an error when every source of deaths has reported and none can see.
func blind(states []observe.SourceState) error {
	var seen []observe.SourceState
	for _, s := range states {
		for _, name := range deathSources {
			if s.Name == name {
				seen = append(seen, s)
			}
		}
	}
	if len(seen) < len(deathSources) {
		return nil
	}
	return watcher.AllBlind(seen)
}

// stateClock notes since when each source has been in its present state.
type stateClock struct {
	mu sync.Mutex
	up map[string]bool
	at map[string]time.Time
}

func newStateClock() *stateClock {
	return &stateClock{up: map[string]bool{}, at: map[string]time.Time{}}
}

func (c *stateClock) note(s observe.SourceState, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if up, known := c.up[s.Name]; !known || up != s.Up {
		c.up[s.Name], c.at[s.Name] = s.Up, now
	}
}

func (c *stateClock) of(name string) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at[name]
}
