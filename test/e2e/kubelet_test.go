//go:build kubelet

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/test/lab"
	"github.com/oomwatch/oomwatch/test/lab/kubelet"
	"github.com/oomwatch/oomwatch/test/lab/pods"
)

// nodeDeath is one way to end a container of a pod on a real node of Kubernetes, and what
// must be told of it.
type nodeDeath struct {
	name string
	spec map[string]any
	want lab.Want // nil where nothing may be told
	// then is what is done once the container runs; nil for nothing.
	then func(ctx context.Context, n *kubelet.Node, p *kubelet.Pod, name string) error
	// alone is true where it takes the memory of other pods.
	alone bool
}

// object is JSON's.
type object = map[string]any

// podOf is the spec of a pod of containers that is never restarted.
func podOf(containers ...object) object {
	return object{"restartPolicy": "Never", "terminationGracePeriodSeconds": 2, "enableServiceLinks": false, "containers": containers}
}

// with is a spec with more.
func with(spec object, key string, value any) object {
	spec[key] = value
	return spec
}

// app is a container of a pod, with limits by resource.
func app(limits map[string]string, command ...string) object {
	return object{"name": "app", "image": kubelet.Image, "imagePullPolicy": "Never", "command": command, "resources": object{"limits": limits}}
}

// sh has a script be a container's command.
func sh(script string) []string { return []string{"sh", "-c", script} }

// fails is a probe that fails, and says so.
func fails(word string) object {
	return object{"exec": object{"command": sh("echo " + word + "; exit 1")}, "initialDelaySeconds": 1, "periodSeconds": 1, "failureThreshold": 2, "timeoutSeconds": 10}
}

// deletes deletes the pod, which has so many seconds to stop.
func deletes(grace int) func(context.Context, *kubelet.Node, *kubelet.Pod, string) error {
	return func(ctx context.Context, n *kubelet.Node, _ *kubelet.Pod, name string) error {
		return n.Delete(ctx, "shop", name, grace)
	}
}

