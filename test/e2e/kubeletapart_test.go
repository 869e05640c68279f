//go:build kubelet

package e2e

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/test/lab"
	"github.com/oomwatch/oomwatch/test/lab/kubelet"
	"github.com/oomwatch/oomwatch/warn"
)

// TestKubeletLoops has the kubelet restart containers that end again and again: each death
// is told once, and the loop as one warning, by the pod's name.
func TestKubeletLoops(t *testing.T) {
	n, hook, _ := watchedNode(t)
	ctx := timeout(t, lab.Slow(2*time.Minute))
	loops := map[string]struct {
		command []string
		cause   incident.Cause
	}{
		"exits-6f4d8c7b9-q2w4e": {sh("echo bye; exit 3"), incident.ExitError},
		"grows-6f4d8c7b9-q2w4e": {[]string{"tail", "/dev/zero"}, incident.OOMContainer},
	}
	for name, loop := range loops {
		runs(ctx, t, n, name, with(podOf(app(map[string]string{"memory": "32Mi"}, loop.command...)), "restartPolicy", "Always"))
	}
	for name, loop := range loops {
		for {
			p, err := n.Pod(ctx, "shop", name)
			if err != nil {
				t.Fatal(err)
			}
			if p.Status.ContainerStatuses[0].RestartCount >= 4 {
				break
			}
			time.Sleep(200 * time.Millisecond)
		}
		// What has ended by itself is not told anew because the pod is deleted just then.
		all, _ := hook.ofPod("shop", name)
		for before := len(all); len(all) == before && ctx.Err() == nil; all, _ = hook.ofPod("shop", name) {
			time.Sleep(10 * time.Millisecond)
		}
		if err := n.Delete(ctx, "shop", name, 0); err != nil {
			t.Fatal(err)
		}
		time.Sleep(settled)
		all, _ = hook.ofPod("shop", name)
		var wrong []string
		ids := map[string]bool{}
		for i, inc := range all {
			if ids[inc.Container.ID] {
				wrong = append(wrong, fmt.Sprintf("%.12s was told twice", inc.Container.ID))
			}
			ids[inc.Container.ID] = true
			if inc.Cause != loop.cause || inc.Kind != incident.KindDeath || inc.Container.RestartCount == nil || *inc.Container.RestartCount != i {
				wrong = append(wrong, fmt.Sprintf("number %d is told as %s, %s", i, inc.Cause, inc.Summary))
			}
		}
		if len(ids) < 5 {
			wrong = append(wrong, fmt.Sprintf("%d deaths of at least 5 are told", len(ids)))
		}
		warnings := 0
		for _, inc := range hook.all() {
			if w := inc.Warning; w != nil && inc.Container != nil && inc.Container.Pod != nil && inc.Container.Pod.Name == name && slices.Contains(w.Signs, warn.RestartLoop) && strings.Contains(inc.Summary, "CrashLoopBackOff") {
				warnings++
			}
		}
		if warnings != 1 {
			wrong = append(wrong, fmt.Sprintf("%d warnings of a restart loop", warnings))
		}
		word := strings.Join(wrong, "; ")
		tell(t, n.Platform(), string(loop.cause), "kubelet-loop", word == "", word)
		if word != "" {
			t.Errorf("%s: %s", name, word)
		}
	}
}

// daemonSet is the spec of a pod of the DaemonSet in examples, whose image is on the node.
func daemonSet(t *testing.T) object {
	t.Helper()
	text, err := os.ReadFile("../../examples/kubernetes/daemonset.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for doc := range strings.SplitSeq(string(text), "\n---\n") {
		var set struct {
			Kind string
			Spec struct{ Template struct{ Spec map[string]any } }
		}
		if err := yaml.Unmarshal([]byte(doc), &set); err != nil {
			t.Fatal(err)
		}
		if set.Kind == "DaemonSet" {
			spec := set.Spec.Template.Spec
			spec["containers"].([]any)[0].(object)["imagePullPolicy"] = "Never"
			return spec
		}
	}
	t.Fatal("examples have no DaemonSet")
	return nil
}

