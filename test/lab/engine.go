// Package lab starts a private Docker engine and causes real deaths on it. It is
// for tests, benchmarks and the demo; the product does not import it.
package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Options say how a private engine is to run. The zero value is fine.
type Options struct {
	// Dir holds everything of the engine; "" makes a new one under the temp
	// directory. It must not hold another engine.
	Dir string
	// LiveRestore keeps containers running while the engine is down.
	LiveRestore bool
	// Wait bounds the time until the engine answers; 0 means 60 s.
	Wait time.Duration
	// Args are further dockerd flags.
	Args []string
	// Detach lets the engine outlive this process; it is stopped with it otherwise.
	Detach bool
}

// Engine is a private dockerd with its own data, socket and containerd.
type Engine struct {
	// Host is what DOCKER_HOST would be: "unix://...".
	Host string
	// Dir holds data, sockets and the log.
	Dir string
	// Log is the file dockerd writes to.
	Log string

	opts Options
	made *made           // on an engine that is not ours
	done <-chan struct{} // closed when dockerd has ended; nil for one that another process started
	pid  int
}

// Missing says what stands in the way of a private engine here, or nil.
func Missing() error {
	if os.Geteuid() != 0 {
		return errors.New("a private Docker engine needs root")
	}
	var need []string
	for _, name := range []string{"dockerd", "docker", "containerd", "runc", "busybox"} {
		if _, err := lookPath(name); err != nil {
			need = append(need, name)
		}
	}
	if len(need) > 0 {
		return fmt.Errorf("a private Docker engine needs %s: run test/lab/ensure.sh", strings.Join(need, ", "))
	}
	return nil
}

// lookPath finds a program also where a user's PATH does not look.
func lookPath(name string) (string, error) {
	if p, err := exec.LookPath(name); err == nil {
		return p, nil
	}
	for _, dir := range []string{"/usr/sbin", "/sbin", "/usr/bin", "/bin"} {
		if p, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return p, nil
		}
	}
	return "", fmt.Errorf("%q not found", name)
}

// New starts an engine, waits until it answers and loads the test image.
func New(ctx context.Context, opts Options) (*Engine, error) {
	if err := Missing(); err != nil {
		return nil, err
	}
	if opts.Dir == "" {
		dir, err := os.MkdirTemp("", "oomwatch-lab-")
		if err != nil {
			return nil, fmt.Errorf("make lab directory: %w", err)
		}
		opts.Dir = dir
	}
	e := at(opts)
	if pid, err := e.readPID(); err == nil {
		return nil, fmt.Errorf("an engine runs in %s already (pid %d)", e.Dir, pid)
	}
	for _, d := range []string{e.Dir, e.dataRoot(), e.execRoot(), filepath.Join(e.Dir, "config")} {
		if err := os.MkdirAll(d, 0o711); err != nil {
			return nil, fmt.Errorf("make lab directory: %w", err)
		}
	}
	if err := e.Up(ctx); err != nil {
		return nil, errors.Join(err, e.Stop())
	}
	if err := e.loadImage(ctx); err != nil {
		return nil, errors.Join(err, e.Stop())
	}
	return e, nil
}

// At returns the engine that an earlier process started in dir, to be used or stopped.
func At(dir string) (*Engine, error) {
	e := at(Options{Dir: dir})
	pid, err := e.readPID()
	if err != nil {
		return nil, fmt.Errorf("find the engine in %s: %w", dir, err)
	}
	e.pid = pid
	return e, nil
}

func at(opts Options) *Engine {
	return &Engine{
		Host: "unix://" + filepath.Join(opts.Dir, "docker.sock"),
		Dir:  opts.Dir, Log: filepath.Join(opts.Dir, "dockerd.log"), opts: opts,
	}
}

func (e *Engine) dataRoot() string { return filepath.Join(e.Dir, "data") }
func (e *Engine) execRoot() string { return filepath.Join(e.Dir, "exec") }
func (e *Engine) pidFile() string  { return filepath.Join(e.Dir, "dockerd.pid") }

