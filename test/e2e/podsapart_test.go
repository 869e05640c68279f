package e2e

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/test/lab"
	"github.com/oomwatch/oomwatch/test/lab/pods"
)

// watchedPods is a private containerd, and a daemon that follows it.
func watchedPods(t *testing.T) (*pods.Runtime, *receiver, *daemon) {
	t.Helper()
	tracefs(t)
	r := pods.Start(t)
	hook := newReceiver(t)
	d := newDaemon(t, "off", hook, noWarnings, "--cri", "unix://"+r.Socket)
	d.start(t)
	if source := "cri unix://" + r.Socket; !d.sees(t, source) {
		t.Fatalf("%s is not up", source)
	}
	return r, hook, d
}

// podMaker runs containers, each in a pod of its own.
type podMaker struct {
	t *testing.T
	r *pods.Runtime
	n int
}

// run starts a container in a new pod.
func (m *podMaker) run(limit int64, command ...string) string {
	m.t.Helper()
	m.n++
	pod := &pods.Pod{Namespace: "apart", Name: fmt.Sprintf("job-%d", m.n), UID: fmt.Sprintf("4f2a1b9c-8e77-4a5d-9d21-0123456789%02d", m.n)}
	if err := m.r.Run(timeout(m.t, lab.Slow(time.Minute)), pod); err != nil {
		m.t.Fatal(err)
	}
	return m.in(pod, "main", limit, command...)
}

// in starts a container in a pod.
func (m *podMaker) in(pod *pods.Pod, name string, limit int64, command ...string) string {
	m.t.Helper()
	ctx := timeout(m.t, lab.Slow(time.Minute))
	id, err := m.r.Create(ctx, pod, pods.Container{Name: name, Command: command, Limit: limit})
	if err == nil {
		err = m.r.Start(ctx, id)
	}
	if err != nil {
		m.t.Fatal(err)
	}
	return id
}

