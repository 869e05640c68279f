package explain

import (
	"bytes"
	"cmp"
	"fmt"
	"github.com/oomwatch/oomwatch/internal/lazyre"
	"io"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/redact"
)

// maxPod bounds a Pod's or a List's text that is parsed as YAML.
const maxPod = 16 << 20

// pod is what is used of a Pod, or of a List of them.
type pod struct {
	Kind     string `yaml:"kind"`
	Items    []pod  `yaml:"items"`
	Metadata struct {
		Name      string `yaml:"name"`
		Namespace string `yaml:"namespace"`
		UID       string `yaml:"uid"`
	} `yaml:"metadata"`
	Spec struct {
		Containers     []podContainer `yaml:"containers"`
		InitContainers []podContainer `yaml:"initContainers"`
	} `yaml:"spec"`
	Status struct {
		Phase                 string      `yaml:"phase"`
		Reason                string      `yaml:"reason"`
		Message               string      `yaml:"message"`
		ContainerStatuses     []podStatus `yaml:"containerStatuses"`
		InitContainerStatuses []podStatus `yaml:"initContainerStatuses"`
	} `yaml:"status"`
}

type podContainer struct {
	Name      string `yaml:"name"`
	Image     string `yaml:"image"`
	Resources struct {
		Limits map[string]any `yaml:"limits"`
	} `yaml:"resources"`
}

type podStatus struct {
	Name         string   `yaml:"name"`
	Image        string   `yaml:"image"`
	ContainerID  string   `yaml:"containerID"`
	RestartCount int      `yaml:"restartCount"`
	State        podState `yaml:"state"`
	LastState    podState `yaml:"lastState"`
}

type podState struct {
	Terminated *terminated `yaml:"terminated"`
}

type terminated struct {
	ExitCode    int    `yaml:"exitCode"`
	Reason      string `yaml:"reason"`
	Message     string `yaml:"message"`
	StartedAt   string `yaml:"startedAt"`
	FinishedAt  string `yaml:"finishedAt"`
	ContainerID string `yaml:"containerID"`
}

// readPods reads Pods, or a List of them, as JSON or YAML.
func readPods(in []byte) []saved {
	if len(in) > maxPod || !bytes.Contains(in, []byte("Pod")) || reAnchor.Match(in) {
		return nil
	}
	dec := yaml.NewDecoder(bytes.NewReader(in))
	var out []saved
	for {
		var p pod
		if err := dec.Decode(&p); err != nil {
			if err != io.EOF {
				return nil
			}
			return out
		}
		for _, one := range append([]pod{p}, p.Items...) {
			if one.Kind == "Pod" {
				out = append(out, one.ends()...)
			}
		}
	}
}

// ends are the ends of a pod's containers, oldest first, and its eviction.
func (p *pod) ends() []saved {
	owner := &incident.Pod{UID: p.Metadata.UID, Namespace: p.Metadata.Namespace, Name: p.Metadata.Name}
	limits := map[string]*int64{}
	images := map[string]string{}
	for _, c := range append(p.Spec.InitContainers, p.Spec.Containers...) {
		images[c.Name] = c.Image
		if n, ok := quantity(fmt.Sprint(c.Resources.Limits["memory"])); ok {
			limits[c.Name] = &n
		}
	}
	var evicted *incident.Voice
	if p.Status.Reason == "Evicted" {
		evicted = &incident.Voice{Who: "kubelet", Kind: incident.VoiceEvicted, PodUID: owner.UID, PodNamespace: owner.Namespace, PodName: owner.Name,
			Trusted: true, Text: redact.Line(strings.TrimSpace(p.Status.Reason + ": " + p.Status.Message))}
	}
	var out []saved
	for _, st := range append(p.Status.InitContainerStatuses, p.Status.ContainerStatuses...) {
		for _, t := range []*terminated{st.LastState.Terminated, st.State.Terminated} {
			if t == nil {
				continue
			}
			runtime, id, _ := strings.Cut(cmp.Or(t.ContainerID, st.ContainerID), "://")
			s := saved{Container: incident.Container{ID: id, Name: st.Name, Image: cmp.Or(images[st.Name], st.Image), Runtime: cmp.Or(runtime, "kubernetes"),
				Pod: owner, StartedAt: parseTime(t.StartedAt), MemoryLimit: limits[st.Name], RestartCount: &st.RestartCount},
				exit: exitOf(t.ExitCode, t.Reason, t.Message, parseTime(t.FinishedAt)), voice: evicted}
			out = append(out, s)
		}
	}
	if evicted != nil && len(out) == 0 {
		s := saved{Container: incident.Container{Pod: owner, Runtime: "kubernetes"}, subject: "pod " + owner.Name, voice: evicted}
		if owner.Namespace != "" {
			s.subject = "every container" // of that pod, as its title goes on
		}
		if len(p.Spec.Containers) == 1 {
			s.Name, s.Image, s.MemoryLimit = p.Spec.Containers[0].Name, p.Spec.Containers[0].Image, limits[p.Spec.Containers[0].Name]
		}
		out = append(out, s)
	}
	return out
}

