package gather

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oomwatch/oomwatch/audit"
)

// quietPod breaks no rule.
const quietPod = `
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, uid: 3f2a1b9c-8e77-4a5d-9d21-012345678901}
spec:
  securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
  containers:
  - name: app
    image: shop/web:1.4
    command: [java, -Xmx128m, -jar, a.jar]
    resources: {limits: {memory: 256Mi, cpu: 500m}}
    env: [{name: API_TOKEN, valueFrom: {secretKeyRef: {name: x, key: y}}}, {name: MODE, value: fast}]
    readinessProbe: {httpGet: {port: 80}}
    securityContext: {readOnlyRootFilesystem: true, allowPrivilegeEscalation: false}
status: {containerStatuses: [{name: app, restartCount: 2, containerID: "containerd://4f2f3d8f"}]}
`

// TestManifests breaks one rule after the other in a pod that breaks none.
func TestManifests(t *testing.T) {
	for _, tt := range []struct{ old, new, want string }{
		{"", "", ""},
		{"memory: 256Mi, ", "", "memory.no_limit"},
		{"-Xmx128m", "-Xmx256m", "memory.heap_above_limit"},
		{"-Xmx128m", "-XX:MaxRAMPercentage=95", "memory.heap_above_limit"},
		{"cpu: 500m", "cpu: 0.02", "cpu.quota_tiny"},
		{"cpu: 500m", "cpu: 20m", "cpu.quota_tiny"},
		{"cpu: 500m", "cpu: 2", ""},
		{"valueFrom: {secretKeyRef: {name: x, key: y}}", "value: hunter2hunter2", "sec.env_secrets"},
		{"readinessProbe: {httpGet: {port: 80}}", "", "health.none"},
		{"readinessProbe:", "livenessProbe:", ""},
		{"shop/web:1.4", "shop/web", "image.latest"},
		{"shop/web:1.4", "shop/web:latest", "image.latest"},
		{"shop/web:1.4", "shop/web@sha256:0123", ""},
		{"readOnlyRootFilesystem: true, ", "", "sec.writable_root"},
		{", allowPrivilegeEscalation: false", "", "sec.new_privileges"},
		{"readOnlyRootFilesystem: true", "readOnlyRootFilesystem: true, privileged: true", "sec.privileged"},
		{"readOnlyRootFilesystem: true", "readOnlyRootFilesystem: true, capabilities: {add: [SYS_PTRACE, CHOWN]}", "sec.capabilities"},
		{"readOnlyRootFilesystem: true", "readOnlyRootFilesystem: true, runAsUser: 0", "sec.root_user"},
		{"runAsNonRoot: true, ", "", ""}, // what the image says is not known
		{"RuntimeDefault", "Unconfined", "sec.seccomp_off"},
		{"spec:\n", "spec:\n  hostNetwork: true\n", "sec.host_network"},
		{"spec:\n", "spec:\n  hostPID: true\n", "sec.host_pid"},
		{"spec:\n", "spec:\n  hostIPC: true\n", "sec.host_ipc"},
		{"spec:\n", "spec:\n  volumes: [{name: v, hostPath: {path: /etc}}]\n", ""}, // not mounted
		{"  containers:\n  - name: app\n", "  volumes: [{name: v, hostPath: {path: /etc/}}]\n  containers:\n  - name: app\n    volumeMounts: [{name: v, mountPath: /e}]\n", "sec.host_paths"},
		{"  containers:\n  - name: app\n", "  volumes: [{name: v, hostPath: {path: /run/crio/crio.sock}}]\n  containers:\n  - name: app\n    volumeMounts: [{name: v, mountPath: /s, readOnly: true}]\n", "sec.docker_socket"},
		{"shop/web:1.4", "shop/web", "image.latest"},
	} {
		if !strings.Contains(quietPod, tt.old) {
			t.Fatalf("%q is not in it", tt.old)
		}
		text := strings.Replace(quietPod, tt.old, tt.new, 1)
		f, err := Files(t.Context(), []string{"-"}, strings.NewReader(text))
		if err != nil {
			t.Errorf("%q: %v", tt.new, err)
			continue
		}
		got := ""
		for _, x := range audit.Judge(f, nil).Findings {
			got = strings.TrimSpace(got + " " + x.Rule)
			if !strings.HasPrefix(x.Fix, "In the pod's template, container app: ") && !strings.HasPrefix(x.Fix, "Change -XX:MaxRAMPercentage") || strings.Contains(x.Evidence+x.Fix, "hunter2") {
				t.Errorf("%+v", x)
			}
		}
		c := f.Containers[0]
		if got != tt.want || c.ID != "4f2f3d8f" || c.Pod.Name != "web" || c.Pod.Namespace != "shop" || *c.RestartCount != 2 {
			t.Errorf("%q: %s, want %s (%+v)", tt.new, got, tt.want, c.Container)
		}
	}
}

