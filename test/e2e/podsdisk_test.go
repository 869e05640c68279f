package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/test/lab"
	"github.com/oomwatch/oomwatch/test/lab/pods"
	"github.com/oomwatch/oomwatch/warn"
	"github.com/oomwatch/oomwatch/watcher/cri"
)

// TestPodStorage fills a pod's volume, which is warned of before it is full, and a pod's
// writable layer, whose size the runtime says.
func TestPodStorage(t *testing.T) {
	r := pods.Start(t)
	r.Root = "oomwatch-pods"
	small := filepath.Join(r.Dir, "small")
	if err := os.Mkdir(small, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", small, "tmpfs", 0, "size=8m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(small, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	hook := newReceiver(t)
	startDaemonWith(t, "off", hook, "", "--cri", "unix://"+r.Socket)
	ctx := timeout(t, lab.Slow(100*time.Second))
	pod := &pods.Pod{Namespace: "shop", Name: "web-0", UID: "3f2a1b9c-8e77-4a5d-9d21-0d15c0000001"}
	if err := r.Run(ctx, pod); err != nil {
		t.Fatal(err)
	}
	id, err := r.Create(ctx, pod, pods.Container{Name: "main", Mounts: map[string]string{"/data": small}, Command: []string{"sh", "-c",
		"dd if=/dev/zero of=/layer bs=1M count=6 2>/dev/null; i=0; while dd if=/dev/zero of=/data/x bs=16k count=1 seek=$i conv=notrunc 2>/dev/null; do i=$((i+1)); usleep 60000; done; sleep 1000"}})
	if err == nil {
		err = r.Start(ctx, id)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Unused(ctx, "left-over:1", 5<<20); err != nil {
		t.Fatal(err)
	}
	soon := hook.sign(ctx, t, id, warn.DiskForecast)
	if !strings.Contains(soon.Summary, "the volume at /data of ") || soon.Cause != incident.LimitDisk || len(soon.Filesystems) != 1 || soon.Filesystems[0].Mount != "/data" {
		t.Errorf("%s %+v", soon.Summary, soon.Filesystems)
	}
	// The runtime looks at its layers' sizes every few seconds.
	for {
		u, err := cri.Usage(ctx, r.Socket)
		if err != nil {
			t.Fatal(err)
		}
		layer := slices.IndexFunc(u.Fill, func(f incident.DiskFill) bool {
			return f.Kind == "layer" && f.Container == id && f.Bytes >= 6<<20 && f.Name == "main"
		})
		// One image is in use: what a prune frees is the size of the other.
		images := slices.ContainsFunc(u.Fill, func(f incident.DiskFill) bool {
			return f.Kind == "images" && f.N == 2 && f.Bytes > f.Prunable && f.Prunable >= 5<<20 && f.Prunable < 6<<20
		})
		if layer >= 0 && images {
			break
		}
		select {
		case <-ctx.Done():
			t.Fatalf("neither the layer nor the images: %+v", u.Fill)
		case <-time.After(time.Second):
		}
	}

	// Another container of the pod finds its volume full: the verdict names the file system,
	// as it was just after the end.
	writer, err := r.Create(ctx, pod, pods.Container{Name: "writer", Mounts: map[string]string{"/var/data": small}, Command: []string{"sh", "-c", "sleep 1; dd if=/dev/zero of=/var/data/y bs=1M count=20"}})
	if err == nil {
		err = r.Start(ctx, writer)
	}
	if err != nil {
		t.Fatal(err)
	}
	got := hook.waitFor(t, writer, 1, 20*time.Second)[0]
	checkDisk(t, &got, incident.Certain, "no space left on /var/data on "+small, "/var/data")
	t.Logf("%s %q", got.Summary, got.Advice)
}
