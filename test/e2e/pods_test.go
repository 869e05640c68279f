package e2e

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/test/lab"
	"github.com/oomwatch/oomwatch/test/lab/pods"
)

// podDeath is one way to end a pod's container for real, and what must be told of it.
type podDeath struct {
	name    string
	command []string
	limit   int64 // the container's
	pod     int64 // the pod's
	want    lab.Want
	// then is what is done once it runs; nil for nothing.
	then func(ctx context.Context, r *pods.Runtime, id string) error
}

const mebi = 1 << 20

// podDeaths are the ways.
func podDeaths() (all []podDeath) {
	oom := lab.Want{"cause": "oom.container", "confidence": "certain", "kind": "death", "container.exit_code": 137, "killer.kind": "kernel", "oom.limit_bytes": 32 * mebi, "container.memory_limit_bytes": 32 * mebi}
	sh := func(script string) []string { return []string{"sh", "-c", script} }
	all = []podDeath{
		{"own", sh("echo starting; exec tail /dev/zero"), 32 * mebi, 0,
			oom.With(lab.Want{"victim.main": true, "victim.comm": "tail", "log_tail": lab.Has("starting"), "oom.oom_memcg": lab.Has("/kubepods")}), nil},
		{"own-at-pod", sh("exec tail /dev/zero"), 32 * mebi, 32 * mebi,
			oom.With(lab.Want{"victim.main": true, "advice": lab.Has("resources.limits.memory")}), nil},
		{"pod-limit", sh("exec tail /dev/zero"), 0, 32 * mebi,
			lab.Want{"cause": "oom.ancestor", "confidence": "certain", "kind": "death", "container.exit_code": 137, "summary": lab.Has("its pod"), "container.memory_limit_bytes": lab.Absent}, nil},
		{"child", sh("(exec prog eat -comm worker) & wait; while :; do sleep 1; done"), 32 * mebi, 0,
			lab.Want{"cause": "oom.container", "kind": "kill", "victim.main": false, "container.running": true}, nil},
		{"child-exit-0", sh("(exec prog eat -comm worker) & wait; sleep 1; exit 0"), 32 * mebi, 0,
			lab.Want{"cause": "oom.container", "kind": "kill", "victim.main": false}, nil},
		{"stop-timeout", []string{"prog", "stubborn"}, 0, 0,
			lab.Want{"cause": "kill.stop_timeout", "container.exit_code": 137, "oom": lab.Absent},
			func(ctx context.Context, r *pods.Runtime, id string) error { return r.StopContainer(ctx, id, 1) }},
		{"stop", []string{"prog", "polite"}, 0, 0,
			lab.Want{"cause": "stop.request", "container.exit_code": 0},
			func(ctx context.Context, r *pods.Runtime, id string) error { return r.StopContainer(ctx, id, 10) }},
		{"kill-9", []string{"prog", "stubborn"}, 0, 0,
			lab.Want{"cause": "kill.process", "confidence": "certain", "container.exit_code": 137, "killer.comm": lab.There, "oom": lab.Absent},
			func(ctx context.Context, r *pods.Runtime, id string) error {
				pid, err := r.PID(ctx, id)
				if err != nil {
					return err
				}
				return syscall.Kill(pid, syscall.SIGKILL)
			}},
		{"exit-3", sh("echo bye; exit 3"), 0, 0,
			lab.Want{"cause": "exit.error", "container.exit_code": 3, "log_tail": lab.Has("bye")}, nil},
		// It shares the node's processes, and its runtime ends what it leaves.
		{"host-pid", sh("prog stubborn & prog stubborn & sleep 1; exit 3"), 0, 0,
			lab.Want{"cause": "exit.error", "kind": "death", "container.exit_code": 3}, nil},
		{"no-command", []string{"no-such-program"}, 0, 0,
			lab.Want{"cause": "exec.failed", "confidence": "certain", "summary": lab.Has("no-such-program")}, nil},
		{"exec", []string{"prog", "polite"}, 0, 0, nil,
			func(ctx context.Context, r *pods.Runtime, id string) error {
				return r.Exec(ctx, id, "sh", "-c", "exit 7")
			}},
		{"exit-0", []string{"true"}, 0, 0, nil, nil},
	}
	if pods.V2() {
		// As the kubelet has it: the child's kill is the container's death.
		all = append(all, podDeath{"child-group", sh("(exec prog eat -comm worker) & wait; sleep 100"), 32 * mebi, 0,
			oom.With(lab.Want{"oom.group": true, "victim.main": lab.Any}), nil})
	}
	return all
}

// TestPods ends pods' containers on a real runtime in every way, and reads what is told.
func TestPods(t *testing.T) {
	r, hook, d := watchedPods(t)
	on := r.Platform()
	for i, death := range podDeaths() {
		t.Run(death.name, func(t *testing.T) {
			ctx := timeout(t, lab.Slow(time.Minute))
			wrong, made := "not told", true
			t.Cleanup(func() {
				if made {
					tell(t, on, death.want.Cause(), "pod-"+death.name, wrong == "", wrong)
				}
			})
			pod := &pods.Pod{Namespace: "shop", Name: fmt.Sprintf("web-5f9c7d8b6d-x7%02dz", i), UID: fmt.Sprintf("3f2a1b9c-8e77-4a5d-9d21-0123456789%02d", i), Limit: death.pod, HostPID: death.name == "host-pid"}
			if err := r.Run(ctx, pod); err != nil {
				t.Fatal(err)
			}
			// An emulated machine does not carry a dozen pods at a time.
			defer func() {
				if err := r.Remove(timeout(t, lab.Slow(time.Minute)), pod); err != nil {
					t.Error(err)
				}
			}()
			id, err := r.Create(ctx, pod, pods.Container{Name: "main", Command: death.command, Limit: death.limit, Group: death.name == "child-group"})
			if death.name == "no-command" && r.Looks() {
				// There is no container, which only the kubelet knows.
				if err == nil || !strings.Contains(err.Error(), "no-such-program") {
					t.Errorf("created: %v", err)
				}
				made = false
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := r.Start(ctx, id); err != nil && death.name != "no-command" {
				t.Fatal(err)
			}
			if death.then != nil {
				time.Sleep(300 * time.Millisecond)
				if err := death.then(ctx, r, id); err != nil {
					t.Fatal(err)
				}
			}
			if death.want == nil {
				time.Sleep(settled)
				if got := hook.of(id); len(got) != 0 {
					wrong = "it was told"
					t.Errorf("told: %s", hook.json(id))
				} else {
					wrong = ""
				}
				return
			}
			want := death.want.With(lab.Want{"container.name": "main", "container.runtime": r.Name, "container.pod.name": pod.Name,
				"container.pod.namespace": "shop", "container.pod.uid": pod.UID, "container.image": lab.There, "host.engine": lab.Has(r.Name), "seen_live": true})
			lines := holds(t, hook, d, id, want)
			if wrong = strings.Join(lines, "; "); wrong != "" {
				t.Errorf("%s\n%s", strings.Join(lines, "\n"), hook.json(id))
			}
			if n := len(hook.of(id)); n != 1 {
				t.Errorf("told %d times", n)
			}
			for _, name := range []string{pod.Name, "shop/" + pod.Name, pod.Name + "/main", "shop/" + pod.Name + "/main"} {
				if out, errs, code := oomwatch(t, "explain", "--socket", d.socket, name); code != 0 || !strings.Contains(out, "main") {
					t.Errorf("explain %s: exit %d\n%s%s", name, code, out, errs)
				}
			}
		})
	}
}
