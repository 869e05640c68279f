package daemon

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/oomwatch/oomwatch/observe"
	"github.com/oomwatch/oomwatch/watcher"
)

// deaths are the sources that see deaths, the engines that were named and the kernel log:
// the control groups alone see none.
type deaths []observe.Source

// states are the last words of these sources alone, and of engines that were found.
func (d deaths) states(all []observe.SourceState) (out []observe.SourceState) {
	for _, s := range all {
		if s.Kind == observe.KindEngine || slices.ContainsFunc(d, func(o observe.Source) bool { return o.Name() == s.Name }) {
			out = append(out, s)
		}
	}
	return out
}

// ready reports whether a source of deaths works, and if not, why.
func (d deaths) ready(all []observe.SourceState) (bool, string) {
	states := d.states(all)
	if slices.ContainsFunc(states, func(s observe.SourceState) bool { return s.Up }) {
		return true, ""
	}
	var why []string
	for _, s := range d {
		i := slices.IndexFunc(states, func(o observe.SourceState) bool { return o.Name == s.Name() })
		if i < 0 {
			why = append(why, s.Name()+": has not reported yet")
		} else {
			why = append(why, s.Name()+": "+states[i].Reason)
		}
	}
	return false, strings.Join(why, "; ")
}

// blind returns an error when every source of deaths has reported and none can see.
func (d deaths) blind(all []observe.SourceState) error {
	states := d.states(all)
	if len(states) < len(d) {
		return nil
	}
	return watcher.AllBlind(states)
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
