package correlate

import (
	"reflect"
	"slices"
	"time"

	"github.com/oomwatch/oomwatch/observe"
)

// The join reckons in steady time, which a set-back of the host's clock does not turn back.
// What comes in is put on it, what goes out is taken off it, here and nowhere else. While
// the clock has not been set back the two are the same.

const (
	// maxEras bounds the remembered stretches between two set-backs.
	maxEras = 16
	// ahead is how far a time may lie after its arrival, by clocks that are read apart.
	ahead = time.Second
)

// era is a stretch in which the host's clock was not set back: From and To by that clock,
// To zero for the present one. Off is what steady time is ahead of the clock in it.
type era struct {
	From time.Time     `json:"from,omitzero"`
	To   time.Time     `json:"to,omitzero"`
	Off  time.Duration `json:"off,omitempty"`
}

// Clock is what the clocks showed when the restored state was kept, or SetClock's; zero
// where nobody wrote that down.
func (c *Correlator) Clock() observe.Clock { return c.host.Clock }

// SetClock notes what the clocks show, to be kept by State.
func (c *Correlator) SetClock(k observe.Clock) { c.host.Clock = k }

// setBack takes the word that the clock was set back; at is a moment after it.
func (h *hostFacts) setBack(s *observe.SetBack, at time.Time) {
	if len(h.Eras) == 0 {
		h.Eras = []era{{}}
	}
	last := &h.Eras[len(h.Eras)-1]
	last.To = at.Add(s.By).Round(0)
	h.Eras = append(h.Eras, era{From: s.After.Round(0), Off: last.Off + s.By})
	if n := len(h.Eras) - maxEras; n > 0 {
		h.Eras = h.Eras[n:]
		h.Eras[0].From = time.Time{}
	}
	h.unsaved = true
}

// steady is the present moment by the clock, on steady time.
func (h *hostFacts) steady(now time.Time) time.Time {
	if len(h.Eras) == 0 || now.IsZero() {
		return now
	}
	// The monotonic reading goes: it has no part in the difference.
	return now.Round(0).Add(h.Eras[len(h.Eras)-1].Off)
}

// present is a moment of steady time by the clock as it stands now.
func (h *hostFacts) present(at time.Time) time.Time {
	if len(h.Eras) == 0 || at.IsZero() {
		return at
	}
	return at.Add(-h.Eras[len(h.Eras)-1].Off)
}

// kept is a time that oomwatch itself wrote down up to now, which is steady.
func (h *hostFacts) kept(at, now time.Time) time.Time {
	if len(h.Eras) == 0 {
		return at
	}
	return h.said(at, h.present(now), true, nil)
}

// said is a time that was read off the clock at some moment up to now, on steady time. That
// it lies after now shows that it is of an era before. written is true for a time that was
// written down then; others are worked out anew from the present clock, as the kernel's are.
// A moment that is known already is taken for that one: an engine repeats what it said.
func (h *hostFacts) said(at, now time.Time, written bool, known func(time.Time) bool) time.Time {
	if at.IsZero() {
		return at
	}
	at = at.Round(0)
	newest, latest := -1, len(h.Eras)-1 // that it can be of; that reaches furthest
	for i := len(h.Eras) - 1; i >= 0; i-- {
		e := &h.Eras[i]
		to := e.To
		if to.IsZero() {
			to = now.Add(ahead)
		} else if to.After(now) && (h.Eras[latest].To.IsZero() || to.After(h.Eras[latest].To)) {
			latest = i
		}
		if at.After(to) || written && at.Before(e.From) {
			continue
		}
		if known == nil || known(at.Add(e.Off)) {
			return at.Add(e.Off)
		}
		if newest < 0 {
			newest = i
		}
	}
	if newest < 0 {
		newest = latest
	}
	return at.Add(h.Eras[newest].Off)
}

// clock is a moment of steady time by the host's clock as it stood then, by the newer one
// where the clock may have been set back before it or after it.
func (h *hostFacts) clock(at time.Time) time.Time {
	if len(h.Eras) == 0 || at.IsZero() {
		return at
	}
	i := 0
	for i < len(h.Eras)-1 && at.After(h.Eras[i+1].From.Add(h.Eras[i+1].Off)) {
		i++
	}
	return at.Add(-h.Eras[i].Off)
}

