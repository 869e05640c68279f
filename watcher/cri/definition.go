package cri

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/oomwatch/oomwatch/audit"
	"github.com/oomwatch/oomwatch/redact"
)

// settings is the part of a verbose status that the audit judges: what the kubelet asked
// for, where the runtime says so (containerd does), and what it was given. Of the
// environment only names leave this file, and what sets a heap.
type settings struct {
	SandboxID  string `json:"sandboxID"`
	PID        int    `json:"pid"`
	Privileged bool   `json:"privileged"` // CRI-O says it here
	Config     struct {
		Devices []struct {
			HostPath string `json:"host_path"`
		} `json:"devices"`
		Linux struct {
			Security struct {
				Privileged bool       `json:"privileged"`
				Namespaces namespaces `json:"namespace_options"`
			} `json:"security_context"`
		} `json:"linux"`
	} `json:"config"`
	Spec struct {
		Process struct {
			User         struct{ UID int64 }
			Args, Env    []string
			Capabilities struct{ Bounding []string }
			Rlimits      []struct {
				Type string
				Soft uint64
			}
			NoNewPrivileges bool
			OOMScoreAdj     int `json:"oomScoreAdj"`
		}
		Root   struct{ Readonly bool }
		Mounts []struct {
			Type, Source, Destination string
			Options                   []string
		}
		Linux struct {
			Resources struct {
				Memory struct{ Limit, Swap int64 }
				CPU    struct{ Quota, Period int64 }
				Pids   struct{ Limit int64 }
			}
			Namespaces []struct{ Type string }
			Seccomp    json.RawMessage
		}
	} `json:"runtimeSpec"`
}

// namespaces are CRI's NamespaceOption: nodeMode is the host's own.
type namespaces struct{ Network, PID, IPC int }

const nodeMode = 2

// define turns a container's status, with what the runtime adds on request, into what the
// audit judges. pod is nil where its sandbox was not asked.
func (s *status) define(set *settings, runtime string, pod *sandbox) audit.Container {
	seen := s.container(runtime, pod, 0)
	p := &set.Spec.Process
	c := audit.Container{Container: seen.Container, PID: set.PID, Held: -1, ParentLimit: -1, OpenFiles: -1, Command: p.Args,
		Owner: audit.Owner{Kind: audit.OwnerPod, Name: s.name}, User: strconv.FormatInt(p.User.UID, 10), OOMScoreAdj: p.OOMScoreAdj,
		Privileged: set.Privileged || set.Config.Linux.Security.Privileged, ReadonlyRoot: set.Spec.Root.Readonly}
	if ignore := s.annotations[audit.Label]; ignore != "" {
		c.Labels[audit.Label] = ignore
	} else if pod != nil && pod.annotations[audit.Label] != "" {
		c.Labels[audit.Label] = pod.annotations[audit.Label]
	}
	if !c.Privileged {
		for _, name := range p.Capabilities.Bounding {
			c.CapAdd = append(c.CapAdd, strings.TrimPrefix(name, "CAP_"))
		}
	}
	c.Environment(p.Env)
	for _, l := range p.Rlimits {
		if l.Type == "RLIMIT_NOFILE" {
			c.OpenFiles = int64(min(l.Soft, 1<<62))
		}
	}
	c.Mapped = slices.ContainsFunc(set.Spec.Linux.Namespaces, func(n struct{ Type string }) bool { return n.Type == "user" })
	if p.NoNewPrivileges {
		c.SecurityOpts = append(c.SecurityOpts, "no-new-privileges")
	}
	if len(p.Args) > 0 && (len(set.Spec.Linux.Seccomp) == 0 || string(set.Spec.Linux.Seccomp) == "null") {
		c.SecurityOpts = append(c.SecurityOpts, "seccomp=unconfined")
	}
	r := &set.Spec.Linux.Resources
	c.PidsLimit = r.Pids.Limit
	if r.CPU.Quota > 0 && r.CPU.Period > 0 {
		c.CPUQuota = float64(r.CPU.Quota) / float64(r.CPU.Period)
	}
	if c.MemoryLimit == nil && r.Memory.Limit > 0 {
		c.MemoryLimit = &r.Memory.Limit
	}
	for _, m := range set.Spec.Mounts {
		if m.Type == "bind" {
			c.Binds = append(c.Binds, audit.Bind{Source: m.Source, Destination: m.Destination, Writable: !slices.Contains(m.Options, "ro")})
		}
	}
	for _, d := range set.Config.Devices {
		c.Devices = append(c.Devices, redact.Cut(d.HostPath, redact.MaxLabelValue))
	}
	shares := []namespaces{set.Config.Linux.Security.Namespaces}
	if pod != nil {
		shares = append(shares, pod.shares)
	}
	for _, n := range shares {
		c.NetworkHost = c.NetworkHost || n.Network == nodeMode
		c.PIDHost = c.PIDHost || n.PID == nodeMode
		c.IPCHost = c.IPCHost || n.IPC == nodeMode
	}
	return c
}

