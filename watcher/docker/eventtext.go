package docker

import (
	"encoding/json"
	"errors"
	"maps"
	"regexp"
	"sync"
	"time"

	"github.com/moby/moby/api/types/events"
)

// eventOf reads one line of events: JSON of docker events or docker compose events,
// or text as docker events prints it by default.
func eventOf(line []byte) (events.Message, error) {
	if line[0] != '{' {
		return textEvent(string(line))
	}
	var m events.Message
	if err := json.Unmarshal(line, &m); err != nil {
		if c, ok := composeEvent(line); ok {
			return c, nil
		}
		return m, jsonReason(err)
	}
	if m.Actor.ID == "" || m.Time == 0 && m.TimeNano == 0 {
		if c, ok := composeEvent(line); ok {
			return c, nil
		}
	}
	if m.Action == "" || m.Time == 0 && m.TimeNano == 0 {
		return m, errors.New("it has no Action or no time")
	}
	return m, nil
}

// reTextEvent is "TIME container ACTION ID (key=value, ...)". The action of a health
// check has a colon and a word behind it.
var reTextEvent = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:?\d\d)) ([a-z]{1,32}) ([a-z_]{1,40}(?:: [^()]{1,200})?) (\S{12,512})(?: \((.*)\))?$`)
})

// reAttribute is where an attribute begins.
var reAttribute = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?:^|, )([A-Za-z0-9_.\-/]{1,256})=`)
})

func textEvent(line string) (m events.Message, err error) {
	g := reTextEvent().FindStringSubmatch(line)
	if g == nil {
		return m, errors.New("it is neither JSON nor TIME TYPE ACTION ID (...)")
	}
	at, err := time.Parse(time.RFC3339Nano, g[1])
	if err != nil {
		if at, err = time.Parse("2006-01-02T15:04:05.999999999Z0700", g[1]); err != nil {
			return m, errors.New("its time cannot be read")
		}
	}
	m = message(at, g[2], g[3], g[4], map[string]string{})
	marks := reAttribute().FindAllStringSubmatchIndex(g[5], -1)
	for i, k := range marks {
		end := len(g[5])
		if i+1 < len(marks) {
			end = marks[i+1][0]
		}
		m.Actor.Attributes[g[5][k[2]:k[3]]] = g[5][k[1]:end]
	}
	return m, nil
}

// composeEvent reads a line of docker compose events --json.
func composeEvent(line []byte) (m events.Message, ok bool) {
	var c struct {
		Time, Type, Service, ID, Action string
		Attributes                      map[string]string
	}
	if json.Unmarshal(line, &c) != nil || c.ID == "" || c.Action == "" {
		return m, false
	}
	at, err := time.Parse(time.RFC3339Nano, c.Time)
	if err != nil {
		if at, err = time.Parse("2006-01-02 15:04:05.999999999", c.Time); err != nil {
			return m, false
		}
	}
	attrs := map[string]string{}
	maps.Copy(attrs, c.Attributes)
	if c.Service != "" && attrs[labelService] == "" {
		attrs[labelService] = c.Service
	}
	return message(at, c.Type, c.Action, c.ID, attrs), true
}

// message is an event as the engine itself would give it.
func message(at time.Time, kind, action, id string, attrs map[string]string) events.Message {
	return events.Message{Type: events.Type(kind), Action: events.Action(action), Actor: events.Actor{ID: id, Attributes: attrs}, Time: at.Unix(), TimeNano: at.UnixNano()}
}
