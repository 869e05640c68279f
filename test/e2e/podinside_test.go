package e2e

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/test/lab"
	"github.com/oomwatch/oomwatch/test/lab/pods"
)

// TestPodInside runs the daemon in a pod with the rights and mounts of the DaemonSet in
// examples. On cgroup v2 the runtime gives it a private cgroup namespace: it reads the
// node's control groups all the same, sees who sends signals, and says why its neighbours
// died.
func TestPodInside(t *testing.T) {
	tracefs(t)
	r := pods.Start(t)
	ctx := timeout(t, lab.Slow(3*time.Minute))
	hook := newReceiver(t)
	d := newDaemon(t, "off", hook, noWarnings, "--podman", "off", "--cri", "unix://"+r.Socket)
	host := &pods.Pod{Namespace: "oomwatch", Name: "oomwatch-x7k2z", UID: "6f2a1b9c-8e77-4a5d-9d21-012345678900", HostPID: true}
	if err := r.Run(ctx, host); err != nil {
		t.Fatal(err)
	}
	id, err := r.Create(ctx, host, pods.Container{Name: "oomwatch", Command: d.args, ReadonlyRoot: true, NoNewPrivileges: true, Env: map[string]string{"KUBERNETES_SERVICE_HOST": "10.96.0.1"},
		DropCaps: true, AddCaps: []string{"SYSLOG", "DAC_READ_SEARCH", "SYS_PTRACE"},
		Mounts: map[string]string{filepath.Dir(binary): filepath.Dir(binary), d.dir: d.dir, r.Socket: r.Socket, r.PodLogs(): r.PodLogs(), "/sys/fs/cgroup": "/sys/fs/cgroup", "/host/tracing": "/sys/kernel/tracing"}})
	if err == nil {
		err = r.Start(ctx, id)
	}
	if err != nil {
		t.Fatal(err)
	}
	said := func() string {
		out, _, err := r.Output(ctx, id, binary, "doctor", "--docker", "off", "--podman", "off", "--cri", "unix://"+r.Socket, "--socket", d.socket, "--store", filepath.Join(d.dir, "store.db"))
		return fmt.Sprintf("doctor says:\n%s%v", out, err)
	}
	wanted := []string{"cri unix://" + r.Socket, "kmsg", "cgroup", "trace"}
	for deadline := time.Now().Add(lab.Slow(20 * time.Second)); ; time.Sleep(100 * time.Millisecond) {
		up, st := 0, sourceStatus{}
		if st, _, err = d.status(t); err == nil {
			for _, s := range st.Sources {
				for _, w := range wanted {
					if s.Name == w && s.Up {
						up++
					}
				}
			}
		}
		if up == len(wanted) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d of %v are up: %+v, %v\n%s", up, wanted, st, err, said())
		}
	}
	if out := said(); strings.Contains(out, "--device") || strings.Contains(out, "--cgroupns") || strings.Contains(out, "--pid=host") {
		t.Errorf("doctor speaks of Docker's options:\n%s", out)
	}
	for i, death := range podDeaths() {
		switch death.name {
		case "own", "child", "child-group", "stop-timeout", "kill-9":
		default:
			continue
		}
		t.Run(death.name, func(t *testing.T) {
			wrong := "not told"
			t.Cleanup(func() { tell(t, r.Platform(), death.want.Cause(), "inside-"+death.name, wrong == "", wrong) })
			pod := &pods.Pod{Namespace: "shop", Name: fmt.Sprintf("in-5f9c7d8b6d-x7%02dz", i), UID: fmt.Sprintf("6f2a1b9c-8e77-4a5d-9d21-0123456789%02d", i+1), Limit: death.pod}
			if err := r.Run(ctx, pod); err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := r.Remove(timeout(t, lab.Slow(time.Minute)), pod); err != nil {
					t.Error(err)
				}
			}()
			id, err := r.Create(ctx, pod, pods.Container{Name: "main", Command: death.command, Limit: death.limit, Group: death.name == "child-group"})
			if err == nil {
				err = r.Start(ctx, id)
			}
			if err != nil {
				t.Fatal(err)
			}
			if death.then != nil {
				time.Sleep(300 * time.Millisecond)
				if err := death.then(ctx, r, id); err != nil {
					t.Fatal(err)
				}
			}
			want := death.want.With(lab.Want{"container.name": "main", "container.pod.name": pod.Name, "container.pod.namespace": "shop", "seen_live": true})
			if death.name == "stop-timeout" || death.name == "kill-9" {
				time.Sleep(settled)
			}
			lines := holds(t, hook, d, id, want)
			if wrong = strings.Join(lines, "; "); wrong != "" {
				t.Errorf("%s\n%s", strings.Join(lines, "\n"), hook.json(id))
			}
		})
	}
	// What the control groups say of the one that lives is read too.
	out, errs, code := oomwatch(t, "top", "--socket", d.socket, "--once", "-o", "json")
	if code != 0 || !strings.Contains(out, "oomwatch-x7k2z") {
		t.Errorf("top: exit %d\n%s%s", code, out, errs)
	}
}
