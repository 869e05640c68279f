package docs

import (
	"bytes"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/template"

	"github.com/goccy/go-yaml"

	"github.com/oomwatch/oomwatch/internal/host"
)

const (
	manifests = "examples/kubernetes/daemonset.yaml"
	chart     = "examples/kubernetes/helm/oomwatch"
)

// podSpec is what is looked at of a pod.
type podSpec struct {
	HostPID                      bool              `yaml:"hostPID"`
	HostNetwork                  bool              `yaml:"hostNetwork"`
	NodeSelector                 map[string]string `yaml:"nodeSelector"`
	ServiceAccountName           string            `yaml:"serviceAccountName"`
	AutomountServiceAccountToken *bool             `yaml:"automountServiceAccountToken"`
	Containers                   []struct {
		Args []string
		Env  []struct {
			Name      string
			ValueFrom struct {
				FieldRef struct {
					FieldPath string `yaml:"fieldPath"`
				} `yaml:"fieldRef"`
			} `yaml:"valueFrom"`
		}
		SecurityContext struct {
			Privileged               *bool
			AllowPrivilegeEscalation *bool                 `yaml:"allowPrivilegeEscalation"`
			ReadOnlyRootFilesystem   *bool                 `yaml:"readOnlyRootFilesystem"`
			SeccompProfile           struct{ Type string } `yaml:"seccompProfile"`
			Capabilities             struct{ Drop, Add []string }
		} `yaml:"securityContext"`
		VolumeMounts []struct {
			Name      string
			MountPath string `yaml:"mountPath"`
			ReadOnly  bool   `yaml:"readOnly"`
		} `yaml:"volumeMounts"`
	}
	Volumes []struct {
		Name     string
		HostPath *struct{ Path string } `yaml:"hostPath"`
	}
}

// pods are the pods of all documents in a text.
func podsOf(t *testing.T, name, text string) (out []podSpec) {
	t.Helper()
	for _, doc := range strings.Split(text, "\n---\n") {
		var pod struct {
			Kind string
			Spec podSpec
		}
		var set struct {
			Spec struct{ Template struct{ Spec podSpec } }
		}
		err := yaml.Unmarshal([]byte(doc), &pod)
		if err == nil && pod.Kind == "DaemonSet" {
			err = yaml.Unmarshal([]byte(doc), &set)
			out = append(out, set.Spec.Template.Spec)
		} else if err == nil && pod.Kind == "Pod" {
			out = append(out, pod.Spec)
		}
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, doc)
		}
	}
	return out
}

// render renders the chart as helm does, with the few functions that it uses, and values
// over its own.
func render(t *testing.T, values string) map[string]string {
	t.Helper()
	own, err := os.ReadFile(filepath.Join(root, chart, "values.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]any{}
	for _, text := range []string{string(own), values} {
		var some map[string]any
		if err := yaml.Unmarshal([]byte(text), &some); err != nil {
			t.Fatal(err)
		}
		maps.Copy(all, some)
	}
	funcs := template.FuncMap{
		"toYaml": func(v any) (string, error) { b, err := yaml.Marshal(v); return strings.TrimSpace(string(b)), err },
		"nindent": func(n int, s string) string {
			return "\n" + strings.Repeat(" ", n) + strings.ReplaceAll(s, "\n", "\n"+strings.Repeat(" ", n))
		},
		"dir": path.Dir,
		"default": func(other, v any) any {
			if v == nil || v == "" {
				return other
			}
			return v
		},
	}
	out := map[string]string{}
	for _, pattern := range []string{"templates/*.yaml", "templates/*.txt", "templates/tests/*.yaml"} {
		files, err := filepath.Glob(filepath.Join(root, chart, pattern))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v", pattern, err)
		}
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			tm, err := template.New(f).Funcs(funcs).Option("missingkey=error").Parse(string(b))
			if err != nil {
				t.Fatal(err)
			}
			var text bytes.Buffer
			if err := tm.Execute(&text, map[string]any{"Values": all, "Release": map[string]any{"Name": "ow", "Namespace": "ns"}, "Chart": map[string]any{"AppVersion": "1.2.3"}}); err != nil {
				t.Fatal(err)
			}
			out[filepath.Base(f)] = text.String()
		}
	}
	return out
}

// TestKubernetes holds the manifests and the chart to what the documentation says: not
// privileged, no token, nothing of the host's that can be written but the store.
func TestKubernetes(t *testing.T) {
	plain, err := os.ReadFile(filepath.Join(root, manifests))
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{manifests: string(plain)}
	rendered := render(t, "existingSecret: alerts\nserviceMonitor: {enabled: true, interval: 10s, labels: {team: a}}\nnodeSelector: {a: b}\ncriSocket: /run/k0s/containerd.sock\njournal: {enabled: true}\ntrace: {enabled: false}\nimage: {repository: r, tag: t, pullPolicy: Always, pullSecrets: [{name: s}]}\nseLinuxOptions: {type: spc_t}\n")
	if !strings.Contains(rendered["servicemonitor.yaml"], "kind: ServiceMonitor") || !strings.Contains(rendered["daemonset.yaml"], "--config=/etc/oomwatch/config.yaml") {
		t.Errorf("the chart leaves out what it is asked for:\n%s", rendered["servicemonitor.yaml"])
	}
	for text, places := range map[string][]string{
		"--cri=unix:///run/k0s/containerd.sock": {"daemonset.yaml", "doctor.yaml"}, "path: /run/k0s}": {"daemonset.yaml", "doctor.yaml"},
		"type: spc_t": {"daemonset.yaml", "doctor.yaml"}, "name: s": {"daemonset.yaml", "doctor.yaml"}, "mountPath: /var/log/journal": {"daemonset.yaml"},
	} {
		for _, place := range places {
			if !strings.Contains(rendered[place], text) {
				t.Errorf("%s: no %q:\n%s", place, text, rendered[place])
			}
		}
	}
	for _, text := range []string{"/run/containerd", "tracing"} {
		if strings.Contains(rendered["daemonset.yaml"], text) {
			t.Errorf("the chart has %q, which it is asked to leave out", text)
		}
	}
	for name, text := range render(t, "") {
		if (name == "servicemonitor.yaml" || name == "events.yaml") && strings.TrimSpace(text) != "" {
			t.Errorf("%s: made unasked:\n%s", name, text)
		}
		rendered["plain "+name] = text
	}
	for name, text := range rendered {
		if !strings.HasSuffix(name, ".txt") {
			texts[name] = text
		}
	}
	n := 0
	for name, text := range texts {
		for _, p := range podsOf(t, name, text) {
			n++
			checkPod(t, name, p)
		}
	}
	if n != 5 {
		t.Errorf("%d pods, want 5", n)
	}
}

