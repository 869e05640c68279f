package explain

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/observe"
	"github.com/oomwatch/oomwatch/watcher/docker"
)

// readEvents reads events of any engine.
func readEvents(r io.Reader) ([]observe.Observation, error) {
	br := bufio.NewReaderSize(r, 64<<10)
	head, _ := br.Peek(16 << 10)
	if bytes.Contains(head, []byte(`"containerEventType"`)) || bytes.Contains(head, []byte(`"container_event_type"`)) {
		return readCRIEvents(br)
	}
	return docker.ReadEvents(br)
}

// criEvent is one event of crictl events -o json.
type criEvent struct {
	ContainerID        string          `json:"containerId"`
	ContainerEventType string          `json:"containerEventType"`
	CreatedAt          json.RawMessage `json:"createdAt"`
	ContainersStatuses []struct {
		ID       string `json:"id"`
		Metadata struct {
			Name string `json:"name"`
		} `json:"metadata"`
		ExitCode   int             `json:"exitCode"`
		Reason     string          `json:"reason"`
		FinishedAt json.RawMessage `json:"finishedAt"`
	} `json:"containersStatuses"`
}

// readCRIEvents reads what crictl events prints: JSON objects, one after another.
func readCRIEvents(r io.Reader) ([]observe.Observation, error) {
	dec := json.NewDecoder(io.LimitReader(r, maxSaved))
	var out []observe.Observation
	for n := 1; ; n++ {
		var e criEvent
		if err := dec.Decode(&e); err != nil {
			if err == io.EOF {
				return out, nil
			}
			return out, fmt.Errorf("event %d: %w (want the output of crictl events -o json)", n, err)
		}
		at := criTime(e.CreatedAt)
		if e.ContainerID == "" || at.IsZero() {
			continue
		}
		switch e.ContainerEventType {
		case "CONTAINER_STARTED_EVENT":
			out = append(out, observe.Observation{At: at, Event: &observe.Event{ID: e.ContainerID, Kind: observe.Started}})
		case "CONTAINER_STOPPED_EVENT":
			for i := range e.ContainersStatuses {
				if st := &e.ContainersStatuses[i]; st.ID == e.ContainerID {
					out = append(out, observe.Observation{At: at, Exit: &observe.Exit{ID: e.ContainerID, Name: st.Metadata.Name,
						Exit: incident.Exit{At: at, FinishedAt: criTime(st.FinishedAt), ExitCode: st.ExitCode, OOMKilled: st.Reason == "OOMKilled", Inspected: st.Reason != "", Raw: "CONTAINER_STOPPED_EVENT"}}})
				}
			}
		}
	}
}

// criTime reads a time in nanoseconds, as a number or its text, or as RFC 3339.
func criTime(raw json.RawMessage) time.Time {
	s := strings.Trim(string(raw), `"`)
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && n > 0 {
		return time.Unix(0, n).UTC()
	}
	return parseTime(s)
}
