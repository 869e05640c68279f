package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/test/lab"
	"github.com/oomwatch/oomwatch/test/real"
	"github.com/oomwatch/oomwatch/warn"
)

// smallDisk mounts a small filesystem for a test and returns where.
func smallDisk(t *testing.T, options string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		real.Missing(t, "mount a small filesystem: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
	return dir
}

// TestDiskFull fills real filesystems and holds the verdict to what was full.
func TestDiskFull(t *testing.T) {
	e := lab.Start(t, lab.Options{})
	hook := newReceiver(t)
	startDaemon(t, e.Host, hook)
	ctx := timeout(t, 2*time.Minute)
	on := platform(t, e)
	for _, c := range []struct {
		name  string
		flags []string
		run   []string
		conf  incident.Confidence
		// says must be in the summary, mount is the filesystem that is named.
		says, mount string
	}{
		{"a bind mount", []string{"-v", smallDisk(t, "size=2m") + ":/data"}, []string{"dd", "if=/dev/zero", "of=/data/x", "bs=64k"},
			incident.Certain, "no space left on /data on /", "/data"},
		{"no inodes", []string{"-v", smallDisk(t, "size=2m,nr_inodes=12") + ":/data"},
			[]string{"sh", "-c", "i=0; while : > /data/$i; do i=$((i+1)); done; exit 1"}, incident.Certain, "all 12 inodes are in use", "/data"},
		{"a message without the file", []string{"-v", smallDisk(t, "size=2m") + ":/data"},
			[]string{"sh", "-c", "dd if=/dev/zero of=/data/x bs=64k 2>/dev/null || { echo 'flush: No space left on device'; exit 1; }"},
			incident.Likely, "no space left on /data on /", "/data"},
		{"a tmpfs", []string{"--tmpfs", "/data:size=1m"}, []string{"dd", "if=/dev/zero", "of=/data/x", "bs=64k"},
			incident.Likely, "no space left on /data (tmpfs): 1 MiB", "/data"},
		{"shared memory", []string{"--shm-size", "1m"}, []string{"dd", "if=/dev/zero", "of=/dev/shm/x", "bs=64k"},
			incident.Likely, "no space left on /dev/shm (tmpfs): 1 MiB", "/dev/shm"},
		{"a message and no full disk", nil, []string{"sh", "-c", "echo 'write /tmp/x: no space left on device'; exit 1"},
			incident.Possible, "no space left on a disk or volume it wrote to (/tmp/x)", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			row(t, on, string(incident.LimitDisk), subtest(t))
			args := append([]string{"--name", "disk-" + strings.ReplaceAll(c.name, " ", "-")}, c.flags...)
			id, err := e.Run(ctx, append(append(args, lab.Image), c.run...)...)
			if err != nil {
				t.Fatal(err)
			}
			got := hook.waitFor(t, id, 1, 10*time.Second)[0]
			checkDisk(t, &got, c.conf, c.says, c.mount)
		})
	}
}

// TestEngineDiskFull fills the disk that the engine keeps its data on from inside
// a container's own layer.
func TestEngineDiskFull(t *testing.T) {
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	if err := os.MkdirAll(data, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", data, "tmpfs", 0, "size=64m"); err != nil {
		real.Missing(t, "mount a small filesystem: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(data, syscall.MNT_DETACH) }) // the engine is gone by then
	e := lab.Start(t, lab.Options{Dir: dir})
	hook := newReceiver(t)
	startDaemon(t, e.Host, hook)
	row(t, platform(t, e), string(incident.LimitDisk), "the-engine's-disk")
	ctx, cancel := context.WithTimeout(context.Background(), lab.Slow(time.Minute))
	defer cancel()
	id, err := e.Run(ctx, "--name", "layer", lab.Image, "dd", "if=/dev/zero", "of=/big", "bs=64k")
	if err != nil {
		t.Fatal(err)
	}
	got := hook.waitFor(t, id, 1, 20*time.Second)[0]
	// Its message had no room either: the engine keeps the log on that disk.
	checkDisk(t, &got, incident.Possible, "no space left on its own layer on "+data, "/")
}

func checkDisk(t *testing.T, got *incident.Incident, conf incident.Confidence, says, mount string) {
	t.Helper()
	b, _ := json.MarshalIndent(got, "", " ") // an Incident always marshals
	if got.Cause != incident.LimitDisk || got.Confidence != conf || !strings.Contains(got.Summary, says) {
		t.Errorf("%s %s: %s; want %s, %q\n%s", got.Cause, got.Confidence, got.Summary, conf, says, b)
	}
	full := ""
	for i := range got.Filesystems {
		if got.Filesystems[i].Full() {
			full = got.Filesystems[i].Mount
		}
	}
	if conf != incident.Likely && full != mount {
		t.Errorf("full is %q, want %q\n%s", full, mount, b)
	}
	if len(got.Advice) == 0 {
		t.Errorf("no advice\n%s", b)
	}
}

// TestUnusedFillsEngineDisk fills the engine's disk with a volume that no container has any
// more, beside a log: the warning names both with their sizes, and what a prune would free.
func TestUnusedFillsEngineDisk(t *testing.T) {
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	if err := os.MkdirAll(data, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", data, "tmpfs", 0, "size=96m"); err != nil {
		real.Missing(t, "mount a small filesystem: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(data, syscall.MNT_DETACH) }) // the engine is gone by then
	e := lab.Start(t, lab.Options{Dir: dir})
	hook := newReceiver(t)
	d := startDaemonWith(t, e.Host, hook, "")
	ctx := timeout(t, lab.Slow(90*time.Second))
	talks := e.MustRun(t, "--name", "talks", lab.Image, "sh", "-c", "dd if=/dev/zero bs=64k count=32 2>/dev/null | tr '\\000' x; echo; echo done; sleep 1000")
	if err := e.WaitLog(ctx, talks, "done"); err != nil {
		t.Fatal(err)
	}
	var fs syscall.Statfs_t
	if err := syscall.Statfs(data, &fs); err != nil {
		t.Fatal(err)
	}
	size := int64(fs.Bavail)*fs.Bsize>>20 - 5
	e.MustDocker(t, "run", "--rm", "--name", "was", "-v", "left:/v", lab.Image, "dd", "if=/dev/zero", "of=/v/x", "bs=1M", "count="+strconv.FormatInt(size, 10))
	says := fmt.Sprintf("1 volume that no container uses: %d MiB", size)
	inc := hook.sign(ctx, t, "", warn.DiskRoom)
	// The engine's answer comes after the alert.
	for _, want := range []string{says, "the log of talks: ", "docker volume ls -f dangling=true"} {
		for !bytes.Contains(d.kept(t, inc.ID), []byte(want)) {
			select {
			case <-ctx.Done():
				t.Fatalf("no %q in %s", want, d.kept(t, inc.ID))
			case <-time.After(200 * time.Millisecond):
			}
		}
	}
}