// TestKubernetesEvents holds the rights that events take to two verbs on events, in the
// manifests and in the chart, which alone gives the pod its account's token.
func TestKubernetesEvents(t *testing.T) {
	plain, err := os.ReadFile(filepath.Join(root, "examples/kubernetes/events.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	rendered := render(t, "events: {enabled: true}\n")
	for name, text := range map[string]string{"events.yaml": string(plain), "the chart's": rendered["events.yaml"]} {
		roles, bound := 0, ""
		for _, doc := range strings.Split(text, "\n---\n") {
			var o struct {
				Kind     string
				Metadata struct{ Name string }
				Rules    []struct {
					APIGroups        []string `yaml:"apiGroups"`
					Resources, Verbs []string
				}
				RoleRef  struct{ Name string } `yaml:"roleRef"`
				Subjects []struct{ Kind, Name, Namespace string }
			}
			if err := yaml.Unmarshal([]byte(doc), &o); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			switch o.Kind {
			case "ClusterRole":
				roles++
				bound = o.Metadata.Name
				if len(o.Rules) != 1 || !slices.Equal(o.Rules[0].APIGroups, []string{""}) || !slices.Equal(o.Rules[0].Resources, []string{"events"}) || !slices.Equal(o.Rules[0].Verbs, []string{"create", "patch"}) {
					t.Errorf("%s: the role may %+v", name, o.Rules)
				}
			case "ClusterRoleBinding":
				if o.RoleRef.Name != bound || len(o.Subjects) != 1 || o.Subjects[0].Kind != "ServiceAccount" {
					t.Errorf("%s: %+v of %q", name, o, bound)
				}
			}
		}
		if roles != 1 {
			t.Errorf("%s: %d roles", name, roles)
		}
	}
	pod := podsOf(t, "daemonset.yaml", rendered["daemonset.yaml"])[0]
	if pod.ServiceAccountName != "ow" || pod.AutomountServiceAccountToken == nil || !*pod.AutomountServiceAccountToken {
		t.Errorf("the pod has no account: %+v", pod)
	}
}

func checkPod(t *testing.T, name string, p podSpec) {
	t.Helper()
	if !p.HostPID || p.HostNetwork || p.AutomountServiceAccountToken == nil || *p.AutomountServiceAccountToken || p.ServiceAccountName != "" || len(p.Containers) != 1 {
		t.Errorf("%s: %+v", name, p)
		return
	}
	c := p.Containers[0]
	s := c.SecurityContext
	if s.Privileged == nil || *s.Privileged || s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation || s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem ||
		s.SeccompProfile.Type != "RuntimeDefault" || !slices.Equal(s.Capabilities.Drop, []string{"ALL"}) || !slices.Equal(s.Capabilities.Add, []string{"SYSLOG", "DAC_READ_SEARCH", "SYS_PTRACE"}) {
		t.Errorf("%s: %+v", name, s)
	}
	if len(p.NodeSelector) == 0 {
		t.Errorf("%s: it is put on nodes of other systems than Linux", name)
	}
	ofHost := map[string]bool{}
	for _, v := range p.Volumes {
		ofHost[v.Name] = v.HostPath != nil
	}
	for _, m := range c.VolumeMounts {
		if ofHost[m.Name] && !m.ReadOnly && m.Name != "store" && (m.Name != "tracing" || strings.HasPrefix(m.MountPath, "/sys/")) {
			t.Errorf("%s: %s of the host can be written", name, m.MountPath)
		}
	}
	if c.Args[0] == "run" && (len(c.Env) != 1 || c.Env[0].Name != host.NodeEnv || c.Env[0].ValueFrom.FieldRef.FieldPath != "spec.nodeName") {
		t.Errorf("%s: incidents do not name the node: %+v", name, c.Env)
	}
	// The program must know what it is called with.
	if out, err := exec.Command(binary, append(slices.Clone(c.Args), "--help")...).CombinedOutput(); err != nil {
		t.Errorf("%s: %v: %v\n%s", name, c.Args, err, out)
	}
}

// TestKubernetesConfig holds the Secret that the manifest's comments name to what it mounts.
func TestKubernetesConfig(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(root, manifests))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"create secret generic oomwatch --from-file=config.yaml", "# - --config=/etc/oomwatch/config.yaml", "mountPath: /etc/oomwatch,", "secretName: oomwatch, optional: true"} {
		if !strings.Contains(string(b), want) {
			t.Errorf("no %q", want)
		}
	}
}
