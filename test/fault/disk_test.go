//go:build fault

package fault

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/store"
	"github.com/oomwatch/oomwatch/test/real"
)

// mount mounts a file system for a test.
func mount(t *testing.T, source, dir, kind string, flags uintptr, data string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount(source, dir, kind, flags, data); err != nil {
		real.Missing(t, "mount %s: %v", dir, err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
}

// fill takes all the room there is, and returns the file that does.
func fill(t *testing.T, dir string) string {
	t.Helper()
	name := filepath.Join(dir, "filler")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 64 << 10; size > 0; {
		if _, err := f.Write(make([]byte, size)); errors.Is(err, syscall.ENOSPC) {
			size /= 2
		} else if err != nil {
			t.Fatal(err)
		}
	}
	return name
}

// deaths lets n containers end and waits until every receiver was told of each.
func (w *world) deaths(t *testing.T, n int) {
	t.Helper()
	var ids []string
	for range n {
		ids = append(ids, w.die())
		time.Sleep(20 * time.Millisecond)
	}
	for i, h := range w.hooks {
		w.until(t, 30*time.Second, fmt.Sprintf("hook%d was not told of all %d", i, n), func() bool { return h.heard(ids) == n })
	}
}

// kept waits until every death is an incident in the store.
func (w *world) kept(t *testing.T) {
	t.Helper()
	w.until(t, 30*time.Second, "not all is kept", func() bool {
		st, err := store.Open(context.Background(), store.Options{Path: w.store, ReadOnly: true})
		if err != nil {
			return false
		}
		defer st.Close()
		list, err := st.List(context.Background(), store.Query{Cause: "exit.error"})
		return err == nil && len(list) >= len(w.ends())
	})
}

// TestFullDisk: with no room left alerts go out and say so; with room again all is
// kept, and nothing is told twice. No restart.
func TestFullDisk(t *testing.T) {
	w := newWorld(t)
	dir := filepath.Dir(w.store)
	mount(t, "tmpfs", dir, "tmpfs", 0, "size=6m")
	d := w.start(t, "")
	w.ready(t, d)
	w.deaths(t, 5)
	filler := fill(t, dir)
	w.deaths(t, 20)
	h := w.hooks[0]
	if h.notStored() == 0 {
		t.Error("no alert says that it is not stored")
	}
	w.until(t, 30*time.Second, "that the store cannot be written is not told", func() bool { return h.selfReports("store") > 0 })
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	w.until(t, 60*time.Second, "that it is over is not told", func() bool { return h.selfReports("store over") > 0 })
	w.deaths(t, 5)
	w.kept(t)
	d.end(t)
	w.account(t, 0)
	held(t, "A disk of 6 MB that is filled, and emptied again, under the daemon", "alerts go out and say that they are not stored; then all incidents are stored; none alerted twice")
}

// TestFileRemoved: the store's file is removed under the daemon.
func TestFileRemoved(t *testing.T) {
	w := newWorld(t)
	d := w.start(t, "")
	w.ready(t, d)
	w.deaths(t, 5)
	for _, suffix := range []string{"", "-wal", "-shm"} {
		_ = os.Remove(w.store + suffix) // not each is there
	}
	w.deaths(t, 5)
	w.kept(t)
	d.end(t)
	w.account(t, 0)
	held(t, "The store's files removed under the daemon", "a new one holds all; none alerted twice")
}

// storedAgain: what happens now is stored, and all that has happened; nothing was told twice.
func (w *world) storedAgain(t *testing.T, d *daemon, h *hook) {
	t.Helper()
	before := h.notStored()
	w.deaths(t, 5)
	if n := h.notStored(); n != before {
		t.Errorf("%d alerts still say that they are not stored", n-before)
	}
	w.kept(t)
	d.end(t)
	w.account(t, 0)
}

// TestReadOnlyDisk: on a file system that takes no writes the daemon runs from
// memory, tells everything, and says so; when it takes them again, all is kept there,
// beside what an earlier run left. No restart.
func TestReadOnlyDisk(t *testing.T) {
	w := newWorld(t)
	dir := filepath.Dir(w.store)
	mount(t, "tmpfs", dir, "tmpfs", 0, "size=8m")
	d := w.start(t, "")
	w.ready(t, d)
	w.deaths(t, 5)
	d.end(t)
	remount := func(flags uintptr) {
		t.Helper()
		if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT|flags, ""); err != nil {
			real.Missing(t, "remount: %v", err)
		}
	}
	remount(syscall.MS_RDONLY)
	d = w.start(t, "")
	w.ready(t, d)
	w.deaths(t, 5)
	h := w.hooks[0]
	if h.notStored() == 0 {
		t.Error("no alert says that it is not stored")
	}
	w.until(t, 30*time.Second, "that the store cannot be written is not told", func() bool { return h.selfReports("store") > 0 })
	remount(0)
	w.until(t, 30*time.Second, "that it is over is not told", func() bool { return h.selfReports("store over") > 0 })
	w.storedAgain(t, d, h)
	held(t, "A start on a disk that takes no writes, and takes them later", "runs from memory and says so; then all incidents are stored; none alerted twice")
}

// TestDiskTurnsReadOnly: ext4 finds itself damaged under the daemon and takes no
// more writes, as it does by default on most hosts. Alerts go out and say that they
// are not stored; when another disk is mounted in its place all is kept there, what
// was on the broken one too. No restart.
func TestDiskTurnsReadOnly(t *testing.T) {
	w := newWorld(t)
	dir := filepath.Dir(w.store)
	broken := mountExt4(t, dir)
	d := w.start(t, "")
	w.ready(t, d)
	w.deaths(t, 5)
	if err := os.WriteFile(filepath.Join("/sys/fs/ext4", broken, "trigger_fs_error"), []byte("1"), 0); err != nil {
		real.Missing(t, "an error of ext4: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "probe"), nil, 0o600); !errors.Is(err, syscall.EROFS) {
		t.Fatalf("the file system still takes writes: %v", err)
	}
	w.deaths(t, 10)
	h := w.hooks[0]
	if h.notStored() == 0 {
		t.Error("no alert says that it is not stored")
	}
	w.until(t, 30*time.Second, "that the store cannot be written is not told", func() bool { return h.selfReports("store") > 0 })
	mount(t, "tmpfs", dir, "tmpfs", 0, "size=8m")
	w.until(t, 60*time.Second, "that it is over is not told", func() bool { return h.selfReports("store over") > 0 })
	w.storedAgain(t, d, h)
	held(t, "ext4 turns read-only at an error under the daemon; another disk is mounted in its place", "alerts go out and say so; then all incidents are stored, those of the broken disk too")
}

// mountExt4 mounts an ext4 of its own, which turns read-only at its first error, and
// returns its device's name.
func mountExt4(t *testing.T, dir string) string {
	t.Helper()
	image := filepath.Join(t.TempDir(), "ext4")
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, 64<<20); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, command := range [][]string{
		{"mkfs.ext4", "-q", "-F", image},
		{"mount", "-o", "loop,errors=remount-ro", image, dir},
	} {
		if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
			real.Missing(t, "%q: %v: %s", command, err, out)
		}
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	device, err := exec.Command("findmnt", "--noheadings", "--output", "SOURCE", "--mountpoint", dir).Output()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Base(strings.TrimSpace(string(device)))
}