// nodeDeaths are the ways.
func nodeDeaths() []nodeDeath {
	small := map[string]string{"memory": "32Mi"}
	var (
		eats     = []string{"tail", "/dev/zero"}
		polite   = []string{"prog", "polite"}
		stubborn = []string{"prog", "stubborn"}
	)
	oom := lab.Want{"cause": "oom.container", "confidence": "certain", "kind": "death", "container.exit_code": 137, "killer.kind": "kernel", "victim.comm": "tail", "victim.main": true,
		"oom.limit_bytes": 32 * mebi, "container.memory_limit_bytes": 32 * mebi, "advice": lab.Has("resources.limits.memory")}
	child := lab.Want{"cause": "oom.container", "kind": "kill", "victim.main": false, "victim.comm": "worker", "container.running": true}
	if pods.V2() {
		// The kubelet has one process's OOM kill take all of its container.
		child = oom.With(lab.Want{"oom.group": true, "victim.main": lab.Any, "victim.comm": lab.Any})
	}
	probe := lab.Want{"cause": "kill.probe", "confidence": "certain", "kind": "death", "summary": lab.All(lab.Has("liveness probe"), lab.Has("not well")), "oom": lab.Absent}
	evicted := lab.Want{"cause": "kill.evicted", "confidence": "certain", "kind": "death", "container.exit_code": 137, "oom": lab.Absent}
	late := lab.Want{"cause": "kill.stop_timeout", "kind": "death", "container.exit_code": 137, "oom": lab.Absent}
	stop := lab.Want{"cause": "stop.request", "container.exit_code": 0, "severity": "info", "oom": lab.Absent}
	exit := lab.Want{"cause": "exit.error", "confidence": "certain", "kind": "death", "container.exit_code": 3, "log_tail": lab.Has("bye")}
	return []nodeDeath{
		// The kubelet gives the pod the sum of its containers' limits, so it is reached first.
		{"own", podOf(app(small, sh("echo starting; exec tail /dev/zero")...)), oom.With(lab.Want{"log_tail": lab.Has("starting"), "oom.oom_memcg": lab.Has("/kubepods/burstable/pod")}), nil, false},
		{"own-of-two", podOf(app(small, eats...), with(app(map[string]string{"memory": "64Mi"}, polite...), "name", "other")), oom, nil, false},
		{"own-init", with(podOf(with(app(small, polite...), "name", "later")), "initContainers", []object{app(map[string]string{"memory": "24Mi"}, eats...)}),
			oom.With(lab.Want{"oom.limit_bytes": 24 * mebi, "container.memory_limit_bytes": 24 * mebi}), nil, false},
		// With another container in it, which begins later, the limit is the pod's own.
		{"pod-limit", with(podOf(app(nil, sh("sleep 3; exec tail /dev/zero")...), with(app(nil, polite...), "name", "other")), "resources", object{"limits": small}),
			lab.Want{"cause": "oom.ancestor", "confidence": "certain", "kind": "death", "container.exit_code": 137, "summary": lab.Has("its pod"), "oom.limit_bytes": 32 * mebi}, nil, false},
		{"child", podOf(app(small, sh("(exec prog eat -comm worker) & wait; while :; do sleep 1; done")...)), child, nil, false},
		{"liveness", podOf(with(app(small, stubborn...), "livenessProbe", fails("not well"))), probe.With(lab.Want{"container.exit_code": 137}), nil, false},
		{"liveness-exit-0", podOf(with(app(small, polite...), "livenessProbe", fails("not well"))), probe.With(lab.Want{"container.exit_code": 0}), nil, false},
		{"startup", podOf(with(app(small, stubborn...), "startupProbe", fails("not up"))), probe.With(lab.Want{"container.exit_code": 137, "summary": lab.All(lab.Has("startup probe"), lab.Has("not up"))}), nil, false},
		{"evicted-disk", podOf(app(map[string]string{"ephemeral-storage": "10Mi"}, sh("dd if=/dev/zero of=/fill bs=1M count=40; exec prog stubborn")...)),
			evicted.With(lab.Want{"summary": lab.Has("ephemeral local storage usage exceeds")}), nil, false},
		{"deadline", with(podOf(app(small, stubborn...)), "activeDeadlineSeconds", 3), late.With(lab.Want{"summary": lab.Has("deadline")}), nil, false},
		{"deadline-stop", with(podOf(app(small, polite...)), "activeDeadlineSeconds", 3), stop.With(lab.Want{"summary": lab.Has("deadline")}), nil, false},
		{"delete", podOf(app(small, polite...)), stop.With(lab.Want{"summary": lab.Has("deleted")}), deletes(10), false},
		{"delete-timeout", podOf(app(small, stubborn...)), late, deletes(2), false},
		{"pre-stop", podOf(with(app(small, stubborn...), "lifecycle", object{"preStop": object{"exec": object{"command": []string{"sleep", "100"}}}})), late, deletes(3), false},
		{"kill-9", podOf(app(small, stubborn...)), lab.Want{"cause": "kill.process", "confidence": "certain", "kind": "death", "container.exit_code": 137, "killer.comm": lab.There, "oom": lab.Absent}, kills, false},
		{"exit-3", podOf(app(small, sh("echo bye; exit 3")...)), exit, nil, false},
		{"exit-0", podOf(app(small, "true")), nil, nil, false},
		{"no-command", podOf(app(small, "no-such-program")), lab.Want{"cause": "exec.failed", "confidence": "certain", "summary": lab.Has("no-such-program")}, nil, false},
		{"node-allocatable", podOf(app(nil, eats...)), lab.Want{"cause": "oom.ancestor", "confidence": "certain", "kind": "death", "container.exit_code": 137, "oom.oom_memcg": "/kubepods",
			"oom.limit_bytes": kubelet.PodsLimit, "summary": lab.Has("the node's pods together"), "container.memory_limit_bytes": lab.Absent}, nil, true},
		{"evicted-memory", podOf(app(nil, "dd", "if=/dev/zero", "of=/dev/null", "bs=520M", "count=1000000")), evicted.With(lab.Want{"summary": lab.Has("The node was low on resource: memory")}), nil, true},
	}
}

// kills has this process send SIGKILL.
func kills(ctx context.Context, n *kubelet.Node, p *kubelet.Pod, _ string) error {
	pid, err := n.Runtime.PID(ctx, strings.TrimPrefix(p.Status.ContainerStatuses[0].ContainerID, "containerd://"))
	if err != nil {
		return err
	}
	return syscall.Kill(pid, syscall.SIGKILL)
}

// watchedNode is a node of Kubernetes, and a daemon that runs on it as a service of its
// machine does: with its sockets, journal and logs.
func watchedNode(t *testing.T) (*kubelet.Node, *receiver, *daemon) {
	t.Helper()
	tracefs(t)
	n := kubelet.Start(t)
	if err := n.Namespace(timeout(t, time.Minute), "shop"); err != nil {
		t.Fatal(err)
	}
	hook := newReceiver(t)
	d := newDaemon(t, "off", hook, "", "--podman", "off", "--cri", "unix:///run/containerd/containerd.sock")
	d.args = append(n.Inside(), d.args...)
	d.start(t)
	if !d.sees(t, "containerd") {
		t.Fatal("the node's containerd is not followed")
	}
	return n, hook, d
}