// TestPodsApart has containers end while the runtime, or the daemon, is down or frozen:
// each end is told once, and as what it was.
func TestPodsApart(t *testing.T) {
	r, hook, d := watchedPods(t)
	m := &podMaker{t: t, r: r}
	ctx := timeout(t, lab.Slow(2*time.Minute))
	const waits = "sleep 3; exec tail /dev/zero"
	once := func(what, id string, cause incident.Cause) {
		t.Helper()
		got := hook.waitFor(t, id, 1, 30*time.Second)
		time.Sleep(settled)
		got = hook.of(id)
		last := got[len(got)-1]
		right := last.Cause == cause && last.Kind == incident.KindDeath && last.ID == got[0].ID && last.Container.Pod != nil
		word := ""
		if !right {
			word = fmt.Sprintf("%s %s, %d words: %s", last.Kind, last.Cause, len(got), last.Summary)
			t.Errorf("%s: %s\n%s", what, word, hook.json(id))
		}
		tell(t, r.Platform(), string(cause), "pod-"+what, right, word)
	}

	// The runtime is killed, a container dies meanwhile, and it comes back.
	lives := m.run(0, "prog", "polite")
	down := m.run(32*mebi, "sh", "-c", waits)
	downExit := m.run(0, "sh", "-c", "sleep 3; exit 5")
	if err := r.Kill(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(4 * time.Second)
	if err := r.Up(ctx); err != nil {
		t.Fatal(err)
	}
	once("runtime-down", down, incident.OOMContainer)
	if got := hook.waitFor(t, downExit, 1, 30*time.Second); got[0].Cause == incident.OOMContainer {
		t.Errorf("an exit while the runtime was down: %s", hook.json(downExit))
	}

	// The daemon is killed, a container dies meanwhile, and it comes back.
	away := m.run(32*mebi, "sh", "-c", waits)
	time.Sleep(time.Second)
	d.stop(syscall.SIGKILL)
	if err := r.Ended(ctx, away); err != nil {
		t.Fatal(err)
	}
	d.start(t)
	once("watcher-down", away, incident.OOMContainer)

	// The runtime hangs while a container dies.
	froze := m.run(32*mebi, "sh", "-c", waits)
	time.Sleep(time.Second)
	if err := r.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	time.Sleep(4 * time.Second)
	if err := r.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	once("runtime-frozen", froze, incident.OOMContainer)

	// Without the daemon the runtime, the kernel's log and the pods' logs are asked.
	out, errs, code := oomwatch(t, "explain", "--docker", "off", "--podman", "off", "--cri", "unix://"+r.Socket, "--socket", d.dir+"/none.sock", froze)
	if code != 0 || !strings.Contains(out, "main of pod apart/job-") || !strings.Contains(out, "OOM-killed") {
		t.Errorf("explain without the daemon: exit %d\n%s%s", code, out, errs)
	}
	if got := hook.of(lives); len(got) != 0 {
		t.Errorf("one that lives was told: %s", hook.json(lives))
	}
}

// TestPodBefore has a container that the daemon never saw OOM-killed while its runtime is
// down: it is one death, told once and by name when the runtime is back.
func TestPodBefore(t *testing.T) {
	tracefs(t)
	r := pods.Start(t)
	m := &podMaker{t: t, r: r}
	before := m.run(32*mebi, "sh", "-c", "sleep 6; exec tail /dev/zero")
	if err := r.Kill(); err != nil {
		t.Fatal(err)
	}
	hook := newReceiver(t)
	d := newDaemon(t, "off", hook, noWarnings, "--cri", "unix://"+r.Socket)
	d.start(t)
	time.Sleep(10 * time.Second)
	if err := r.Up(timeout(t, lab.Slow(time.Minute))); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(lab.Slow(15 * time.Second)); !d.sees(t, "cri unix://"+r.Socket); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the runtime is not up")
		}
	}
	died := func() bool {
		got := hook.of(before)
		return len(got) > 0 && got[len(got)-1].Kind == incident.KindDeath
	}
	for deadline := time.Now().Add(lab.Slow(30 * time.Second)); !died() && time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
	}
	time.Sleep(settled)
	ids := map[string]bool{}
	got := hook.waitFor(t, before, 1, time.Second)
	for _, inc := range got {
		ids[inc.ID] = true
		t.Logf("%s %s %s: %s", inc.ID, inc.Kind, inc.Cause, inc.Summary)
	}
	last := got[len(got)-1]
	right := len(ids) == 1 && last.Kind == incident.KindDeath && last.Cause == incident.OOMContainer && last.Container.Name == "main"
	word := fmt.Sprintf("%d incidents, the last: %s %s of %q", len(ids), last.Kind, last.Cause, last.Container.Name)
	tell(t, r.Platform(), string(incident.OOMContainer), "pod-before", right, word)
	if !right {
		t.Errorf("%s\n%s", word, hook.json(before))
	}
}

// TestPodBystander has one container of a pod reach the pod's limit: the other, whose
// cgroup the kernel notifies as well on v1, lost nothing, and its own end is no OOM.
func TestPodBystander(t *testing.T) {
	r, hook, _ := watchedPods(t)
	m := &podMaker{t: t, r: r}
	ctx := timeout(t, lab.Slow(time.Minute))
	pod := &pods.Pod{Namespace: "shop", Name: "pair-0", UID: "5f2a1b9c-8e77-4a5d-9d21-012345678900", Limit: 48 * mebi}
	if err := r.Run(ctx, pod); err != nil {
		t.Fatal(err)
	}
	bystander := m.in(pod, "bystander", 0, "prog", "polite")
	eater := m.in(pod, "eater", 0, "tail", "/dev/zero")
	if got := hook.waitFor(t, eater, 1, 30*time.Second)[0]; got.Cause != incident.OOMAncestor {
		t.Errorf("the eater: %s", hook.json(eater))
	}
	time.Sleep(settled)
	if got := hook.of(bystander); len(got) != 0 {
		t.Errorf("the bystander lives, and was told: %s", hook.json(bystander))
	}
	if err := r.StopContainer(ctx, bystander, 5); err != nil {
		t.Fatal(err)
	}
	got := hook.waitFor(t, bystander, 1, 30*time.Second)[0]
	right := got.Cause == incident.StopRequest
	if !right {
		t.Errorf("the bystander: %s", hook.json(bystander))
	}
	_, _, reason, err := r.Status(ctx, bystander)
	t.Logf("CRI says %q of it, %v", reason, err)
	tell(t, r.Platform(), string(incident.StopRequest), "pod-bystander", right, string(got.Cause))
}

