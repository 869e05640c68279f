package gather

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/oomwatch/oomwatch/audit"
	"github.com/oomwatch/oomwatch/incident"
)

// manifest is what is used of a Pod, of what makes Pods by a template, or of a List.
type manifest struct {
	Kind     string     `yaml:"kind"`
	Items    []manifest `yaml:"items"`
	Metadata metadata   `yaml:"metadata"`
	Spec     struct {
		Pod      podSpec  `yaml:",inline"`
		Template template `yaml:"template"`
		Job      struct {
			Spec struct {
				Template template `yaml:"template"`
			} `yaml:"spec"`
		} `yaml:"jobTemplate"`
	} `yaml:"spec"`
	Status struct {
		Containers []struct {
			Name     string `yaml:"name"`
			ID       string `yaml:"containerID"`
			Restarts int    `yaml:"restartCount"`
		} `yaml:"containerStatuses"`
	} `yaml:"status"`
}

type template struct {
	Metadata metadata `yaml:"metadata"`
	Spec     podSpec  `yaml:"spec"`
}

type metadata struct {
	Name        string            `yaml:"name"`
	Namespace   string            `yaml:"namespace"`
	UID         string            `yaml:"uid"`
	Annotations map[string]string `yaml:"annotations"`
}

type podSpec struct {
	Containers []podContainer `yaml:"containers"`
	Volumes    []struct {
		Name     string `yaml:"name"`
		HostPath *struct {
			Path string `yaml:"path"`
		} `yaml:"hostPath"`
	} `yaml:"volumes"`
	HostNetwork bool            `yaml:"hostNetwork"`
	HostPID     bool            `yaml:"hostPID"`
	HostIPC     bool            `yaml:"hostIPC"`
	HostUsers   *bool           `yaml:"hostUsers"`
	Grace       *float64        `yaml:"terminationGracePeriodSeconds"`
	Security    securityContext `yaml:"securityContext"`
}

type podContainer struct {
	Name      string   `yaml:"name"`
	Image     string   `yaml:"image"`
	Command   []string `yaml:"command"`
	Args      []string `yaml:"args"`
	Resources struct {
		Limits map[string]any `yaml:"limits"`
	} `yaml:"resources"`
	Env []struct {
		Name  string `yaml:"name"`
		Value string `yaml:"value"`
	} `yaml:"env"`
	Mounts []struct {
		Name     string `yaml:"name"`
		Path     string `yaml:"mountPath"`
		ReadOnly bool   `yaml:"readOnly"`
	} `yaml:"volumeMounts"`
	Liveness  any             `yaml:"livenessProbe"`
	Readiness any             `yaml:"readinessProbe"`
	Startup   any             `yaml:"startupProbe"`
	Security  securityContext `yaml:"securityContext"`
}

// securityContext is a pod's or a container's.
type securityContext struct {
	Privileged   bool   `yaml:"privileged"`
	User         *int64 `yaml:"runAsUser"`
	NonRoot      *bool  `yaml:"runAsNonRoot"`
	ReadonlyRoot bool   `yaml:"readOnlyRootFilesystem"`
	Escalation   *bool  `yaml:"allowPrivilegeEscalation"`
	Capabilities struct {
		Add []string `yaml:"add"`
	} `yaml:"capabilities"`
	Seccomp struct {
		Type string `yaml:"type"`
	} `yaml:"seccompProfile"`
}

// maxManifest bounds a manifest's text that is parsed.
const maxManifest = 16 << 20

// reManifest finds what every manifest has, as YAML and as JSON; reAnchor finds a YAML
// anchor or alias: no manifest that is printed has one, and a few lines of them unfold to
// gigabytes.
var (
	reManifest = regexp.MustCompile(`(?m)^\s*[{"]*kind"?\s*:\s*"?[A-Z]|"kind"\s*:\s*"`)
	reAnchor   = regexp.MustCompile(`(?m)^[^"'#|]{0,200}[:\-\[]\s+[&*][A-Za-z0-9_]+`)
)

// readManifests reads Pods, what makes them (Deployment, DaemonSet, CronJob, ...), and
// Lists of them, as YAML or JSON.
func readManifests(in []byte) ([]audit.Container, error) {
	if len(in) > maxManifest {
		return nil, fmt.Errorf("the manifest is longer than %d MiB", maxManifest>>20)
	}
	if reAnchor.Match(in) {
		return nil, errors.New("the manifest has YAML anchors or aliases: give what kubectl get -o yaml prints")
	}
	dec := yaml.NewDecoder(bytes.NewReader(in))
	var out []audit.Container
	for {
		var m manifest
		if err := dec.Decode(&m); err == io.EOF {
			break
		} else if err != nil {
			return nil, fmt.Errorf("read the manifest: %s", yaml.FormatError(err, false, false))
		}
		for _, one := range append([]manifest{m}, m.Items...) {
			out = append(out, one.containers()...)
		}
	}
	if len(out) == 0 {
		return nil, errors.New("no manifest in it has containers (want a Pod, or what makes Pods: a Deployment, a StatefulSet, a DaemonSet, a Job, a CronJob)")
	}
	return out, nil
}