// ofPod are the deaths and kills of a pod's container "app" that were told, and each as it came.
func (r *receiver) ofPod(namespace, name string) (all []incident.Incident, raw [][]byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, x := range r.got {
		if x.Container != nil && x.Container.Pod != nil && x.Container.Pod.Namespace == namespace && x.Container.Pod.Name == name && x.Container.Name == "app" && x.Kind != incident.KindWarning {
			all, raw = append(all, x), append(raw, r.raw[i])
		}
	}
	return all, raw
}

// runs makes a pod, and waits until its first container has begun.
func runs(ctx context.Context, t *testing.T, n *kubelet.Node, name string, spec object) *kubelet.Pod {
	t.Helper()
	if err := n.Run(ctx, "shop", name, map[string]string{"app": name}, spec); err != nil {
		t.Fatal(err)
	}
	for {
		p, err := n.Pod(ctx, "shop", name)
		if err != nil {
			t.Fatal(err)
		}
		if list := append(p.Status.InitContainerStatuses, p.Status.ContainerStatuses...); p.Status.Phase == "Failed" || len(list) > 0 && list[0].ContainerID != "" {
			return p
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s does not run: %+v", name, p.Status)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// TestKubelet ends pods on a real node of Kubernetes in every way, and reads what is told.
func TestKubelet(t *testing.T) {
	n, hook, d := watchedNode(t)
	for _, alone := range []bool{false, true} {
		name := map[bool]string{false: "together", true: "alone"}[alone]
		t.Run(name, func(t *testing.T) {
			for _, death := range nodeDeaths() {
				if death.alone != alone {
					continue
				}
				t.Run(death.name, func(t *testing.T) {
					if !alone {
						t.Parallel()
					}
					death.happens(t, n, hook, d)
				})
			}
		})
	}
}

// happens causes it, and holds what is told against what is wanted.
func (death *nodeDeath) happens(t *testing.T, n *kubelet.Node, hook *receiver, d *daemon) {
	ctx := timeout(t, lab.Slow(2*time.Minute))
	wrong := "not told"
	t.Cleanup(func() { tell(t, n.Platform(), death.want.Cause(), "kubelet-"+death.name, wrong == "", wrong) })
	name := death.name + "-5f9c7d8b6d-x7k2z"
	p := runs(ctx, t, n, name, death.spec)
	if death.then != nil {
		time.Sleep(time.Second)
		if err := death.then(ctx, n, p, name); err != nil {
			t.Fatal(err)
		}
	}
	if wrong = toldOnce(ctx, t, n, hook, d, name, p, death.want); wrong != "" {
		t.Error(wrong)
	}
	if err := n.Delete(ctx, "shop", name, 0); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

// toldOnce says what is wrong with what was told of a pod; "" where it is told once, by
// name, and right.
func toldOnce(ctx context.Context, t *testing.T, n *kubelet.Node, hook *receiver, d *daemon, name string, p *kubelet.Pod, want lab.Want) string {
	t.Helper()
	for deadline := time.Now().Add(lab.Slow(40 * time.Second)); want != nil; time.Sleep(50 * time.Millisecond) {
		if all, _ := hook.ofPod("shop", name); len(all) > 0 {
			break
		}
		if time.Now().After(deadline) {
			now, err := n.Pod(ctx, "shop", name)
			return fmt.Sprintf("not told: %+v, %v", now.Status, err)
		}
	}
	time.Sleep(settled)
	all, raw := hook.ofPod("shop", name)
	switch {
	case want == nil && len(all) == 0:
		return ""
	case want == nil:
		return fmt.Sprintf("it was told: %s", raw)
	}
	wrong := lab.Want{"container.name": "app", "container.runtime": "containerd", "container.pod.name": name, "container.pod.namespace": "shop",
		"container.pod.uid": p.Metadata.UID, "container.image": lab.There, "seen_live": true}.With(want).Wrong(raw[0])
	if len(all) != 1 {
		wrong = append(wrong, fmt.Sprintf("told %d times", len(all)))
	}
	if out, errs, code := oomwatch(t, "explain", "--socket", d.socket, "shop/"+name); code != 0 || !strings.Contains(out, name) {
		wrong = append(wrong, fmt.Sprintf("explain: exit %d: %s%s", code, out, errs))
	}
	if len(wrong) > 0 {
		t.Logf("%s", bytes.Join(raw, []byte("\n")))
	}
	return strings.Join(wrong, "; ")
}