// TestPodLoop has a pod's container exit at once, again and again, as a kubelet restarts it
// in the same pod: each death is told once, though the runtime notes a start later than
// the program has ended, and the loop as one.
func TestPodLoop(t *testing.T) {
	r, hook, d := watchedPods(t)
	ctx := timeout(t, lab.Slow(time.Minute))
	pod := &pods.Pod{Namespace: "shop", Name: "loop-0", UID: "5f2a1b9c-8e77-4a5d-9d21-012345678902"}
	if err := r.Run(ctx, pod); err != nil {
		t.Fatal(err)
	}
	const times = 12
	var ids []string
	for i := range times {
		id, err := r.Create(ctx, pod, pods.Container{Name: "main", Command: []string{"sh", "-c", "exit 3"}, Restart: i})
		if err == nil {
			err = r.Start(ctx, id)
		}
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	right, word := 0, ""
	for _, id := range ids {
		hook.waitFor(t, id, 1, 30*time.Second)
	}
	time.Sleep(settled)
	for i, id := range ids {
		got := map[string]bool{}
		for _, inc := range hook.of(id) {
			if inc.Kind == incident.KindDeath {
				got[inc.ID] = true
			}
		}
		last := hook.of(id)[len(hook.of(id))-1]
		if len(got) == 1 && last.Cause == incident.ExitError && last.Container.RestartCount != nil && *last.Container.RestartCount == i {
			right++
		} else {
			word = fmt.Sprintf("restart %d is %d deaths", i, len(got))
			t.Errorf("%s\n%s", word, hook.json(id))
		}
	}
	tell(t, r.Platform(), "exit.error", "pod-loop", right == times, word)
	if out, errs, code := oomwatch(t, "history", "--socket", d.socket, "-o", "json"); code != 0 || strings.Count(out, `"kind":"death"`) != times {
		t.Errorf("history: exit %d, %d deaths, want %d: %s", code, strings.Count(out, `"kind":"death"`), times, errs)
	}
}

// TestPodStorm has the containers of many pods killed at once: each is told once, by name.
func TestPodStorm(t *testing.T) {
	storm := 24
	if pods.Large() {
		storm = 60
	}
	r, hook, _ := watchedPods(t)
	m := &podMaker{t: t, r: r}
	pod := &pods.Pod{Namespace: "shop", Name: "storm-0", UID: "5f2a1b9c-8e77-4a5d-9d21-012345678901"}
	if err := r.Run(timeout(t, lab.Slow(time.Minute)), pod); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	at := begin.Add(lab.Slow(time.Duration(storm) * 500 * time.Millisecond)).Unix()
	ids := map[string]string{}
	for i := range storm {
		name := fmt.Sprintf("c%d", i)
		ids[m.in(pod, name, 16*mebi, "sh", "-c", fmt.Sprintf("while [ $(date +%%s) -lt %d ]; do sleep 0.1; done; exec tail /dev/zero", at))] = name
	}
	t.Logf("%d containers run after %v", storm, time.Since(begin))
	right := 0
	for id, name := range ids {
		got := hook.waitFor(t, id, 1, 40*time.Second)[0]
		if got.Cause == incident.OOMContainer && got.Kind == incident.KindDeath && got.Container.Name == name {
			right++
		} else {
			t.Errorf("%s: %s %s %s", name, got.Kind, got.Cause, got.Confidence)
		}
	}
	time.Sleep(settled)
	for id, name := range ids {
		for _, more := range hook.of(id)[1:] {
			if more.ID != hook.of(id)[0].ID {
				t.Errorf("%s was told again: %s %s", name, more.Kind, more.Cause)
			}
		}
	}
	tell(t, r.Platform(), "oom.container", "pod-storm", right == storm, fmt.Sprintf("%d of %d", right, storm))
}
