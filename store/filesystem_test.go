package store

import (
	"os"
	"strings"
	"syscall"
	"testing"
)

func TestFilesystemOf(t *testing.T) {
	dir := t.TempDir()
	if os.Geteuid() == 0 && syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m") == nil {
		t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
		if fs := FilesystemOf(dir); fs == nil || fs.Name != "tmpfs" || !strings.Contains(fs.Risk, "next boot") {
			t.Errorf("a tmpfs: %+v", fs)
		}
	}
	if fs := FilesystemOf("/proc/nowhere"); fs != nil {
		t.Errorf("no folder: %+v", fs)
	}
	// As the kernel gives them: a 32-bit one is signed.
	for magic, want := range map[int64]string{0x6969: "NFS", 0x794c7630: "an overlay", -0xacb2be: "CIFS", 0xff534d42: "CIFS"} {
		if fs := riskOf(magic); fs == nil || fs.Name != want || fs.Risk == "" || fs.Fix == "" {
			t.Errorf("%#x: %+v, want %s", magic, fs, want)
		}
	}
	if fs := riskOf(0xef53); fs != nil {
		t.Errorf("ext4: %+v", fs)
	}
}
