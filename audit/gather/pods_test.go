package gather

import (
	"context"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/oomwatch/oomwatch/audit"
	"github.com/oomwatch/oomwatch/test/lab"
	"github.com/oomwatch/oomwatch/test/lab/pods"
)

// TestPods runs a real pod for each rule that a runtime can show, and one that breaks none
// but what the lab's pods have in common.
func TestPods(t *testing.T) {
	r := pods.Start(t)
	r.Root = "oomwatch-audit-pods"
	ctx, cancel := context.WithTimeout(t.Context(), lab.Slow(2*time.Minute))
	defer cancel()
	// The lab has pods on the host's network; no kubelet limits their pids, nor gives them
	// a filter of system calls.
	common := []string{"sec.host_network", "pids.no_limit", "sec.seccomp_off"}
	good := pods.Container{Name: "main", Command: []string{"prog", "polite"}, Limit: 64 << 20, User: 1000, ReadonlyRoot: true, NoNewPrivileges: true}
	with := func(change func(*pods.Container)) pods.Container {
		c := good
		change(&c)
		return c
	}
	cases := []struct {
		name      string
		container pods.Container
		limit     int64
		ignore    string
		want      []string
	}{
		{"good", good, 0, "", nil},
		{"unlimited", with(func(c *pods.Container) { c.Limit = 0 }), 0, "", []string{"memory.no_limit"}},
		{"below", with(func(c *pods.Container) { c.Limit = 0 }), 48 << 20, "", []string{"memory.parent_limit_lower"}},
		{"heap", with(func(c *pods.Container) { c.Env = map[string]string{"JAVA_OPTS": "-Xmx64m"} }), 0, "", []string{"memory.heap_above_limit"}},
		{"secret", with(func(c *pods.Container) { c.Env = map[string]string{"DB_PASSWORD": "hunter2-hunter2"} }), 0, "", []string{"sec.env_secrets"}},
		{"caps", with(func(c *pods.Container) { c.AddCaps = []string{"NET_ADMIN"} }), 0, "", []string{"sec.capabilities"}},
		{"root", with(func(c *pods.Container) { c.User = 0; c.ReadonlyRoot = false; c.NoNewPrivileges = false }), 0, "", []string{"sec.root_user", "sec.writable_root", "sec.new_privileges"}},
		{"etc", with(func(c *pods.Container) { c.Mounts = map[string]string{"/host": "/etc"} }), 0, "", []string{"sec.host_paths"}},
		{"socket", with(func(c *pods.Container) { c.Mounts = map[string]string{"/containerd.sock": r.Socket} }), 0, "", []string{"sec.docker_socket"}},
		{"deaf", with(func(c *pods.Container) { c.Command = []string{"sleep", "1000"} }), 0, "", []string{"init.stop_signal_ignored"}},
		{"shell", with(func(c *pods.Container) { c.Command = []string{"sh", "-c", "sleep 1000; true"} }), 0, "", []string{"init.shell_form"}},
		{"morgue", with(func(c *pods.Container) { c.Command = []string{"prog", "zombies", "20"} }), 0, "", []string{"init.zombies"}},
		{"slow", with(func(c *pods.Container) { c.Quota = 2000 }), 0, "", []string{"cpu.quota_tiny"}},
		{"ignored", with(func(c *pods.Container) { c.User = 0 }), 0, "sec.root_user,sec.host_*", []string{"-sec.host_network"}},
	}
	want := map[string][]string{}
	var ids []string
	for i, c := range cases {
		pod := &pods.Pod{Namespace: "shop", Name: c.name, UID: fmt.Sprintf("9e8d7c6b-5a49-4838-9271-6050403020%02d", i), Limit: c.limit}
		if c.ignore != "" {
			pod.Annotations = map[string]string{audit.Label: c.ignore}
		}
		if err := r.Run(ctx, pod); err != nil {
			t.Fatal(err)
		}
		id, err := r.Create(ctx, pod, c.container)
		if err == nil {
			err = r.Start(ctx, id)
		}
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		ids = append(ids, id)
		want[c.name] = slices.Concat(common, c.want)
		for _, w := range c.want {
			if drop, ok := strings.CutPrefix(w, "-"); ok {
				want[c.name] = slices.DeleteFunc(want[c.name], func(rule string) bool { return rule == drop || rule == w })
			}
		}
		slices.Sort(want[c.name])
	}
	time.Sleep(time.Second) // zombies are made, and a quota of 2 % is slow to start
	facts, err := (&Host{Runtimes: []string{"/nonexistent/c.sock", r.Socket}}).Facts(ctx)
	if err != nil {
		t.Fatal(err)
	}
	report := audit.Judge(facts, nil)
	got := map[string][]string{}
	for _, f := range report.Findings {
		if f.Container == nil {
			continue // of the host: what its other programs have is not asked here
		}
		got[f.Container.Pod.Name] = append(got[f.Container.Pod.Name], f.Rule)
		if strings.Contains(f.Fix, "docker") || strings.Contains(f.Fix, "compose") || strings.Contains(f.Evidence+f.Fix, "hunter2") || f.Container.Pod.Namespace != "shop" {
			t.Errorf("%+v", f)
		}
	}
	for name := range got {
		slices.Sort(got[name])
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s\n%s", diff, strings.Join(facts.Notes, "\n"))
	}
	if report.Excluded != 2 {
		t.Errorf("%d left out, want two by an annotation", report.Excluded)
	}
	savedAsLive(ctx, t, r, ids, got)
}

// savedAsLive looks that what crictl inspect prints says of settings what the runtime does.
func savedAsLive(ctx context.Context, t *testing.T, r *pods.Runtime, ids []string, live map[string][]string) {
	t.Helper()
	crictl, err := exec.LookPath("crictl")
	if err != nil {
		return // TestCrictlInspect reads what it printed once
	}
	out, err := exec.CommandContext(ctx, crictl, append([]string{"--runtime-endpoint", "unix://" + r.Socket, "inspect"}, ids...)...).Output()
	if err != nil {
		t.Fatal(err)
	}
	facts, err := Files(ctx, []string{"-"}, strings.NewReader(string(out)))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][]string{}
	for _, f := range audit.Judge(facts, nil).Findings {
		got[f.Container.Pod.Name] = append(got[f.Container.Pod.Name], f.Rule)
	}
	// What only /proc, the control groups and the sandbox show is not in it.
	unseen := []string{"pids.no_limit", "sec.host_network", "memory.parent_limit_lower", "init.stop_signal_ignored", "init.zombies"}
	for name := range maps.Keys(live) {
		slices.Sort(got[name])
		want := slices.DeleteFunc(live[name], func(rule string) bool { return slices.Contains(unseen, rule) })
		switch name {
		case "below":
			want = append(want, "memory.no_limit")
		case "ignored":
			want = append(want, "sec.root_user")
		}
		slices.Sort(want)
		if diff := gocmp.Diff(want, got[name]); diff != "" {
			t.Errorf("%s: -live +saved:\n%s", name, diff)
		}
	}
}
