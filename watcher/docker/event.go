package docker

import (
	"fmt"
	"maps"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/moby/moby/api/types/events"
	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/observe"
	"github.com/oomwatch/oomwatch/redact"
)

// actions are the events asked for; the rest (exec, attach) can be a flood. A
// health status is asked for by its whole name: "health_status" alone makes the
// engine compare beginnings instead of names, and gives Podman's word on every check.
var actions = []events.Action{
	events.ActionCreate, events.ActionStart, events.ActionDie, events.ActionKill, events.ActionOOM, events.ActionStop,
	events.ActionDestroy, events.ActionRename, events.ActionUpdate, events.ActionRestart, events.ActionPause, events.ActionUnPause,
	events.ActionRemove, events.ActionHealthStatusHealthy, events.ActionHealthStatusUnhealthy, podmanDied, podmanCleanup,
}

// podmanDied is Podman's own word for an end. Podman 4 filters by it and tells it as
// "die"; asked for "die" it tells of none.
const podmanDied events.Action = "died"

// podmanCleanup is Podman's word that nothing of a container runs any more: after an end,
// and after a start that failed, of which Podman 4 has no other word.
const podmanCleanup events.Action = "cleanup"

// asDocker makes an event of Podman's one of Docker's: it tells a container's
// removal as "remove", and may tell an end in its own words.
func asDocker(m events.Message) events.Message {
	switch m.Action {
	case events.ActionRemove:
		m.Action = events.ActionDestroy
	case podmanDied:
		m.Action = events.ActionDie
	}
	if code, ok := m.Actor.Attributes["containerExitCode"]; ok && m.Action == events.ActionDie && m.Actor.Attributes["exitCode"] == "" {
		m.Actor.Attributes = maps.Clone(m.Actor.Attributes)
		m.Actor.Attributes["exitCode"] = code
	}
	return m
}

// The engine's own attributes among an event's, Podman's in the last line; the
// rest are labels.
var ownAttributes = map[string]bool{
	"name": true, "image": true, "exitCode": true, "signal": true, "oldName": true, "execID": true, "execDuration": true,
	"containerExitCode": true, "podId": true,
}

// shadow says which of a container's labels hide an attribute of the same name
// in its events. A container can so lie about its exit code and about the
// signals somebody sends it.
type shadow struct{ exitCode, signal bool }

// learn looks for labels where the engine itself puts no such attribute.
func (s *shadow) learn(m events.Message) {
	if _, ok := m.Actor.Attributes["exitCode"]; ok && m.Action != events.ActionDie {
		s.exitCode = true
	}
	if _, ok := m.Actor.Attributes["signal"]; ok && m.Action != events.ActionKill {
		s.signal = true
	}
}

func (s *shadow) learnLabels(labels map[string]string) {
	if _, ok := labels["exitCode"]; ok {
		s.exitCode = true
	}
	if _, ok := labels["signal"]; ok {
		s.signal = true
	}
}

// observation turns an event into an Observation; ok is false for what is not used.
// The signal number of a hidden signal is 0.
func observation(m events.Message, sh shadow) (o observe.Observation, ok bool) {
	id := m.Actor.ID
	if id == "" || !slices.Contains(actions, m.Action) || m.Type != "" && m.Type != events.ContainerEventType {
		return o, false
	}
	attrs := m.Actor.Attributes
	at := eventTime(m)
	o.At = at
	name, image := strings.TrimPrefix(attrs["name"], "/"), attrs["image"]
	raw := rawEvent(m, at)
	switch m.Action {
	case events.ActionDie:
		code, err := strconv.Atoi(attrs["exitCode"])
		if err != nil {
			code = unknownExit
		}
		o.Exit = &observe.Exit{ID: id, Name: name, Image: image, Labels: eventLabels(attrs), Exit: incident.Exit{At: at, ExitCode: code, NoCode: err != nil, Raw: raw}}
	case events.ActionKill:
		number := 0
		if !sh.signal {
			// 20.10 gives numbers; a number that is none becomes 0, not known.
			number, _ = strconv.Atoi(attrs["signal"])
		}
		o.Signal = &observe.Signal{ID: id, Signal: incident.Signal{At: at, Number: number, Raw: raw}}
	default:
		o.Event = &observe.Event{ID: id, Name: name, Image: image, Labels: eventLabels(attrs), Kind: kindOf(m.Action), Raw: raw}
	}
	return o, true
}

// kindOf is what an event's action is to the join.
func kindOf(a events.Action) observe.EventKind {
	switch a {
	case events.ActionCreate:
		return observe.Created
	case events.ActionStart:
		return observe.Started
	case events.ActionStop:
		return observe.Stopped
	case events.ActionOOM:
		return observe.OOM
	case events.ActionDestroy:
		return observe.Removed
	case events.ActionHealthStatusHealthy:
		return observe.Healthy
	case events.ActionHealthStatusUnhealthy:
		return observe.Unhealthy
	}
	return observe.Changed
}

// unknownExit stands for an exit code that the engine did not tell; it is what
// the engine itself uses where it does not know (a container that ended while
// nobody watched).
const unknownExit = 255

// eventLabels returns the labels among an event's attributes; nil when there are none.
func eventLabels(attrs map[string]string) map[string]string {
	labels := map[string]string{}
	for k, v := range attrs {
		if !ownAttributes[k] {
			labels[k] = v
		}
	}
	return boundLabels(labels)
}

// slim is an event without the labels that nobody would see: thousands of events may
// wait, and whoever makes a container says how large each is.
func slim(m events.Message) events.Message {
	size := 0
	for k, v := range m.Actor.Attributes {
		size += len(k) + len(v)
	}
	if size <= maxEventText {
		return m
	}
	attrs := eventLabels(m.Actor.Attributes)
	if attrs == nil {
		attrs = map[string]string{}
	}
	for k := range ownAttributes {
		if v, ok := m.Actor.Attributes[k]; ok {
			attrs[k] = redact.Cut(v, redact.MaxLabelValue)
		}
	}
	m.Actor.Attributes = attrs
	return m
}

// rawEvent writes an event as "docker events" does, without the labels.
func rawEvent(m events.Message, at time.Time) string {
	var kv []string
	for k, v := range m.Actor.Attributes {
		if ownAttributes[k] {
			kv = append(kv, redact.Sanitize(k+"="+redact.Cut(v, 128)))
		}
	}
	sort.Strings(kv)
	return fmt.Sprintf("%s container %s %s (%s)", at.Format(time.RFC3339Nano), m.Action, m.Actor.ID, strings.Join(kv, ", "))
}

// maxEventText is what an event holds before its labels are bounded, in bytes.
const maxEventText = 4 << 10

// joinLabels are the labels that the join needs as they are.
var joinLabels = []string{labelProject, labelService, labelPodUID, labelPodNamespace, labelPodName}

func boundLabels(labels map[string]string) map[string]string {
	return redact.Labels(labels, joinLabels...)
}
