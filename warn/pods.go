package warn

import (
	"time"

	"github.com/oomwatch/oomwatch/incident"
)

// succeed has a pod's container take over what its predecessor has died of: Kubernetes
// restarts a container by making another, with an id of its own.
func (w *Warner) succeed(st *state, c *incident.Container) {
	if c == nil || c.Pod == nil || c.Pod.UID == "" || c.Name == "" {
		return
	}
	key := c.Pod.UID + "/" + c.Name
	before := w.states[w.lives[key]]
	if len(w.lives) >= maxLives {
		clear(w.lives)
	}
	w.lives[key] = st.id
	if before == nil || before == st {
		return
	}
	st.deaths = append(before.deaths, st.deaths...)
	before.deaths = nil
	st.pod = true
	if e := before.open[RestartLoop]; e != nil {
		e.Container, st.open[RestartLoop] = st.id, e
		delete(before.open, RestartLoop)
	}
	if s := before.signs[RestartLoop]; s != nil {
		st.signs[RestartLoop] = s
		delete(before.signs, RestartLoop)
	}
	w.mark(before)
}

// maxLives bounds the containers of pods whose predecessors are remembered.
const maxLives = 4096

// kubeletBackoff is how long the kubelet waits before it starts a container again: 10 s,
// doubled each time, five minutes at most, and from the start after ten calm minutes.
func kubeletBackoff(deaths []death) time.Duration {
	wait := 10 * time.Second
	for i := 1; i < len(deaths); i++ {
		if deaths[i].at.Sub(deaths[i-1].at) > 10*time.Minute {
			wait = 10 * time.Second
			continue
		}
		wait = min(2*wait, 5*time.Minute)
	}
	return wait
}
