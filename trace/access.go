package trace

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/oomwatch/oomwatch/internal/inside"
)

// AccessError says why tracing cannot be used and what would mend it.
type AccessError struct {
	Path   string
	Reason string // "tracefs is not mounted there"
	Fix    string // the step that would mend it
	Err    error  // what the system said; nil when it was not the system that refused
}

func (e *AccessError) Error() string {
	return fmt.Sprintf("trace signals in %s: %s; %s", e.Path, e.Reason, e.Fix)
}

func (e *AccessError) Unwrap() error { return e.Err }

// Where tracefs is mounted, in the order they are tried.
const (
	mountPoint    = "/sys/kernel/tracing"
	oldMountPoint = "/sys/kernel/debug/tracing"
)

const (
	inContainer = "in a container add -v " + mountPoint + ":" + mountPoint
	// inPod does not name the same path: runtimes have AppArmor refuse a container to write
	// below /sys.
	inPod        = "give the pod a hostPath volume of the node's " + mountPoint + ", mounted writable at /host/tracing (trace.enabled of the chart)"
	mountCommand = "mount -t tracefs tracefs " + mountPoint
)

// findRoot returns where tracefs is: root, if given, else the first mount point
// that holds it.
func findRoot(root string) (string, error) {
	candidates := append([]string{mountPoint, oldMountPoint}, mounted("/proc/self/mountinfo")...)
	if root != "" {
		candidates = []string{root}
	}
	at, refusal := "", error(nil)
	for _, c := range candidates {
		_, err := os.Stat(filepath.Join(c, "instances"))
		if err == nil {
			return c, nil
		}
		// The one that is there is the one to mend.
		if refusal == nil || exists(at) != nil && exists(c) == nil {
			at, refusal = c, err
		}
	}
	return "", explain(at, refusal, readFacts())
}

// mounted are the mount points of tracefs:
//
//	31 29 0:12 / /host/tracing rw,nosuid - tracefs tracefs rw
func mounted(mountinfo string) (points []string) {
	b, err := os.ReadFile(mountinfo)
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(b)) {
		mount, kind, _ := strings.Cut(line, " - ")
		if f := strings.Fields(mount); len(f) > 4 && f[3] == "/" && strings.HasPrefix(kind, "tracefs ") {
			points = append(points, f[4])
		}
	}
	return points
}

func exists(path string) error {
	_, err := os.Stat(path)
	return err
}

// facts are what tells which refusal it was.
type facts struct {
	uid       int
	override  bool // CAP_DAC_OVERRIDE is in effect
	container bool
	pod       bool
	lockdown  bool // of the kind that keeps even root from tracing
	// there is true when the directory exists, whatever is in it.
	there func(path string) bool
}

func readFacts() facts {
	f := facts{uid: os.Geteuid(), there: func(path string) bool { return exists(path) == nil }}
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&hdr, &data[0]); err == nil {
		f.override = data[unix.CAP_DAC_OVERRIDE/32].Effective&(1<<(unix.CAP_DAC_OVERRIDE%32)) != 0
	}
	f.pod = inside.Pod()
	f.container = inside.Container() || !inHostPIDs("/proc")
	// Where it cannot be read, the message names the likelier reason.
	b, err := os.ReadFile("/sys/kernel/security/lockdown")
	f.lockdown = err == nil && strings.Contains(string(b), "[confidentiality]")
	return f
}

// inHostPIDs reports whether proc shows the host's PID namespace, which has a
// fixed number (PROC_PID_INIT_INO).
func inHostPIDs(proc string) bool {
	ns, err := os.Readlink(filepath.Join(proc, "self/ns/pid"))
	return err == nil && ns == "pid:[4026531836]"
}

// explain says what a refusal under the tracefs path means.
func explain(path string, err error, f facts) *AccessError {
	e := &AccessError{Path: path, Err: err}
	switch {
	case errors.Is(err, fs.ErrNotExist) && f.pod:
		e.Reason = "tracefs is not mounted in this pod, or not on its node"
		e.Fix = inPod + "; where the node has none there: " + mountCommand
	case errors.Is(err, unix.EROFS) && f.pod:
		e.Reason = "it is mounted read-only, and an instance of our own must be made in it"
		e.Fix = inPod
	case errors.Is(err, fs.ErrPermission) && f.pod && !f.lockdown:
		e.Reason = fmt.Sprintf("uid %d is refused: by an AppArmor or SELinux policy, or as a user without rights on it", f.uid)
		e.Fix = inPod + ", and run as root (securityContext.runAsUser: 0); where SELinux enforces add securityContext.seLinuxOptions.type: spc_t"
	case errors.Is(err, fs.ErrNotExist) && f.there(path) && f.container:
		e.Reason = "tracefs is not mounted there"
		e.Fix = "mount it on the host (" + mountCommand + ") and add -v " + mountPoint + ":" + mountPoint + " to the container"
	case errors.Is(err, fs.ErrNotExist) && f.there(path):
		e.Reason = "tracefs is not mounted there"
		e.Fix = mountCommand
	case errors.Is(err, fs.ErrNotExist):
		e.Reason = "there is no such directory"
		e.Fix = mountCommand + "; " + inContainer + "; if the directory is missing on the host, its kernel was built without CONFIG_TRACING"
	case errors.Is(err, unix.EROFS):
		e.Reason = "it is mounted read-only, and an instance of our own must be made in it"
		e.Fix = "mount -o remount,rw " + path + "; " + inContainer + " without :ro; in a systemd unit take out ProtectKernelTunables= or add ReadWritePaths=" + path + "/instances"
	case errors.Is(err, unix.EPERM) && f.lockdown:
		e.Reason = "the kernel is locked down (confidentiality), which forbids tracing even to root"
		e.Fix = "boot with lockdown=integrity or without lockdown"
	case errors.Is(err, fs.ErrPermission) && f.uid != 0 && !f.override:
		e.Reason = fmt.Sprintf("only root may use it, and uid %d lacks CAP_DAC_OVERRIDE", f.uid)
		e.Fix = "run it as root or with CAP_DAC_OVERRIDE, in a systemd unit with AmbientCapabilities=CAP_DAC_OVERRIDE"
	case errors.Is(err, fs.ErrPermission):
		e.Reason = fmt.Sprintf("uid %d has the right to it and is refused: by an AppArmor or SELinux policy, or in a user namespace whose root is not the host's", f.uid)
		e.Fix = "in a container add --security-opt apparmor=unconfined (or label=disable) and run it in the host's user namespace (--userns=host)"
	case errors.Is(err, unix.ENOMEM):
		e.Reason = "the kernel has no memory for the buffers"
		e.Fix = "try again when memory is free"
	default:
		e.Reason = reason(err)
		e.Fix = "check with: ls " + path + "/instances"
	}
	return e
}

// reason is err without the operation and path that os puts before it.
func reason(err error) string {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno.Error()
	}
	return err.Error()
}