// onSteady returns an observation with its times on steady time. The observation itself is
// left as it is: its source may still hold parts of it.
func (c *Correlator) onSteady(o observe.Observation) observe.Observation {
	seen := o.Seen
	if seen.IsZero() {
		seen = o.At
	}
	id, written := wordOn(&o)
	of := func(id string) func(time.Time) time.Time {
		var known func(time.Time) bool
		if x := c.containers[id]; x != nil {
			known = x.knows
		}
		return func(at time.Time) time.Time { return c.host.said(at, seen, written, known) }
	}
	out := o
	out.List = nil // each of its containers has moments of its own
	out = mapTimes(out, of(id))
	out.Seen = c.host.steady(o.Seen)
	if o.List != nil {
		out.List = &observe.List{Containers: slices.Clone(o.List.Containers)}
		for i := range out.List.Containers {
			x := &out.List.Containers[i]
			*x = mapTimes(*x, of(x.ID))
		}
	}
	return out
}

// wordOn is the container that an engine's word is on. written is true where the times in
// an observation are such as were written down when they were.
func wordOn(o *observe.Observation) (id string, written bool) {
	switch {
	case o.Container != nil && o.From != observe.Cgroups:
		return o.Container.ID, true
	case o.Event != nil:
		return o.Event.ID, true
	case o.Exit != nil:
		return o.Exit.ID, true
	case o.Detail != nil:
		return o.Detail.ID, true
	case o.Signal != nil:
		return o.Signal.ID, true
	}
	return "", o.List != nil || o.Voice != nil
}

// knows is true for a moment that the container's engine has spoken of.
func (x *container) knows(at time.Time) bool {
	return slices.ContainsFunc(x.Looks, func(l look) bool {
		return l.Started.Equal(at) || l.Exit != nil && l.Exit.FinishedAt.Equal(at)
	}) || slices.ContainsFunc(x.Exits, func(e exit) bool { return e.At.Equal(at) || e.FinishedAt.Equal(at) }) ||
		slices.ContainsFunc(x.Starts, func(s stamp) bool { return s.At.Equal(at) }) ||
		slices.ContainsFunc(x.Stops, func(s stamp) bool { return s.At.Equal(at) }) ||
		slices.ContainsFunc(x.OOMs, func(s stamp) bool { return s.At.Equal(at) }) ||
		slices.ContainsFunc(x.Health, func(h healthWord) bool { return h.At.Equal(at) || h.Health.Since.Equal(at) })
}

// offSteady takes the times of what is emitted off steady time.
func (h *hostFacts) offSteady(out []Emission) []Emission {
	for i := 0; i < len(out) && len(h.Eras) > 0; i++ {
		out[i].Incident = mapTimes(out[i].Incident, h.clock)
	}
	return out
}

var timeType = reflect.TypeFor[time.Time]()

// mapTimes returns a deep copy of a value in which each time of an exported field is f's.
func mapTimes[T any](v T, f func(time.Time) time.Time) T {
	return mapValue(reflect.ValueOf(&v).Elem(), f).Interface().(T)
}

func mapValue(v reflect.Value, f func(time.Time) time.Time) reflect.Value {
	switch v.Kind() {
	case reflect.Struct:
		if v.Type() == timeType {
			return reflect.ValueOf(f(v.Interface().(time.Time)))
		}
		out := reflect.New(v.Type()).Elem()
		out.Set(v)
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				out.Field(i).Set(mapValue(v.Field(i), f))
			}
		}
		return out
	case reflect.Pointer:
		if v.IsNil() {
			return v
		}
		out := reflect.New(v.Type().Elem())
		out.Elem().Set(mapValue(v.Elem(), f))
		return out
	case reflect.Slice:
		if v.IsNil() || !mayHoldTimes(v.Type().Elem()) {
			return v
		}
		out := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		for i := range v.Len() {
			out.Index(i).Set(mapValue(v.Index(i), f))
		}
		return out
	}
	return v
}

func mayHoldTimes(t reflect.Type) bool {
	return t.Kind() == reflect.Struct || t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice
}
