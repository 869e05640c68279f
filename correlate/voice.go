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
	c.host.Voices = newest(c.host.Voices)
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

// newest drops the oldest voices beyond maxVoices. Limits of pods stand for as long as the
// pods, so words of ends do not push them out, nor the other way round.
func newest(all []incident.Voice) []incident.Voice {
	count := map[bool]int{}
	isLimit := func(v *incident.Voice) bool { return v.Kind == incident.VoicePodLimit }
	for i := range all {
		count[isLimit(&all[i])]++
	}
	return slices.DeleteFunc(all, func(v incident.Voice) bool {
		limit := isLimit(&v)
		if count[limit] <= maxVoices {
			return false
		}
		count[limit]--
		return true
	})
}

// voices are those that speak of the end of a run.
func (c *Correlator) voices(x *container, r *run) []incident.Voice {
	at := r.deathTime()
	return append(verdict.VoicesOf(c.opt.Voices, &x.Spec.Container, r.pid, at), verdict.VoicesOf(c.host.Voices, &x.Spec.Container, r.pid, at)...)
}
