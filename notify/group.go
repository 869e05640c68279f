package notify

import (
	"time"

	"github.com/oomwatch/oomwatch/incident"
)

// GroupOptions say when several incidents are told in one message.
type GroupOptions struct {
	// Window joins incidents of one key (see incident.Key) no further apart than
	// this into one alert with a count; 0 joins none.
	Window time.Duration
	// Pause is how long the first repeat of a key waits after it was told. It
	// doubles with every repeat up to LongestPause, and begins anew after quiet.
	// 0 is none: then only what waits together anyhow is joined.
	Pause, LongestPause time.Duration
	// StormPerMinute is how many alerts a receiver gets in a minute, Budget how
	// many messages in 10 minutes; what goes beyond is told as a digest. 0 is no bound.
	StormPerMinute, Budget int
}

// messages turns what is due into messages, in order: in a container's lane
// nothing overtakes what came before it. pausing are repeats that come too soon
// after what was told.
func (g GroupOptions) messages(due []incident.Delivery, now time.Time) (told, pausing []message) {
	var out []message
	// What may have arrived together goes together again, first: it is the oldest.
	batches := map[string]int{}
	for _, d := range due {
		if d.Batch == "" {
			continue
		}
		i, ok := batches[d.Batch]
		if !ok {
			i = len(out)
			batches[d.Batch] = i
			out = append(out, message{})
		}
		out[i].deliveries = append(out[i].deliveries, d)
		out[i].digest = out[i].digest || keyOf(&d) != keyOf(&out[i].deliveries[0])
	}
	last := map[string]int{}  // lane → its last message's index in out
	byKey := map[string]int{} // key → the same
	byID := map[string]int{}  // incident → the same
	for _, d := range due {
		if d.Batch != "" {
			continue
		}
		i, ok := byID[idOf(&d)]
		if ok && len(incident.IncidentsOf(out[i].deliveries)) > 1 {
			ok = false // more on one of several is not more on all
		} else if !ok {
			i, ok = byKey[keyOf(&d)]
			ok = ok && d.Key != "" && g.joins(&out[i].deliveries[len(out[i].deliveries)-1], &d)
		}
		if ok && last[laneOf(&d)] <= i {
			out[i].deliveries = append(out[i].deliveries, d)
		} else {
			i = len(out)
			out = append(out, message{deliveries: []incident.Delivery{d}})
		}
		last[laneOf(&d)], byID[idOf(&d)] = i, i
		if d.Rev == 0 {
			byKey[keyOf(&d)] = i
		}
	}
	for _, m := range out {
		if g.pauses(m, now) {
			pausing = append(pausing, m)
		} else {
			told = append(told, m)
		}
	}
	return told, pausing
}

// laneOf, keyOf and idOf name a delivery's lane, key and incident over all hosts: two
// hosts may have containers of one name.
func laneOf(d *incident.Delivery) string { return d.Host + "\x00" + d.Lane }
func keyOf(d *incident.Delivery) string  { return d.Host + "\x00" + d.Key }
func idOf(d *incident.Delivery) string   { return d.Host + "\x00" + d.Incident.ID }

// joins says whether b is a's thing again.
func (g GroupOptions) joins(a, b *incident.Delivery) bool {
	return g.Window > 0 && a.Rev == 0 && b.Rev == 0 && b.Incident.Container != nil &&
		b.Incident.Time.Sub(a.Incident.Time).Abs() <= max(g.Window, a.Last.Wait)
}

// pauses says whether a message repeats what was told only just now.
func (g GroupOptions) pauses(m message, now time.Time) bool {
	if g.Window <= 0 || g.Pause <= 0 {
		return false
	}
	for i := range m.deliveries {
		d := &m.deliveries[i]
		if d.Rev > 0 || d.Attempts > 0 || d.Unknown || d.Last.At.IsZero() || d.Last.At.After(now) || !d.Last.At.Add(d.Last.Wait).After(now) {
			return false
		}
	}
	return true
}

// told notes in a message's deliveries what their receiver has been told now, in
// which thread of its.
func (g GroupOptions) told(m *message, at time.Time, thread string) {
	since := m.deliveries[0].KeptAt
	for i := range m.deliveries {
		d := &m.deliveries[i]
		was := d.Last
		if at.Sub(was.At) > threadLife {
			d.Last.Thread = ""
		}
		if thread != "" {
			d.Last.Thread = thread
		}
		if d.Rev > 0 && !was.At.IsZero() {
			continue // an update is no repeat
		}
		d.Last.At = at
		switch {
		case was.Wait <= 0, since.Sub(was.At) > 2*was.Wait:
			d.Last.Wait = g.Pause
		default:
			d.Last.Wait = min(2*was.Wait, g.LongestPause)
		}
	}
}
