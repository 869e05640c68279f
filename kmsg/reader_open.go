package kmsg

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"github.com/oomwatch/oomwatch/internal/inside"
)

// DefaultPath is the kernel log device.
const DefaultPath = "/dev/kmsg"

// AccessError says why the kernel log cannot be read and what would mend it.
type AccessError struct {
	Path   string
	Reason string // "kernel.dmesg_restrict is 1 and this process lacks CAP_SYSLOG"
	Fix    string // the step that would mend it
	Err    error  // what the system said; nil when it was not the system that refused
}

func (e *AccessError) Error() string {
	return fmt.Sprintf("open the kernel log %s: %s; %s", e.Path, e.Reason, e.Fix)
}

func (e *AccessError) Unwrap() error { return e.Err }

// OpenReader opens the kernel log. An error is an *AccessError when the log is
// not there or not allowed.
func OpenReader(opt ReaderOptions) (*Reader, error) {
	path := opt.Path
	if path == "" {
		path = DefaultPath
	}
	// Non-blocking, so that an empty ring is told (EAGAIN) and waiting is
	// left to the runtime's poller, where a deadline or Close ends it.
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, explainOpen(path, err, readRights())
	}
	r, err := func() (*Reader, error) {
		if err := checkDevice(path, f); err != nil {
			return nil, err
		}
		return newReader(f, opt)
	}()
	if err != nil {
		_ = f.Close() // nothing was written; the reason to close it is the error
		return nil, err
	}
	return r, nil
}

// checkDevice makes sure that f is the kernel log, character device 1:11. A
// sandbox that hides the log puts /dev/null there, which would read as silence.
func checkDevice(path string, f *os.File) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var st unix.Stat_t
	var statErr error
	if err := conn.Control(func(fd uintptr) { statErr = unix.Fstat(int(fd), &st) }); err != nil {
		return err
	}
	if statErr != nil {
		return fmt.Errorf("stat %s: %w", path, statErr)
	}
	major, minor := unix.Major(st.Rdev), unix.Minor(st.Rdev)
	isChar := st.Mode&unix.S_IFMT == unix.S_IFCHR
	if isChar && major == 1 && minor == 11 {
		return nil
	}
	what := "no character device"
	switch {
	case isChar && major == 1 && minor == 3:
		what = "bind-mounted /dev/null"
	case isChar:
		what = fmt.Sprintf("character device %d:%d instead of 1:11", major, minor)
	}
	return &AccessError{
		Path:   path,
		Reason: fmt.Sprintf("%s is not the kernel log here (%s)", path, what),
		Fix:    "give this container the host's: --device /dev/kmsg (a rootless engine cannot)",
	}
}

// rights are the facts that tell which refusal it was.
type rights struct {
	uid       int
	restrict  bool // kernel.dmesg_restrict is on
	capSyslog bool // CAP_SYSLOG is in effect
	pod       bool // of Kubernetes
}

func readRights() rights {
	r := rights{uid: os.Geteuid(), pod: inside.Pod()}
	// Where these cannot be read, the message names the likelier reason.
	b, err := os.ReadFile("/proc/sys/kernel/dmesg_restrict")
	r.restrict = err == nil && !bytes.HasPrefix(b, []byte("0"))
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&hdr, &data[0]); err == nil {
		r.capSyslog = data[unix.CAP_SYSLOG/32].Effective&(1<<(unix.CAP_SYSLOG%32)) != 0
	}
	return r
}

// explainOpen says what a failed open of the kernel log means.
func explainOpen(path string, err error, who rights) *AccessError {
	e := &AccessError{Path: path, Err: err}
	switch {
	case who.pod && !who.capSyslog:
		e.Reason = "a pod has no kernel log, and this process lacks CAP_SYSLOG"
		e.Fix = "add SYSLOG to securityContext.capabilities.add of the container: the kernel's ring is then read by syslog(2), without the device"
	case errors.Is(err, fs.ErrNotExist):
		e.Reason = "there is no such file"
		e.Fix = "in a container add --device /dev/kmsg; in a systemd unit take out PrivateDevices= and ProtectKernelLogs="
	case errors.Is(err, unix.EPERM) && who.restrict && !who.capSyslog:
		e.Reason = "kernel.dmesg_restrict is 1 and this process lacks CAP_SYSLOG"
		e.Fix = "run it as root, in a container with --cap-add SYSLOG, in a systemd unit with AmbientCapabilities=CAP_SYSLOG and without ProtectKernelLogs="
	case errors.Is(err, unix.EPERM):
		e.Reason = "the device is not allowed here (device cgroup)"
		e.Fix = "in a container add --device /dev/kmsg; in a systemd unit take out PrivateDevices= or add DeviceAllow=/dev/kmsg r"
	case errors.Is(err, unix.EACCES):
		e.Reason = fmt.Sprintf("uid %d may not read it (file mode, SELinux or AppArmor)", who.uid)
		e.Fix = "run it as root, or make the device readable for its group and add the user to that group"
	default:
		e.Reason = reason(err)
		e.Fix = "check with: dd if=" + path + " iflag=nonblock count=1"
	}
	return e
}

// reason is err without the operation and path that os puts before it.
func reason(err error) string {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err.Error()
	}
	return err.Error()
}