// layer is an image's layer with the built binary alone.
func layer(t *testing.T) []byte {
	t.Helper()
	b, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	err = w.WriteHeader(&tar.Header{Name: "oomwatch", Typeflag: tar.TypeReg, Mode: 0o755, Size: int64(len(b))})
	if err == nil {
		_, err = w.Write(b)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// inPod runs the binary in the pod of the DaemonSet.
type inPod struct {
	n  *kubelet.Node
	id string
}

func (p *inPod) oomwatch(ctx context.Context, t *testing.T, args ...string) (out string, code int) {
	t.Helper()
	out, code, err := p.n.Runtime.Output(ctx, p.id, append([]string{"/oomwatch"}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	return out, code
}

// TestKubeletDaemonSet runs the DaemonSet's pod as it is in examples: the kubelet finds it
// ready, its own check finds what it needs, and deaths are told from inside it.
func TestKubeletDaemonSet(t *testing.T) {
	n := kubelet.Start(t)
	ctx := timeout(t, lab.Slow(3*time.Minute))
	for _, name := range []string{"shop", "oomwatch"} {
		if err := n.Namespace(ctx, name); err != nil {
			t.Fatal(err)
		}
	}
	if err := n.Runtime.Import(ctx, "docker.io/library/oomwatch:latest", layer(t), "/oomwatch"); err != nil {
		t.Fatal(err)
	}
	const name = "oomwatch-x7k2z"
	if err := n.Run(ctx, "oomwatch", name, map[string]string{"app.kubernetes.io/name": "oomwatch"}, daemonSet(t)); err != nil {
		t.Fatal(err)
	}
	own := &inPod{n: n}
	for own.id == "" {
		p, err := n.Pod(ctx, "oomwatch", name)
		if err != nil {
			t.Fatal(err)
		}
		if s := p.Status.ContainerStatuses; len(s) == 1 && s[0].Ready {
			own.id = strings.TrimPrefix(s[0].ContainerID, "containerd://")
		} else if ctx.Err() != nil {
			t.Fatalf("the pod is not ready: %+v", p.Status)
		}
		time.Sleep(200 * time.Millisecond)
	}
	out, code := own.oomwatch(ctx, t, "doctor")
	t.Logf("doctor: exit %d\n%s", code, out)
	for _, want := range []string{"its Pods API is there", "containerd"} {
		if !strings.Contains(out, want) {
			t.Errorf("doctor does not say %q", want)
		}
	}
	for _, death := range nodeDeaths() {
		if !slices.Contains([]string{"own", "child", "pod-limit", "evicted-disk", "deadline", "delete-timeout", "exit-3"}, death.name) {
			continue
		}
		t.Run(death.name, func(t *testing.T) {
			wrong := "not told"
			t.Cleanup(func() {
				tell(t, n.Platform(), death.want.Cause(), "daemonset-"+death.name, wrong == "", wrong)
			})
			pod := death.name + "-5f9c7d8b6d-x7k2z"
			p := runs(ctx, t, n, pod, death.spec)
			if death.then != nil {
				time.Sleep(time.Second)
				if err := death.then(ctx, n, p, pod); err != nil {
					t.Fatal(err)
				}
			}
			lines := own.told(ctx, t, pod)
			if len(lines) == 0 {
				t.Fatal(wrong)
			}
			list := death.want.With(lab.Want{"container.name": "app", "container.pod.name": pod, "container.pod.namespace": "shop", "container.pod.uid": p.Metadata.UID, "host.name": kubelet.Name}).Wrong([]byte(lines[0]))
			if len(lines) > 1 {
				list = append(list, fmt.Sprintf("told %d times", len(lines)))
			}
			if wrong = strings.Join(list, "; "); wrong != "" {
				t.Errorf("%s\n%s", wrong, strings.Join(lines, "\n"))
			}
		})
	}
}

// told are the deaths and kills that the daemon in the pod keeps of a pod.
func (p *inPod) told(ctx context.Context, t *testing.T, pod string) (lines []string) {
	t.Helper()
	for deadline := time.Now().Add(lab.Slow(30 * time.Second)); len(lines) == 0 && time.Now().Before(deadline); {
		time.Sleep(settled)
		out, code := p.oomwatch(ctx, t, "history", "-o", "json")
		if code != 0 && code != 3 {
			t.Fatalf("history: exit %d: %s", code, out)
		}
		for line := range strings.Lines(out) {
			if strings.Contains(line, `"name":"`+pod+`"`) && !strings.Contains(line, `"kind":"warning"`) {
				lines = append(lines, line)
			}
		}
	}
	return lines
}

// TestKubeletApart has pods' containers end while the kubelet, the runtime or the daemon is
// away: each end is told once, by name.
func TestKubeletApart(t *testing.T) {
	n, hook, d := watchedNode(t)
	ctx := timeout(t, lab.Slow(3*time.Minute))
	for _, away := range []struct {
		name     string
		down, up func() error
	}{
		{"daemon-down", func() error { d.stop(syscall.SIGKILL); return nil }, func() error { d.start(t); return nil }},
		{"kubelet-down", n.Down, n.Up},
	} {
		t.Run(away.name, func(t *testing.T) {
			want := lab.Want{"cause": "oom.container", "confidence": "certain", "kind": "death", "container.exit_code": 137, "seen_live": away.name != "daemon-down"}
			wrong := "not told"
			t.Cleanup(func() { tell(t, n.Platform(), want.Cause(), "kubelet-"+away.name, wrong == "", wrong) })
			name := away.name + "-5f9c7d8b6d-x7k2z"
			p := runs(ctx, t, n, name, podOf(app(map[string]string{"memory": "32Mi"}, sh("sleep 8; exec tail /dev/zero")...)))
			time.Sleep(4 * time.Second)
			if err := away.down(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(7 * time.Second)
			if err := away.up(); err != nil {
				t.Fatal(err)
			}
			if wrong = toldOnce(ctx, t, n, hook, d, name, p, want); wrong != "" {
				t.Error(wrong)
			}
		})
	}
}
