package correlate

import (
	"slices"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/verdict"
)

// voice takes what another program's log says, and has the ends that it may speak of
// judged anew.
func (c *Correlator) voice(v *incident.Voice) {
	if slices.Contains(c.host.Voices, *v) {
		return
	}
	i := len(c.host.Voices)
	for i > 0 && c.host.Voices[i-1].At.After(v.At) {
		i--
	}
	c.host.Voices = slices.Insert(c.host.Voices, i, *v)
	c.host.Voices = c.host.Voices[max(0, len(c.host.Voices)-maxVoices):]
	c.host.unsaved = true
	one := []incident.Voice{*v}
	for _, x := range c.inOrder() {
		if slices.ContainsFunc(x.timeline(), func(r *run) bool {
			return !r.alive() && len(verdict.VoicesOf(one, &x.Spec.Container, r.pid, r.deathTime())) > 0
		}) {
			c.touch(x)
		}
	}
}

// voices are those that speak of the end of a run.
func (c *Correlator) voices(x *container, r *run) []incident.Voice {
	at := r.deathTime()
	return append(verdict.VoicesOf(c.opt.Voices, &x.Spec.Container, r.pid, at), verdict.VoicesOf(c.host.Voices, &x.Spec.Container, r.pid, at)...)
}
