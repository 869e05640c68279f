package docker

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/observe"
	"github.com/oomwatch/oomwatch/redact"
)

// Labels that say to what a container belongs.
const (
	labelProject      = "com.docker.compose.project"
	labelService      = "com.docker.compose.service"
	labelPodUID       = "io.kubernetes.pod.uid"
	labelPodNamespace = "io.kubernetes.pod.namespace"
	labelPodName      = "io.kubernetes.pod.name"
)

// document is the part of inspect's answer that is used. The environment is not
// in it: what is never read cannot be told.
type document struct {
	ID           string `json:"Id"`
	Name         string
	Path         string // its program
	Created      string
	RestartCount int
	State        *state
	Config       *config
	HostConfig   *hostConfig
	Mounts       []mountPoint
	LogPath      string
	GraphDriver  *struct{ Data map[string]string }
}

type state struct {
	Status     string
	Running    bool
	OOMKilled  bool
	Pid        int
	ExitCode   int
	Error      string
	StartedAt  string
	FinishedAt string
	Health     *health
}

type config struct {
	Image       string
	Labels      map[string]string
	Tty         bool
	StopSignal  loose
	StopTimeout *int
	Healthcheck *struct{ Retries int }
}

type hostConfig struct {
	Memory        int64
	MemorySwap    int64
	AutoRemove    bool
	NanoCPUs      int64 `json:"NanoCpus"`
	CPUQuota      int64 `json:"CpuQuota"`
	CPUPeriod     int64 `json:"CpuPeriod"`
	RestartPolicy struct {
		Name              string
		MaximumRetryCount int
	}
	ReadonlyRootfs bool
	ShmSize        int64
	Tmpfs          map[string]string
	Mounts         []mountSpec
	LogConfig      struct {
		Type   string
		Config map[string]string
	}
}

// loose is a string that some engines write as a number.
type loose string

// UnmarshalJSON implements json.Unmarshaler.
func (l *loose) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err == nil {
		*l = loose(s)
		return nil
	}
	var n json.Number
	if err := json.Unmarshal(b, &n); err != nil {
		return fmt.Errorf("%s is neither a string nor a number", bytes.TrimSpace(b))
	}
	*l = loose(n.String())
	return nil
}

// documentOf copies what is used out of the client's answer.
func documentOf(in *container.InspectResponse) *document {
	d := &document{ID: in.ID, Name: in.Name, Path: in.Path, Created: in.Created, RestartCount: in.RestartCount, LogPath: in.LogPath}
	if g := in.GraphDriver; g != nil {
		d.GraphDriver = &struct{ Data map[string]string }{g.Data}
	}
	for _, m := range in.Mounts {
		d.Mounts = append(d.Mounts, mountPoint{Type: string(m.Type), Source: m.Source, Destination: m.Destination, RW: m.RW})
	}
	if s := in.State; s != nil {
		d.State = &state{
			Status: string(s.Status), Running: s.Running, OOMKilled: s.OOMKilled, Pid: s.Pid, ExitCode: s.ExitCode,
			Error: s.Error, StartedAt: s.StartedAt, FinishedAt: s.FinishedAt, Health: healthOf(s.Health),
		}
	}
	if c := in.Config; c != nil {
		d.Config = &config{Image: c.Image, Labels: c.Labels, Tty: c.Tty, StopSignal: loose(c.StopSignal), StopTimeout: c.StopTimeout}
		if c.Healthcheck != nil {
			d.Config.Healthcheck = &struct{ Retries int }{c.Healthcheck.Retries}
		}
	}
	if h := in.HostConfig; h != nil {
		d.HostConfig = &hostConfig{NanoCPUs: h.NanoCPUs, CPUQuota: h.CPUQuota, CPUPeriod: h.CPUPeriod, Memory: h.Memory, MemorySwap: h.MemorySwap, AutoRemove: h.AutoRemove,
			ReadonlyRootfs: h.ReadonlyRootfs, ShmSize: h.ShmSize, Tmpfs: h.Tmpfs}
		for _, m := range h.Mounts {
			spec := mountSpec{Type: string(m.Type), Target: m.Target}
			if m.TmpfsOptions != nil {
				spec.TmpfsOptions = &struct{ SizeBytes int64 }{m.TmpfsOptions.SizeBytes}
			}
			d.HostConfig.Mounts = append(d.HostConfig.Mounts, spec)
		}
		d.HostConfig.LogConfig.Type, d.HostConfig.LogConfig.Config = h.LogConfig.Type, h.LogConfig.Config
		d.HostConfig.RestartPolicy.Name = string(h.RestartPolicy.Name)
		d.HostConfig.RestartPolicy.MaximumRetryCount = h.RestartPolicy.MaximumRetryCount
	}
	return d
}

// Container states, as the engine names them.
const (
	stateCreated    = "created"
	stateRestarting = "restarting"
	stateExited     = "exited"
	stateDead       = "dead"
	stateRemoving   = "removing"
)