// saved is what crictl inspect prints of a container.
type saved struct {
	Status *struct {
		ID       string
		Metadata struct {
			Name    string
			Attempt int
		}
		State               string
		StartedAt           string
		Image               struct{ Image, UserSpecifiedImage string }
		Labels, Annotations map[string]string
		Resources           struct {
			Linux struct {
				MemoryLimit json.RawMessage `json:"memoryLimitInBytes"`
			}
		}
	} `json:"status"`
	Info settings `json:"info"`
}

// maxInspect bounds the text of crictl inspect that is read.
const maxInspect = 64 << 20

// ErrOther is for what crictl inspect does not print.
var ErrOther = errors.New("it is no container of crictl inspect")

// ReadDefinitions reads what crictl inspect printed of containers, one after the other or
// in lists, for the audit. Those that do not run are left out.
func ReadDefinitions(in []byte) ([]audit.Container, error) {
	if len(in) > maxInspect {
		return nil, fmt.Errorf("the inspect output is longer than %d MiB", maxInspect>>20)
	}
	dec := json.NewDecoder(bytes.NewReader(in))
	var out []audit.Container
	for {
		var raw json.RawMessage
		if err := dec.Decode(&raw); err == io.EOF {
			return out, nil
		} else if err != nil {
			return nil, fmt.Errorf("after byte %d: %w", dec.InputOffset(), err)
		}
		list := []json.RawMessage{raw}
		if raw[0] == '[' {
			if err := json.Unmarshal(raw, &list); err != nil {
				return nil, err
			}
		}
		for _, one := range list {
			c, runs, err := definitionOf(one)
			if err != nil {
				return nil, err
			}
			if runs {
				out = append(out, c)
			}
		}
	}
}

func definitionOf(raw json.RawMessage) (c audit.Container, runs bool, err error) {
	var d saved
	if err := json.Unmarshal(raw, &d); err != nil {
		return c, false, err
	}
	if d.Status == nil || d.Status.ID == "" || d.Status.Metadata.Name == "" {
		return c, false, ErrOther
	}
	s := &status{id: d.Status.ID, name: d.Status.Metadata.Name, attempt: d.Status.Metadata.Attempt, image: d.Status.Image.Image,
		labels: d.Status.Labels, annotations: d.Status.Annotations}
	if u := d.Status.Image.UserSpecifiedImage; u != "" {
		s.image = u
	}
	if n, err := strconv.ParseInt(strings.Trim(string(d.Status.Resources.Linux.MemoryLimit), `"`), 10, 64); err == nil {
		s.memoryLimit = n
	}
	if d.Status.State == "CONTAINER_RUNNING" {
		s.state = running
	}
	// Which runtime printed it is not said.
	return s.define(&d.Info, "kubernetes", nil), s.state == running, nil
}
