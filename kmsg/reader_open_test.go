package kmsg

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/oomwatch/oomwatch/test/real"
)

func TestOpenReaderRefuses(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("6,1,1,-;a\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	fifo := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o644); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"/dev/null":                  "/dev/null is not the kernel log here (bind-mounted /dev/null); give this container the host's: --device /dev/kmsg",
		"/dev/zero":                  "character device 1:5 instead of 1:11",
		file:                         "no character device",
		fifo:                         "no character device",
		filepath.Join(dir, "absent"): "there is no such file; in a container add --device /dev/kmsg",
	} {
		_, err := OpenReader(ReaderOptions{Path: path})
		var refused *AccessError
		if !errors.As(err, &refused) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want an AccessError that says %q", path, err, want)
		}
	}
}

func TestExplainOpen(t *testing.T) {
	for _, tt := range []struct {
		err    error
		who    rights
		reason string
		fix    string
	}{
		{unix.EPERM, rights{uid: 1000, restrict: true}, "kernel.dmesg_restrict is 1 and this process lacks CAP_SYSLOG", "--cap-add SYSLOG"},
		{unix.EPERM, rights{restrict: true, capSyslog: true}, "device cgroup", "--device /dev/kmsg"},
		{unix.EPERM, rights{uid: 1000}, "device cgroup", "--device /dev/kmsg"},
		{unix.EACCES, rights{uid: 1000, restrict: true}, "uid 1000 may not read it", "run it as root"},
		{unix.ENOENT, rights{}, "no such file", "ProtectKernelLogs"},
		{unix.ENXIO, rights{}, "no such device or address", "check with: dd if=/dev/kmsg"},
	} {
		err := explainOpen(DefaultPath, &os.PathError{Op: "open", Path: DefaultPath, Err: tt.err}, tt.who)
		if !strings.Contains(err.Reason, tt.reason) || !strings.Contains(err.Fix, tt.fix) {
			t.Errorf("%v with %+v: %v\nwant reason %q and fix %q", tt.err, tt.who, err, tt.reason, tt.fix)
		}
		if !errors.Is(err, tt.err) {
			t.Errorf("%v is not %v any more", err, tt.err)
		}
	}
}

// The refusal of a real kernel to a process without rights.
func TestOpenReaderWithoutRights(t *testing.T) {
	if os.Getenv("OOMWATCH_TEST_NOBODY") != "" {
		_, err := OpenReader(ReaderOptions{})
		fmt.Printf("refused: %v\n", err)
		return
	}
	if os.Geteuid() != 0 {
		real.Missing(t, "only root can run a process as somebody else")
	}
	r := rights{uid: 65534, restrict: readRights().restrict}
	if st, err := os.Stat(DefaultPath); err != nil || (!r.restrict && st.Mode().Perm()&0o004 != 0) {
		real.Missing(t, "everybody may read the kernel log here (%v)", err)
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestOpenReaderWithoutRights$")
	cmd.Env = append(os.Environ(), "OOMWATCH_TEST_NOBODY=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	denied := explainOpen(DefaultPath, &os.PathError{Err: unix.EACCES}, r) // not readable for others
	if st, err := os.Stat(DefaultPath); err == nil && st.Mode().Perm()&0o004 != 0 {
		denied = explainOpen(DefaultPath, &os.PathError{Err: unix.EPERM}, r)
	}
	if want := "refused: " + denied.Error(); !strings.Contains(string(out), want) {
		t.Errorf("got %s\nwant %s", out, want)
	}
}