// quantity reads a size as Kubernetes writes it: "512Mi", "1G", "128974848".
func quantity(s string) (int64, bool) {
	units := []struct {
		end  string
		size float64
	}{{"Ki", 1 << 10}, {"Mi", 1 << 20}, {"Gi", 1 << 30}, {"Ti", 1 << 40}, {"k", 1e3}, {"M", 1e6}, {"G", 1e9}, {"T", 1e12}, {"", 1}}
	for _, u := range units {
		if n, ok := strings.CutSuffix(s, u.end); ok {
			v, err := strconv.ParseFloat(n, 64)
			if err != nil || v <= 0 || v*u.size >= 1<<62 {
				return 0, false
			}
			return int64(v * u.size), true
		}
	}
	return 0, false
}

// readDescribe reads what kubectl describe pod prints. It is made for people, so only
// the names and the states are taken from it.
func readDescribe(in []byte) []saved {
	if !bytes.Contains(in, []byte("Namespace:")) || len(in) > maxPod {
		return nil
	}
	var p pod
	p.Kind = "Pod"
	var st *podStatus
	var t *terminated
	section, limits := "", false
	for line := range strings.Lines(string(in)) {
		line = strings.TrimRight(line, " \t\r\n")
		indent := len(line) - len(strings.TrimLeft(line, " "))
		key, value, ok := strings.Cut(strings.TrimSpace(line), ":")
		value = strings.TrimSpace(value)
		if !ok {
			continue
		}
		if indent == 0 {
			section, st, t = key, nil, nil
			switch key {
			case "Name":
				p.Metadata.Name = value
			case "Namespace":
				p.Metadata.Namespace = value
			case "UID":
				p.Metadata.UID = value
			case "Reason":
				p.Status.Reason = value
			case "Message":
				p.Status.Message = value
			}
			continue
		}
		if section != "Containers" && section != "Init Containers" {
			continue
		}
		if indent == 2 && value == "" {
			p.Status.ContainerStatuses = append(p.Status.ContainerStatuses, podStatus{Name: key})
			p.Spec.Containers = append(p.Spec.Containers, podContainer{Name: key})
			st, t, limits = &p.Status.ContainerStatuses[len(p.Status.ContainerStatuses)-1], nil, false
			continue
		}
		if st == nil {
			continue
		}
		if indent <= 4 {
			t, limits = nil, key == "Limits"
		}
		describe(&p, st, &t, key, value, limits)
	}
	return p.ends()
}

// describe takes one line of a container.
func describe(p *pod, st *podStatus, t **terminated, key, value string, limits bool) {
	switch key {
	case "Container ID":
		st.ContainerID = value
	case "Image":
		st.Image = value
	case "Restart Count":
		st.RestartCount, _ = strconv.Atoi(value)
	case "State", "Last State":
		if value != "Terminated" {
			return
		}
		*t = new(terminated)
		if key == "State" {
			st.State.Terminated = *t
		} else {
			st.LastState.Terminated = *t
		}
	case "memory":
		if limits {
			p.Spec.Containers[len(p.Spec.Containers)-1].Resources.Limits = map[string]any{"memory": value}
		}
	}
	if *t == nil {
		return
	}
	switch key {
	case "Reason":
		(*t).Reason = value
	case "Message":
		(*t).Message = value
	case "Exit Code":
		(*t).ExitCode, _ = strconv.Atoi(value)
	case "Started":
		(*t).StartedAt = value
	case "Finished":
		(*t).FinishedAt = value
	}
}

// reAnchor is a YAML anchor or alias: no Pod that is printed has one, and a few lines of
// them unfold to gigabytes.
var reAnchor = lazyre.New(`(?m)^[^"'#|]{0,200}[:\-\[]\s+[&*][A-Za-z0-9_]+`)