// container turns inspect's answer into what the watcher keeps.
func (d *document) container(runtime string) observe.Container {
	c := observe.Container{Container: incident.Container{ID: d.ID, Name: strings.TrimPrefix(d.Name, "/"), Runtime: runtime, RestartCount: &d.RestartCount}}
	if cfg := d.Config; cfg != nil {
		c.Image = cfg.Image
		identify(&c, cfg.Labels)
		c.StopSignal = string(cfg.StopSignal)
		if n, err := strconv.Atoi(c.StopSignal); err == nil && n > 0 {
			c.StopSignal = incident.SignalName(n) // Podman gives a number
		}
		if cfg.StopTimeout != nil {
			grace := float64(*cfg.StopTimeout)
			c.StopGraceSecond = &grace
		}
	}
	if h := d.HostConfig; h != nil {
		if h.Memory > 0 {
			c.MemoryLimit = &h.Memory
		}
		if h.MemorySwap != 0 { // -1: no limit
			c.SwapLimit = &h.MemorySwap
		}
		c.AutoRemove, c.CPUQuota = h.AutoRemove, cpus(h.NanoCPUs, h.CPUQuota, h.CPUPeriod)
		c.RestartPolicy = h.RestartPolicy.Name
		if n := h.RestartPolicy.MaximumRetryCount; n > 0 {
			c.RestartPolicy = fmt.Sprintf("%s:%d", c.RestartPolicy, n)
		}
	}
	if s := d.State; s != nil {
		c.State = s.Status
		running, oomKilled := s.Running, s.OOMKilled
		c.Running, c.OOMKilledFlag = &running, &oomKilled
		c.StartedAt = parseTime(s.StartedAt)
		if running {
			c.PID, c.Places = s.Pid, d.places()
		}
		c.Health = d.health()
		c.Exit = d.exit()
		if c.Exit != nil {
			c.ExitCode = &c.Exit.ExitCode
			c.FinishedAt = c.Exit.FinishedAt
		}
	}
	return c
}

// identify sets the labels and what they tell.
func identify(c *observe.Container, labels map[string]string) {
	c.Labels = boundLabels(labels)
	if p, s := labels[labelProject], labels[labelService]; p != "" || s != "" {
		c.Compose = &incident.Compose{Project: redact.Cut(p, redact.MaxLabelValue), Service: redact.Cut(s, redact.MaxLabelValue)}
	}
	if uid, ns, name := labels[labelPodUID], labels[labelPodNamespace], labels[labelPodName]; uid != "" || name != "" {
		c.Pod = &incident.Pod{UID: redact.Cut(uid, redact.MaxLabelValue), Namespace: redact.Cut(ns, redact.MaxLabelValue), Name: redact.Cut(name, redact.MaxLabelValue)}
	}
}

// exit is the container's last exit, or nil while it runs and when it never
// did. A start that failed is one: the engine leaves the state at "created", with
// an error and an exit code. Its At is when the container was created, for
// the engine tells no other time.
func (d *document) exit() *incident.Exit {
	s := d.State
	x := &incident.Exit{
		ExitCode: s.ExitCode, FinishedAt: parseTime(s.FinishedAt), OOMKilled: s.OOMKilled,
		Error: redact.Cut(redact.Line(s.Error), 2048), Inspected: true,
	}
	x.At = x.FinishedAt
	switch s.Status {
	case stateCreated:
		if s.Error == "" {
			return nil
		}
		x.At, x.ExitCode = parseTime(d.Created), startCode(s)
		return x
	case stateExited, stateDead, stateRestarting, stateRemoving:
		if s.Running && s.Status != stateRestarting || x.FinishedAt.IsZero() && s.Error == "" {
			return nil
		}
		return x
	}
	return nil
}

// parseTime reads the engine's time; its zero value and anything unreadable is
// the zero time.
func parseTime(s string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || t.Year() <= 1 {
		return time.Time{}
	}
	return t.UTC()
}

// fromSummary is what the list alone tells of a container, where inspect is denied.
func fromSummary(in *container.Summary, runtime string) observe.Container {
	c := observe.Container{Container: incident.Container{ID: in.ID, Image: in.Image, Runtime: runtime}, State: string(in.State)}
	if len(in.Names) > 0 {
		c.Name = strings.TrimPrefix(in.Names[0], "/")
	}
	running := in.State == container.StateRunning || in.State == container.StatePaused
	c.Running = &running
	identify(&c, in.Labels)
	return c
}

// atStart makes the answer to an inspect asked at a "start" event speak of the
// run that began with it. The engine notes StartedAt a moment before it tells
// the event; a later StartedAt is another run, of which an event of its own comes.
func atStart(c observe.Container, at time.Time) observe.Container {
	if !c.StartedAt.IsZero() && !c.StartedAt.After(at) {
		return c
	}
	c.StartedAt, c.PID, c.Exit, c.ExitCode, c.FinishedAt = time.Time{}, 0, nil, nil, time.Time{}
	return c
}
