// Package pods starts a private containerd or CRI-O, and runs and kills real pods in it. It
// is for tests; the product does not import it.
package pods

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/oomwatch/oomwatch/internal/grpcread"
	"github.com/oomwatch/oomwatch/test/lab"
)

// SystemdEnv names the variable that has the pods' cgroups made by systemd, as a kubelet
// with cgroupDriver systemd does. systemd must be process 1.
const SystemdEnv = "OOMWATCH_PODS_SYSTEMD"

// Runtime is a private containerd or CRI-O.
type Runtime struct {
	// Name is what incidents call it: "containerd" or "cri-o".
	Name string

	// Socket is its socket's path, Dir holds everything of it.
	Socket, Dir string
	// Version is what it says it is: "1.6.20~ds1".
	Version string

	// Root is the control group that pods are below. A kubelet of this machine ends those
	// below its own, kubepods, that it does not know.
	Root string

	kind    *kind
	bin     string // "" for the system's
	systemd bool   // see SystemdEnv
	conn    *grpcread.Conn
	pid     int
	done    <-chan struct{}
	// parents are the cgroups that were made for pods.
	parents []string
}

// Missing says what stands in the way of a private runtime here, or nil.
func Missing() error {
	k, bin := chosen()
	if os.Geteuid() != 0 {
		return fmt.Errorf("a private %s needs root", k.program)
	}
	for _, name := range append([]string{filepath.Join(bin, k.program), "busybox"}, k.needs...) {
		if _, err := exec.LookPath(name); err != nil {
			return fmt.Errorf("a private %s needs %s: run test/lab/ensure.sh, or make lab-crio", k.program, name)
		}
	}
	return nil
}

// New starts the runtime that the environment names (see BinEnv and CRIOEnv) in dir, and
// loads the test image.
func New(ctx context.Context, dir string) (*Runtime, error) {
	k, bin := chosen()
	r := &Runtime{Name: k.name, Dir: dir, Socket: filepath.Join(dir, k.program+".sock"), Root: "kubepods", kind: k, bin: bin, systemd: os.Getenv(SystemdEnv) != ""}
	for name, text := range k.files(r) {
		if err := os.MkdirAll(filepath.Dir(r.path(name)), 0o755); err != nil {
			return nil, err
		}
		if err := os.WriteFile(r.path(name), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	if err := r.Up(ctx); err != nil {
		return nil, err
	}
	if err := r.load(ctx); err != nil {
		return nil, errors.Join(err, r.Stop())
	}
	return r, nil
}

// Attach takes a containerd that runs already, and loads the test image, whose program is
// built in dir. It is not for Up, Kill and Stop.
func Attach(ctx context.Context, dir, socket, bin string) (*Runtime, error) {
	r := &Runtime{Name: containerd.name, Dir: dir, Socket: socket, Root: "kubepods", kind: &containerd, bin: bin, conn: grpcread.Dial(socket, calls...)}
	for {
		var err error
		if r.Version, err = r.version(ctx); err == nil {
			return r, r.load(ctx)
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("containerd does not answer at %s: %w", socket, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Up starts the runtime, again after Kill, and waits until it answers.
func (r *Runtime) Up(ctx context.Context) error {
	log, err := os.OpenFile(r.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	path := os.Getenv("PATH") + ":/usr/sbin:/sbin"
	if r.bin != "" {
		path = r.bin + ":" + path
	}
	cmd := exec.Command(r.program(r.kind.program), r.kind.args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = r.Dir, log, log
	cmd.Env = append(os.Environ(), "PATH="+path)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGTERM}
	done, err := lab.Launch(cmd)
	if err != nil {
		return fmt.Errorf("start %s: %w", r.Name, err)
	}
	r.pid, r.done = cmd.Process.Pid, done
	if r.conn != nil {
		r.conn.Close()
	}
	r.conn = grpcread.Dial(r.Socket, calls...)
	ctx, cancel := context.WithTimeout(ctx, lab.Slow(30*time.Second))
	defer cancel()
	for {
		if v, err := r.version(ctx); err == nil {
			r.Version = v
			return nil
		}
		select {
		case <-done:
			return fmt.Errorf("%s ended at its start:\n%s", r.Name, r.Logs())
		case <-ctx.Done():
			return fmt.Errorf("%s does not answer:\n%s", r.Name, r.Logs())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (r *Runtime) log() string { return r.path(r.kind.program + ".log") }

// path is one of its files or folders.
func (r *Runtime) path(name string) string { return filepath.Join(r.Dir, name) }

// Logs is the end of what the runtime has logged.
func (r *Runtime) Logs() string {
	b, err := os.ReadFile(r.log())
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-3000):])
}

// Signal sends a signal to the runtime alone.
func (r *Runtime) Signal(sig syscall.Signal) error { return syscall.Kill(r.pid, sig) }

// Kill ends the runtime by SIGKILL; its containers live on.
func (r *Runtime) Kill() error {
	if err := r.Signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-r.done
	return nil
}

// Stop ends all pods, and the runtime.
func (r *Runtime) Stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), lab.Slow(3*time.Minute))
	defer cancel()
	_ = r.Signal(syscall.SIGCONT) // it may be frozen
	errs := []error{r.RemoveAll(ctx)}
	if err := r.Signal(syscall.SIGTERM); err == nil {
		select {
		case <-r.done:
		case <-ctx.Done():
			errs = append(errs, r.Kill())
		}
	}
	// A pod that could not be ended by request leaves its shim or conmon: those are of this
	// folder.
	for _, pid := range processes(r.kind.monitor, r.Dir) {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	for i := len(r.parents) - 1; i >= 0; i-- {
		// CRI-O leaves the cgroups of its monitors to the kubelet.
		monitors, _ := filepath.Glob(filepath.Join(r.parents[i], "crio-conmon-*"))
		for _, dir := range append(monitors, r.parents[i]) {
			_ = os.Remove(dir) // the runtime may have removed it
		}
	}
	return errors.Join(errs...)
}

// processes are the pids of a program that has a word in its command line.
func processes(program, word string) (out []int) {
	dirs, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, d := range dirs {
		b, err := os.ReadFile(d)
		if err != nil || !strings.Contains(string(b), program) || !strings.Contains(string(b), word) {
			continue
		}
		var pid int
		if _, err := fmt.Sscanf(d, "/proc/%d/cmdline", &pid); err == nil {
			out = append(out, pid)
		}
	}
	return out
}