// containers are those of a manifest; those that end before the others begin are left out.
func (m *manifest) containers() (out []audit.Container) {
	t := template{m.Metadata, m.Spec.Pod}
	switch {
	case len(m.Spec.Template.Spec.Containers) > 0:
		t = m.Spec.Template
	case len(m.Spec.Job.Spec.Template.Spec.Containers) > 0:
		t = m.Spec.Job.Spec.Template
	}
	pod := &incident.Pod{Name: m.Metadata.Name, Namespace: cmp.Or(m.Metadata.Namespace, t.Metadata.Namespace), UID: m.Metadata.UID}
	for i := range t.Spec.Containers {
		c := t.Spec.define(&t.Spec.Containers[i])
		c.Pod, c.Labels = pod, map[string]string{audit.Label: t.Metadata.Annotations[audit.Label]}
		for _, st := range m.Status.Containers {
			if st.Name == c.Name {
				_, c.ID, _ = strings.Cut(st.ID, "://")
				c.RestartCount = &st.Restarts
			}
		}
		out = append(out, c)
	}
	return out
}

// define is one container as its manifest has it. What the image sets is not known.
func (p *podSpec) define(d *podContainer) audit.Container {
	s, own := p.Security, &d.Security
	c := audit.Container{Container: incident.Container{Name: d.Name, Image: d.Image, Runtime: "kubernetes", StopGraceSecond: p.Grace},
		Owner: audit.Owner{Kind: audit.OwnerPod, Name: d.Name}, Manifest: true, Held: -1, ParentLimit: -1, OpenFiles: -1,
		Command: append(append([]string{}, d.Command...), d.Args...), Privileged: own.Privileged, CapAdd: own.Capabilities.Add, ReadonlyRoot: own.ReadonlyRoot,
		NetworkHost: p.HostNetwork, PIDHost: p.HostPID, IPCHost: p.HostIPC, Mapped: p.HostUsers != nil && !*p.HostUsers,
		HasHealth: d.Liveness != nil || d.Readiness != nil || d.Startup != nil}
	if user := cmp.Or(own.User, s.User); user != nil {
		c.User = strconv.FormatInt(*user, 10)
	} else if nonRoot := cmp.Or(own.NonRoot, s.NonRoot); nonRoot != nil && *nonRoot {
		c.User = "nonroot"
	}
	if own.Escalation != nil && !*own.Escalation {
		c.SecurityOpts = append(c.SecurityOpts, "no-new-privileges")
	}
	if cmp.Or(own.Seccomp.Type, s.Seccomp.Type) == "Unconfined" {
		c.SecurityOpts = append(c.SecurityOpts, "seccomp=unconfined")
	}
	if n, ok := quantity(d.Resources.Limits["memory"]); ok {
		c.MemoryLimit = new(int64(n))
	}
	c.CPUQuota, _ = quantity(d.Resources.Limits["cpu"])
	var env []string
	for _, e := range d.Env {
		env = append(env, e.Name+"="+e.Value)
	}
	c.Environment(env)
	for _, v := range p.Volumes {
		if v.HostPath == nil {
			continue
		}
		for _, mount := range d.Mounts {
			if mount.Name == v.Name {
				c.Binds = append(c.Binds, audit.Bind{Source: v.HostPath.Path, Destination: mount.Path, Writable: !mount.ReadOnly})
			}
		}
	}
	return c
}

// quantities are the suffixes of Kubernetes' resource.Quantity.
var quantities = []struct {
	end  string
	size float64
}{{"Ki", 1 << 10}, {"Mi", 1 << 20}, {"Gi", 1 << 30}, {"Ti", 1 << 40}, {"m", 1e-3}, {"k", 1e3}, {"M", 1e6}, {"G", 1e9}, {"T", 1e12}, {"", 1}}

// quantity reads a quantity as a manifest has it: 2, "500m", "512Mi", "128974848".
func quantity(v any) (float64, bool) {
	if v == nil {
		return 0, false
	}
	s := fmt.Sprint(v)
	for _, u := range quantities {
		if n, ok := strings.CutSuffix(s, u.end); ok {
			f, err := strconv.ParseFloat(n, 64)
			return f * u.size, err == nil && f > 0 && f*u.size < 1<<62
		}
	}
	return 0, false
}
