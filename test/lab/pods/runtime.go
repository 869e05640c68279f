// Package pods starts a private containerd with its CRI, and runs and kills real pods in
// it. It is for tests; the product does not import it.
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

// BinEnv names the variable with a folder that holds another containerd than the
// system's, its shim and its ctr.
const BinEnv = "OOMWATCH_CONTAINERD"

// SystemdEnv names the variable that has the pods' cgroups made by systemd, as a kubelet
// with cgroupDriver systemd does. systemd must be process 1.
const SystemdEnv = "OOMWATCH_PODS_SYSTEMD"

// Runtime is a private containerd.
type Runtime struct {
	// Socket is its socket's path, Dir holds everything of it.
	Socket, Dir string
	// Version is what it says it is: "1.6.20~ds1".
	Version string

	// Root is the control group that pods are below. A kubelet of this machine ends those
	// below its own, kubepods, that it does not know.
	Root string

	bin     string // "" for the system's
	systemd bool   // see SystemdEnv
	conn    *grpcread.Conn
	pid     int
	done    <-chan struct{}
	// parents are the cgroups that were made for pods.
	parents []string
}

// Missing says what stands in the way of a private containerd here, or nil.
func Missing() error {
	if os.Geteuid() != 0 {
		return errors.New("a private containerd needs root")
	}
	for _, name := range []string{"containerd", "ctr", "runc", "busybox"} {
		if _, err := exec.LookPath(name); err != nil {
			return fmt.Errorf("a private containerd needs %s: run test/lab/ensure.sh", name)
		}
	}
	return nil
}

// New starts a containerd in dir and loads the test image. It is the one in the folder
// bin, or the system's for "".
func New(ctx context.Context, dir, bin string) (*Runtime, error) {
	r := &Runtime{Dir: dir, Socket: filepath.Join(dir, "containerd.sock"), Root: "kubepods", bin: bin, systemd: os.Getenv(SystemdEnv) != ""}
	config := fmt.Sprintf(configText, filepath.Join(dir, "root"), filepath.Join(dir, "state"), r.Socket, filepath.Join(dir, "opt"), Image, r.systemd)
	if err := os.WriteFile(filepath.Join(dir, "config.toml"), []byte(config), 0o600); err != nil {
		return nil, err
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
	r := &Runtime{Dir: dir, Socket: socket, Root: "kubepods", bin: bin, conn: grpcread.Dial(socket, calls...)}
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

// configText leaves out what needs more rights than a test machine gives: AppArmor, and
// an oom_score_adj below one's own.
const configText = `version = 2
root = %q
state = %q
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.grpc.v1.introspection"]
[grpc]
  address = %q
[ttrpc]
  address = ""
[plugins."io.containerd.internal.v1.opt"]
  path = %q
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = %q
  disable_apparmor = true
  restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
  SystemdCgroup = %t
`

// Up starts containerd, again after Down or Kill, and waits until it answers.
func (r *Runtime) Up(ctx context.Context) error {
	log, err := os.OpenFile(filepath.Join(r.Dir, "containerd.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	path := os.Getenv("PATH") + ":/usr/sbin:/sbin"
	if r.bin != "" {
		path = r.bin + ":" + path
	}
	cmd := exec.Command(r.program("containerd"), "--config", filepath.Join(r.Dir, "config.toml"))
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(os.Environ(), "PATH="+path)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGTERM}
	done, err := lab.Launch(cmd)
	if err != nil {
		return fmt.Errorf("start containerd: %w", err)
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
			return fmt.Errorf("containerd ended at its start:\n%s", r.Logs())
		case <-ctx.Done():
			return fmt.Errorf("containerd does not answer:\n%s", r.Logs())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Logs is the end of what containerd has logged.
func (r *Runtime) Logs() string {
	b, err := os.ReadFile(filepath.Join(r.Dir, "containerd.log"))
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-3000):])
}

// Signal sends a signal to containerd alone.
func (r *Runtime) Signal(sig syscall.Signal) error { return syscall.Kill(r.pid, sig) }

// Kill ends containerd by SIGKILL; its containers live on.
func (r *Runtime) Kill() error {
	if err := r.Signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-r.done
	return nil
}

// Stop ends all pods, and containerd.
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
	// A pod that could not be ended by request leaves its shim: those are of this folder.
	for _, dir := range processes("containerd-shim", r.Socket) {
		_ = syscall.Kill(dir, syscall.SIGKILL)
	}
	for i := len(r.parents) - 1; i >= 0; i-- {
		_ = os.Remove(r.parents[i]) // the runtime may have removed it
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
