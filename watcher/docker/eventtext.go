package docker

import (
	"encoding/json"
	"errors"
	"maps"
	"regexp"
	"strconv"
	"strings"
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
		for _, read := range []func([]byte) (events.Message, bool){composeEvent, podmanEvent} {
			if c, ok := read(line); ok {
				return c, nil
			}
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

// reTextEvent is "TIME container ACTION ID (key=value, ...)", with the time as Docker,
// Podman ("2026-01-02 03:04:05.6 +0100 CET") or docker compose (no zone) writes it. The action of a health
// check has a colon and a word behind it.
var reTextEvent = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:?\d\d)|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{1,9})?(?: [+-]\d{4} \S{1,6})?) ([a-z]{1,32}) ([a-z_]{1,40}(?:: [^()]{1,200})?) (\S{12,512})(?: \((.*)\))?$`)
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
	at, ok := textTime(g[1])
	if !ok {
		return m, errors.New("its time cannot be read")
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

// textTime reads the time of an event in text. One without a zone is this machine's.
func textTime(s string) (at time.Time, ok bool) {
	if i := strings.IndexByte(s, ' '); i > 0 {
		if j := strings.LastIndexByte(s, ' '); j > i {
			s = s[:j] // the zone's name, behind its offset
		}
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999Z0700", "2006-01-02 15:04:05.999999999 -0700", "2006-01-02 15:04:05.999999999"} {
		if at, err := time.ParseInLocation(layout, s, time.Local); err == nil {
			return at, true
		}
	}
	return at, false
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
		var read bool
		if at, read = textTime(c.Time); !read {
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

// podmanEvent reads a line of podman events --format json.
func podmanEvent(line []byte) (m events.Message, ok bool) {
	var p struct {
		ID, Image, Name, Status, Type, Time string
		ContainerExitCode                   *int
		Attributes                          map[string]string
	}
	if json.Unmarshal(line, &p) != nil || p.ID == "" || p.Status == "" {
		return m, false
	}
	at, err := time.Parse(time.RFC3339Nano, p.Time)
	if err != nil {
		return m, false
	}
	attrs := map[string]string{}
	maps.Copy(attrs, p.Attributes)
	attrs["name"], attrs["image"] = p.Name, p.Image
	if p.ContainerExitCode != nil {
		attrs["containerExitCode"] = strconv.Itoa(*p.ContainerExitCode)
	}
	return message(at, p.Type, p.Status, p.ID, attrs), true
}

// message is an event as the engine itself would give it.
func message(at time.Time, kind, action, id string, attrs map[string]string) events.Message {
	return events.Message{Type: events.Type(kind), Action: events.Action(action), Actor: events.Actor{ID: id, Attributes: attrs}, Time: at.Unix(), TimeNano: at.UnixNano()}
}