// Socket is the path of the engine's socket.
func (e *Engine) Socket() string { return strings.TrimPrefix(e.Host, "unix://") }

// namespace is the engine's own in containerd, so that its tasks are told from
// those of any other engine.
func (e *Engine) namespace() string { return "lab-" + filepath.Base(e.Dir) }

// PID is dockerd's process id.
func (e *Engine) PID() int { return e.pid }

func (e *Engine) readPID() (int, error) {
	b, err := os.ReadFile(e.pidFile())
	if err != nil {
		return 0, err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return 0, fmt.Errorf("read %s: %w", e.pidFile(), err)
	}
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil || !strings.Contains(string(line), e.dataRoot()) {
		return 0, fmt.Errorf("no engine runs as pid %d", pid)
	}
	return pid, nil
}

// up starts dockerd and waits until it answers.
func (e *Engine) up(ctx context.Context) error {
	dockerd, err := lookPath("dockerd")
	if err != nil {
		return err
	}
	log, err := os.OpenFile(e.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("open engine log: %w", err)
	}
	defer log.Close()
	args := []string{
		"--data-root", e.dataRoot(), "--exec-root", e.execRoot(), "--pidfile", e.pidFile(), "--host", e.Host,
		"--containerd-namespace", e.namespace(), "--containerd-plugins-namespace", "plugins-" + e.namespace(),
		// No bridge: quicker, and it would write noise into the kernel log.
		"--bridge", "none", "--iptables=false", "--ip6tables=false",
		"--config-file", filepath.Join(e.Dir, "daemon.json"),
		"--shutdown-timeout", "3",
	}
	if e.opts.LiveRestore {
		args = append(args, "--live-restore")
	}
	if err := os.WriteFile(filepath.Join(e.Dir, "daemon.json"), []byte("{}\n"), 0o644); err != nil {
		return fmt.Errorf("write engine configuration: %w", err)
	}
	cmd := exec.Command(dockerd, append(args, e.opts.Args...)...)
	cmd.Stdout, cmd.Stderr = log, log
	// Its own session: a Ctrl-C at the terminal is not for the engine.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if !e.opts.Detach {
		// A test that panics or is killed leaves no engine behind.
		cmd.SysProcAttr.Pdeathsig = syscall.SIGTERM
	}
	cmd.Env = append(os.Environ(), "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin")
	done, err := Launch(cmd)
	if err != nil {
		return fmt.Errorf("start dockerd: %w", err)
	}
	e.pid, e.done = cmd.Process.Pid, done
	return e.ready(ctx)
}

// Launch starts a program; done is closed when it has ended. Its Pdeathsig comes when
// this process ends, and no sooner.
func Launch(cmd *exec.Cmd) (done <-chan struct{}, err error) {
	started, ended := make(chan error, 1), make(chan struct{})
	go func() {
		// The kernel sends that signal when the thread that started the
		// program ends, so the thread is kept until then.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(ended)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // how it ends is read from its log
		}
	}()
	return ended, <-started
}

// ready waits until the engine answers.
func (e *Engine) ready(ctx context.Context) error {
	wait := e.opts.Wait
	if wait == 0 {
		wait = Slow(time.Minute)
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	for {
		if ping(ctx, e.Socket()) == nil {
			return nil
		}
		select {
		case <-e.done:
			e.pid = 0
			return fmt.Errorf("dockerd ended at its start; its log says:\n%s", tailFile(e.Log, 2000))
		case <-ctx.Done():
			return fmt.Errorf("dockerd did not answer within %s; its log says:\n%s", wait, tailFile(e.Log, 2000))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func tailFile(path string, n int) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-n):])
}

// signal sends a signal to dockerd alone, not to its children.
func (e *Engine) signal(sig syscall.Signal) error {
	if e.pid == 0 {
		return errors.New("the engine is not running")
	}
	return syscall.Kill(e.pid, sig)
}