// TestTemplates reads what makes Pods, and Lists, as YAML and as JSON.
func TestTemplates(t *testing.T) {
	const spec = `{"containers": [{"name": "app", "image": "shop/web:1"}]}`
	const left = `{"annotations": {"oomwatch.audit.ignore": "sec.*"}}`
	for name, text := range map[string]string{
		"deployment": `{"kind": "Deployment", "metadata": {"name": "web"}, "spec": {"template": {"metadata": ` + left + `, "spec": ` + spec + `}}}`,
		"cronjob":    "kind: CronJob\nmetadata: {name: web}\nspec:\n  jobTemplate: {spec: {template: {metadata: " + left + ", spec: " + spec + "}}}\n",
		"list":       `{"apiVersion": "v1", "items": [{"kind": "Pod", "metadata": {"name": "web", "annotations": {"oomwatch.audit.ignore": "sec.*"}}, "spec": ` + spec + `}], "kind": "List"}`,
		"documents":  "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: [{port: 80}]}\n---\nkind: StatefulSet\nmetadata: {name: web}\nspec: {template: {metadata: " + left + ", spec: " + spec + "}}\n",
	} {
		f, err := Files(t.Context(), []string{"-"}, strings.NewReader(text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		r := audit.Judge(f, nil)
		got := map[string]bool{}
		for _, x := range r.Findings {
			got[x.Rule] = true
		}
		if diff := cmp.Diff([]string{"health.none", "memory.no_limit"}, slices.Sorted(maps.Keys(got))); diff != "" || len(r.Containers) != 1 || r.Containers[0].Pod.Name != "web" || r.Excluded != 2 {
			t.Errorf("%s: %+v, %d left out, -want +got:\n%s", name, r.Containers, r.Excluded, diff)
		}
	}
}

func TestManifestsThatAreNone(t *testing.T) {
	for in, want := range map[string]string{
		"kind: Service\nspec: {}\n":                             "no manifest in it has containers",
		"kind: Pod\nspec: [\n":                                  "read the manifest",
		"kind: Pod\nx: &a [1]\ny: *a\n":                         "anchors",
		"kind: Pod\nspec: {containers: {name: x}}\n":            "read the manifest",
		`{"status": {"state": "CONTAINER_RUNNING"}, "info": 4}`: "",
	} {
		_, err := Files(t.Context(), []string{"-"}, strings.NewReader(in))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", in, err, want)
		}
	}
}

// TestPodCgroups tells a pod's cgroup from those above it.
func TestPodCgroups(t *testing.T) {
	for path, want := range map[string]bool{
		"/kubepods/burstable/pod3f2a1b9c-8e77-4a5d-9d21-012345678901":                                     true,
		"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod3f2a1b9c_8e77_4a5d_9d21_01.slice": true,
		"/kubepods.slice/kubepods-pod3f2a1b9c_8e77.slice":                                                 true,
		"/kubepods": false, "/kubepods/besteffort": false, "/kubepods.slice": false, "/kubepods.slice/kubepods-burstable.slice": false, "/": false,
	} {
		if got := rePod.MatchString(path); got != want {
			t.Errorf("%s: %v", path, got)
		}
	}
}

// TestCrictlInspect reads what crictl 1.37 printed of two containers of containerd 1.6
// that ran, and of one that had ended.
func TestCrictlInspect(t *testing.T) {
	f, err := Files(t.Context(), []string{"testdata/crictl.json"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][]string{}
	for _, x := range audit.Judge(f, nil).Findings {
		got[x.Container.Pod.Name] = append(got[x.Container.Pod.Name], x.Rule)
	}
	want := map[string][]string{
		"heap": {"memory.heap_above_limit", "sec.seccomp_off"},
		"root": {"sec.seccomp_off", "sec.writable_root", "sec.new_privileges", "sec.root_user"},
	}
	if diff := cmp.Diff(want, got); diff != "" || len(f.Containers) != 2 {
		t.Errorf("%d containers, -want +got:\n%s", len(f.Containers), diff)
	}
}
