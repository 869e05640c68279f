package explain

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/observe"
	"github.com/oomwatch/oomwatch/redact"
	"github.com/oomwatch/oomwatch/verdict"
	"github.com/oomwatch/oomwatch/watcher/docker"
)

// maxSaved bounds what is read of one saved file.
const maxSaved = 256 << 20

// saved is a container's end as a file has it that no engine's list printed: a pasted
// fragment, a pod, a line of docker ps. Whatever is not in it is zero.
type saved struct {
	incident.Container
	exit *incident.Exit
	// voice is what the kubelet said of the pod as a whole.
	voice *incident.Voice
	// subject stands in for a name where the file has none.
	subject string
}

// whole is true where it can be joined with other files: it has an id and a time.
func (s *saved) whole() bool { return s.ID != "" && s.exit != nil && !s.exit.FinishedAt.IsZero() }

func (s *saved) observation() observe.Observation {
	c := observe.Container{Container: s.Container, Exit: s.exit, State: "exited"}
	return observe.Observation{At: s.exit.At, Container: &c}
}

// incident judges it alone.
func (s *saved) incident(opt *joinOptions) *incident.Incident {
	c := s.Container
	nameless := c.Name == ""
	if nameless {
		c.Name = s.subject
	}
	f := &verdict.Facts{ID: incident.DeathID(cmp.Or(c.ID, c.Name), c.StartedAt), Kind: incident.KindDeath, Container: &c, Exit: s.exit, Offline: true,
		Horizons: horizonsOf(opt.horizons, c.Runtime), LogUnread: opt.logUnread}
	if s.exit != nil {
		f.Time = s.exit.FinishedAt
	}
	voices := opt.voices
	if s.voice != nil {
		voices = append([]incident.Voice{*s.voice}, voices...)
	}
	f.Voices = verdict.VoicesOf(voices, &c, 0, f.Time)
	inc := verdict.Explain(f)
	if nameless && inc.Container != nil {
		inc.Container.Name = ""
	}
	return inc
}

// horizonsOf are the horizons for a container of a runtime: Docker's events say nothing of
// a pod, of whose end the kubelet speaks.
func horizonsOf(all []incident.Horizon, runtime string) []incident.Horizon {
	if runtime == "docker" || runtime == "podman" {
		return all
	}
	out := slices.Clone(all)
	for i := range out {
		if h := &out[i]; h.Source == "docker" && !h.Read {
			h.Source, h.Reason = "kubelet", "its log was not given; --log FILE takes journalctl -u kubelet"
		}
	}
	return out
}

// helpInspect is which outputs help where one does not.
const helpInspect = "want the output of docker inspect CONTAINER, crictl inspect ID or kubectl get pod NAME -o yaml; also read: a State object or a piece of one, kubectl describe pod, docker ps -a"

// readInspect reads any form in which people have the state of a container: what
// docker inspect and crictl inspect print, a State object or a pasted piece of one, a
// Pod as JSON or YAML, kubectl describe pod, docker ps -a.
func readInspect(r io.Reader) ([]observe.Observation, []saved, error) {
	in, err := io.ReadAll(io.LimitReader(r, maxSaved+1))
	if err != nil {
		return nil, nil, err
	}
	if len(in) > maxSaved {
		return nil, nil, fmt.Errorf("it is longer than %d MiB", maxSaved>>20)
	}
	in = bytes.TrimPrefix(in, []byte("\xef\xbb\xbf"))
	obs, err := docker.ReadInspect(bytes.NewReader(in))
	if err == nil {
		return obs, nil, nil
	}
	for _, read := range []func([]byte) []saved{readPods, readCRI, readDescribe, readTable, readTerminated, readFragment} {
		if list := read(in); len(list) > 0 {
			return nil, list, nil
		}
	}
	return nil, nil, fmt.Errorf("%w; %s", err, helpInspect)
}

// readCRI reads what crictl inspect prints.
func readCRI(in []byte) []saved {
	dec := json.NewDecoder(bytes.NewReader(in))
	var out []saved
	for dec.More() {
		var d struct {
			Status *struct {
				ID                     string
				Metadata               struct{ Name string }
				State, Reason, Message string
				StartedAt, FinishedAt  string
				ExitCode               int
				Image                  struct{ Image string }
				Labels                 map[string]string
				Resources              struct {
					Linux *struct{ MemoryLimitInBytes json.Number }
				}
			}
		}
		if dec.Decode(&d) != nil || d.Status == nil || d.Status.ID == "" {
			break
		}
		st := d.Status
		s := saved{Container: incident.Container{ID: st.ID, Name: st.Metadata.Name, Image: st.Image.Image, Runtime: "containerd", StartedAt: parseTime(st.StartedAt)}}
		if l := st.Labels; l["io.kubernetes.pod.name"] != "" || l["io.kubernetes.pod.uid"] != "" {
			s.Pod = &incident.Pod{UID: l["io.kubernetes.pod.uid"], Namespace: l["io.kubernetes.pod.namespace"], Name: l["io.kubernetes.pod.name"]}
		}
		if l := st.Resources.Linux; l != nil {
			if n, err := l.MemoryLimitInBytes.Int64(); err == nil && n > 0 {
				s.MemoryLimit = &n
			}
		}
		if strings.HasSuffix(st.State, "EXITED") {
			s.exit = exitOf(st.ExitCode, st.Reason, st.Message, parseTime(st.FinishedAt))
		}
		out = append(out, s)
	}
	return out
}

// startReasons are the kubelet's reasons for a container that never ran.
var startReasons = map[string]bool{"ContainerCannotRun": true, "StartError": true, "RunContainerError": true, "CreateContainerError": true, "CreateContainerConfigError": true}

// exitOf is an end as Kubernetes tells it.
func exitOf(code int, reason, message string, at time.Time) *incident.Exit {
	x := &incident.Exit{At: at, FinishedAt: at, ExitCode: code, OOMKilled: reason == "OOMKilled", Inspected: true}
	if startReasons[reason] {
		x.Error = redact.Line(cmp.Or(message, reason))
	}
	return x
}

// parseTime reads a time as engines write it; the zero time where it is none.
func parseTime(s string) time.Time {
	for _, layout := range []string{time.RFC3339Nano, time.RFC1123Z, "2006-01-02 15:04:05.999999999 -0700 MST"} {
		if t, err := time.Parse(layout, strings.Trim(s, `"' `)); err == nil && t.Year() > 1 && t.Unix() != 0 { // a start that failed is shown as of 1970
			return t.UTC()
		}
	}
	return time.Time{}
}