// gone waits until dockerd has ended.
func (e *Engine) gone(wait time.Duration) error {
	deadline := time.Now().Add(wait)
	for time.Now().Before(deadline) {
		if e.done != nil {
			select {
			case <-e.done:
				e.pid = 0
				return nil
			case <-time.After(time.Until(deadline)):
			}
			continue
		}
		if _, err := os.Stat(fmt.Sprintf("/proc/%d", e.pid)); err != nil {
			e.pid = 0
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return fmt.Errorf("dockerd (pid %d) still runs after %s", e.pid, wait)
}

// Down ends dockerd as a service manager does (SIGTERM). Without LiveRestore
// its containers end with it.
func (e *Engine) Down() error {
	if err := e.signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stop dockerd: %w", err)
	}
	return e.gone(Slow(30 * time.Second))
}

// Kill ends dockerd by SIGKILL; containers live on when LiveRestore is set, and
// are left to their shims otherwise.
func (e *Engine) Kill() error {
	if err := e.signal(syscall.SIGKILL); err != nil {
		return fmt.Errorf("kill dockerd: %w", err)
	}
	return e.killed()
}

// killed waits for the end of a dockerd that was killed, and clears up after it.
func (e *Engine) killed() error {
	if err := e.gone(Slow(10 * time.Second)); err != nil {
		return err
	}
	// The containerd that it had started goes with it. Its pid may be a
	// zombie's for a while, which the next dockerd would take for alive.
	e.killAll(func(exe string) bool { return exe == "containerd" })
	if err := os.Remove(filepath.Join(e.execRoot(), "containerd", "containerd.pid")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// KillAll ends dockerd, its containerd, the shims and further processes by SIGKILL, all at
// once, as "systemctl kill" does to a unit.
func (e *Engine) KillAll(pids ...int) error {
	for _, pid := range append(append(pids, e.pid), e.processes(isRuntime)...) {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && err != syscall.ESRCH {
			return fmt.Errorf("kill process %d: %w", pid, err)
		}
	}
	return e.killed()
}

// Up starts dockerd, again on the same data after Down or Kill, and waits until it answers.
func (e *Engine) Up(ctx context.Context) error {
	// A pid file left by a kill may name a pid that is in use again.
	if err := os.Remove(e.pidFile()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	err := e.up(ctx)
	if err != nil && e.pid == 0 && Slow(1) > 1 {
		// dockerd gives its containerd 15 s, which an emulated machine may not
		// keep; the second time its files are in memory.
		e.killAll(func(exe string) bool { return exe == "containerd" })
		_ = os.Remove(filepath.Join(e.execRoot(), "containerd", "containerd.pid")) // it may not have got as far
		err = e.up(ctx)
	}
	return err
}

// Restart is Down and Up.
func (e *Engine) Restart(ctx context.Context) error {
	if err := e.Down(); err != nil {
		return err
	}
	return e.Up(ctx)
}

// Freeze stops dockerd in its tracks (SIGSTOP): the socket is there, nobody answers.
// It returns when every thread has stopped.
func (e *Engine) Freeze() error {
	if err := e.signal(syscall.SIGSTOP); err != nil {
		return err
	}
	for deadline := time.Now().Add(Slow(5 * time.Second)); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if e.stopped() {
			return nil
		}
	}
	return errors.New("dockerd did not stop within 5 s of SIGSTOP")
}

// stopped is true when every thread of dockerd is in state T.
func (e *Engine) stopped() bool {
	stats, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", e.pid))
	if err != nil || len(stats) == 0 {
		return false
	}
	for _, path := range stats {
		b, err := os.ReadFile(path)
		// The state follows the name, which is in brackets.
		if err == nil && !strings.HasPrefix(string(b[strings.LastIndexByte(string(b), ')')+1:]), " T") {
			return false
		}
	}
	return true
}

// Thaw lets a frozen dockerd go on.
func (e *Engine) Thaw() error { return e.signal(syscall.SIGCONT) }
