package lab

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// EngineEnv names the variable with the address of an engine that tests use in
// place of one of their own ("unix:///run/podman/podman.sock"). They can then
// neither stop nor freeze it, and take away only the containers they made.
const EngineEnv = "OOMWATCH_ENGINE"

// SlowEnv names the variable that says how many times slower than usual this
// machine is (an emulated one): every wait is as many times longer.
const SlowEnv = "OOMWATCH_SLOW"

// Slow is d on this machine: longer where SlowEnv says so.
func Slow(d time.Duration) time.Duration {
	f, err := strconv.ParseFloat(os.Getenv(SlowEnv), 64)
	if err != nil || f <= 1 {
		return d
	}
	return time.Duration(float64(d) * f)
}

// Attach returns the engine that listens at host ("unix:///..."), with the test
// image loaded. Stop removes the containers that were made through it, not the engine.
func Attach(ctx context.Context, host string) (*Engine, error) {
	dir, err := os.MkdirTemp("", "oomwatch-lab-")
	if err != nil {
		return nil, fmt.Errorf("make lab directory: %w", err)
	}
	e := at(Options{Dir: dir})
	e.Host, e.made = host, &made{}
	if err := ping(ctx, e.Socket()); err != nil {
		os.RemoveAll(dir)
		return nil, fmt.Errorf("ask the engine at %s: %w", host, err)
	}
	if err := e.loadImage(ctx); err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	return e, nil
}

// Private is true for an engine of our own, which may be stopped and frozen.
func (e *Engine) Private() bool { return e.made == nil }

// made are the containers that were made on an engine that is not ours.
type made struct {
	mu  sync.Mutex
	ids []string
}

// note keeps the id that a docker command printed, when it made a container.
func (m *made) note(args []string, out string) {
	if m == nil || len(args) == 0 || args[0] != "run" && args[0] != "create" {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ids = append(m.ids, strings.Fields(out)...)
}

// leave removes what was made.
func (e *Engine) leave() error {
	ctx, cancel := context.WithTimeout(context.Background(), Slow(30*time.Second))
	defer cancel()
	e.made.mu.Lock()
	ids := e.made.ids
	e.made.mu.Unlock()
	for _, id := range ids {
		_, _ = e.Docker(ctx, "rm", "-fv", id) // gone already with --rm
	}
	return os.RemoveAll(e.Dir)
}

// Platform names what a death happened on: kernel, cgroup version and engine,
// as "6.12-v2-docker-26.1.5".
func (e *Engine) Platform(ctx context.Context) (string, error) {
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return "", err
	}
	kernel := strings.SplitN(strings.TrimSpace(string(release)), ".", 3)
	if len(kernel) < 2 {
		return "", fmt.Errorf("kernel release %q has no dot", release)
	}
	minor := kernel[1]
	if i := strings.IndexFunc(minor, func(r rune) bool { return r < '0' || r > '9' }); i >= 0 {
		minor = minor[:i]
	}
	cgroups := "v2"
	if _, err := os.Stat("/sys/fs/cgroup/memory"); err == nil {
		cgroups = "v1"
	}
	out, err := e.Docker(ctx, "version", "-f", "{{range .Server.Components}}{{.Name}} {{.Version}}\n{{end}}")
	if err != nil {
		return "", err
	}
	engine, podman := "", false
	for line := range strings.Lines(out) {
		name, version, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch name {
		case "Engine":
			engine = "docker-" + version
		case "Podman", "Conmon":
			podman = true // it calls its engine as Docker does
		}
	}
	if podman {
		engine = strings.Replace(engine, "docker", "podman", 1)
	}
	if engine == "" {
		return "", fmt.Errorf("no engine in %q", out)
	}
	version, _, _ := strings.Cut(engine, "+")
	driver, err := e.Docker(ctx, "info", "-f", "{{.CgroupDriver}}")
	if err != nil {
		return "", err
	}
	if driver == "systemd" {
		version += "-systemd"
	}
	return fmt.Sprintf("%s.%s-%s-%s", kernel[0], minor, cgroups, version), nil
}
