package docker

import (
	"bytes"
	"encoding/json"
	"io"
	"regexp"

	"github.com/oomwatch/oomwatch/audit"
	"github.com/oomwatch/oomwatch/redact"
)

// settings is the part of inspect's answer that the audit judges, beside document. Of
// the environment only names leave this file, and what sets a heap.
type settings struct {
	Image  string // the image's id
	Path   string
	Args   []string
	Config *struct {
		Image       string
		User        string
		Env         []string
		Labels      map[string]string
		Healthcheck *struct{ Test []string }
	}
	HostConfig *struct {
		OomKillDisable *bool
		OomScoreAdj    int
		CgroupParent   string
		PidsLimit      *int64
		Init           *bool
		Ulimits        []struct {
			Name string
			Soft int64
		}
		Privileged  bool
		CapAdd      []string
		NetworkMode string
		PidMode     string
		IpcMode     string
		UTSMode     string
		SecurityOpt []string
		Devices     []struct{ PathOnHost string }
	}
	Mounts []struct {
		Type, Name, Source, Destination string
		RW                              bool
	}
}

// Labels by which others than Compose say that they define a container.
const (
	labelSwarmService = "com.docker.swarm.service.name"
	labelPodContainer = "io.kubernetes.container.name"
	labelQuadlet      = "PODMAN_SYSTEMD_UNIT"
)

// definitionOf reads one container's inspect answer for the audit.
func definitionOf(raw json.RawMessage, runtime string) (audit.Container, error) {
	var d document
	var s settings
	if err := json.Unmarshal(raw, &d); err != nil {
		return audit.Container{}, err
	}
	if err := json.Unmarshal(raw, &s); err != nil {
		return audit.Container{}, err
	}
	seen := d.container(runtime)
	c := audit.Container{Container: seen.Container, PID: seen.PID, Created: parseTime(d.Created), Held: -1, ParentLimit: -1, OpenFiles: -1,
		Command: append([]string{s.Path}, s.Args...)}
	if cfg := s.Config; cfg != nil {
		c.Owner = ownerOf(cfg.Labels, c.Name)
		if ignore := cfg.Labels[audit.Label]; ignore != "" {
			if c.Labels == nil {
				c.Labels = map[string]string{}
			}
			c.Labels[audit.Label] = ignore // of many labels some are left out
		}
		c.User = cfg.User
		c.HasHealth = cfg.Healthcheck != nil && len(cfg.Healthcheck.Test) > 0 && cfg.Healthcheck.Test[0] != "NONE"
		c.Environment(cfg.Env)
	}
	s.define(&c)
	if h := d.HostConfig; h != nil {
		c.CPUQuota, c.ReadonlyRoot = seen.CPUQuota, h.ReadonlyRootfs
		c.RestartName, c.RetryMax = h.RestartPolicy.Name, h.RestartPolicy.MaximumRetryCount
		c.LogDriver, c.LogOptions = h.LogConfig.Type, h.LogConfig.Config
	}
	for _, m := range s.Mounts {
		switch {
		case m.Type == "bind":
			c.Binds = append(c.Binds, audit.Bind{Source: m.Source, Destination: m.Destination, Writable: m.RW})
		case m.Type == "volume" && reAnonymous.MatchString(m.Name):
			c.AnonymousVolumes = append(c.AnonymousVolumes, m.Destination)
		}
	}
	return c, nil
}

// define takes what the engine was told of it.
func (s *settings) define(c *audit.Container) {
	h := s.HostConfig
	if h == nil {
		return
	}
	c.OOMKillDisable = h.OomKillDisable != nil && *h.OomKillDisable
	c.OOMScoreAdj, c.CgroupParent = h.OomScoreAdj, h.CgroupParent
	if h.PidsLimit != nil {
		c.PidsLimit = *h.PidsLimit
	}
	c.Init = h.Init != nil && *h.Init
	for _, u := range h.Ulimits {
		if u.Name == "nofile" {
			c.OpenFiles = u.Soft
		}
	}
	c.Privileged, c.CapAdd, c.SecurityOpts = h.Privileged, h.CapAdd, h.SecurityOpt
	c.NetworkHost, c.PIDHost, c.IPCHost, c.UTSHost = h.NetworkMode == "host", h.PidMode == "host", h.IpcMode == "host", h.UTSMode == "host"
	for _, d := range h.Devices {
		c.Devices = append(c.Devices, redact.Cut(d.PathOnHost, redact.MaxLabelValue))
	}
}

// reAnonymous is the name that the engine gives a volume that has none.
var reAnonymous = regexp.MustCompile(`^[0-9a-f]{64}$`)

// ownerOf says who defines a container, by its labels.
func ownerOf(labels map[string]string, name string) audit.Owner {
	switch {
	case labels[labelPodContainer] != "":
		return audit.Owner{Kind: audit.OwnerPod, Name: labels[labelPodContainer]}
	case labels[labelSwarmService] != "":
		return audit.Owner{Kind: audit.OwnerSwarm, Name: labels[labelSwarmService]}
	case labels[labelService] != "":
		return audit.Owner{Kind: audit.OwnerCompose, Name: labels[labelService]}
	case labels[labelQuadlet] != "":
		return audit.Owner{Kind: audit.OwnerQuadlet, Name: labels[labelQuadlet]}
	}
	return audit.Owner{Kind: audit.OwnerRun, Name: name}
}

// ReadDefinitions reads what docker inspect prints, as ReadInspect does, for the audit.
func ReadDefinitions(r io.Reader) ([]audit.Container, error) {
	var out []audit.Container
	err := eachInspected(r, func(raw json.RawMessage) error {
		var head struct {
			ID    string `json:"Id"`
			State *struct{}
		}
		if err := json.Unmarshal(raw, &head); err != nil || head.ID == "" || head.State == nil {
			return errNoContainer
		}
		c, err := definitionOf(raw, runtimeOf(raw))
		if err == nil {
			out = append(out, c)
		}
		return err
	})
	return out, err
}

// runtimeOf tells Podman's output by what Docker's has not.
func runtimeOf(raw json.RawMessage) string {
	if bytes.Contains(raw, []byte(`"OCIRuntime"`)) || bytes.Contains(raw, []byte(`"ConmonPidFile"`)) {
		return "podman"
	}
	return "docker"
}

// cpus is a CPU quota in CPUs, of inspect's billionths, or its microseconds in each
// period; 0 for none.
func cpus(nano, quota, period int64) float64 {
	switch {
	case nano > 0:
		return float64(nano) / 1e9
	case quota <= 0:
		return 0
	case period <= 0:
		period = 100_000 // the kernel's default
	}
	return float64(quota) / float64(period)
}
