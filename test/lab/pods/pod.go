package pods

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/oomwatch/oomwatch/internal/grpcread"
	"github.com/oomwatch/oomwatch/test/lab"
)

const service = "/runtime.v1.RuntimeService/"

// calls are what the lab asks a runtime: it runs and ends pods, as a kubelet does.
var calls = []string{service + "Version", service + "RunPodSandbox", service + "StopPodSandbox", service + "RemovePodSandbox",
	service + "ListPodSandbox", service + "ListContainers", service + "CreateContainer", service + "StartContainer", service + "StopContainer", service + "RemoveContainer",
	service + "ContainerStatus", service + "ExecSync"}

// Pod is a pod to be run, as a kubelet would ask for it.
type Pod struct {
	Namespace, Name, UID string
	Labels, Annotations  map[string]string
	// Limit is that of the pod's cgroup in bytes; 0 for none.
	Limit int64
	// HostPID has its containers see the machine's processes.
	HostPID bool

	id     string
	parent string
	logs   string
}

// Container is one of its containers.
type Container struct {
	Name    string
	Command []string
	// Limit is its own, in bytes; 0 for none.
	Limit   int64
	Restart int
	Grace   int // seconds

	// Env is its environment, Mounts are paths of the host by those in it, mounted
	// writable; User is its uid.
	Env, Mounts map[string]string
	User        int
	AddCaps     []string
	// DropCaps takes all capabilities away but those of AddCaps.
	DropCaps bool
	// Quota is its CPU quota in microseconds of each 100 ms; 0 for none.
	Quota                         int64
	ReadonlyRoot, NoNewPrivileges bool
	// Group has an OOM kill of one process take all of them, as the kubelet asks for on
	// cgroup v2.
	Group bool
}

// security is its LinuxContainerSecurityContext, in a pod.
func (c *Container) security(p *Pod) []byte {
	var caps []byte
	for _, name := range c.AddCaps {
		caps = grpcread.AppendText(caps, 1, name)
	}
	if c.DropCaps {
		caps = grpcread.AppendText(caps, 2, "ALL")
	}
	b := grpcread.AppendMessage(grpcread.AppendMessage(nil, 1, caps), 3, p.namespaces())
	b = grpcread.AppendMessage(b, 5, grpcread.AppendInt(nil, 1, int64(c.User)))
	if c.ReadonlyRoot {
		b = grpcread.AppendInt(b, 7, 1)
	}
	if c.NoNewPrivileges {
		b = grpcread.AppendInt(b, 11, 1)
	}
	return b
}

func (r *Runtime) call(ctx context.Context, method string, request []byte) (first string, err error) {
	ctx, cancel := context.WithTimeout(ctx, lab.Slow(time.Minute))
	defer cancel()
	answer, err := r.conn.Call(ctx, service+method, request)
	if err != nil {
		return "", fmt.Errorf("%s: %w", method, err)
	}
	err = grpcread.Fields(answer, func(f grpcread.Field) error {
		if f.Number == 1 && first == "" {
			first = f.Text()
		}
		return nil
	})
	return first, err
}

func (r *Runtime) version(ctx context.Context) (v string, err error) {
	ctx, cancel := context.WithTimeout(ctx, lab.Slow(time.Second))
	defer cancel()
	answer, err := r.conn.Call(ctx, service+"Version", nil)
	if err != nil {
		return "", err
	}
	return v, grpcread.Fields(answer, func(f grpcread.Field) error {
		if f.Number == 3 {
			v = f.Text()
		}
		return nil
	})
}

func entries(b []byte, number int, m map[string]string) []byte {
	for k, v := range m {
		b = grpcread.AppendMessage(b, number, grpcread.AppendText(grpcread.AppendText(nil, 1, k), 2, v))
	}
	return b
}

// config is the pod's PodSandboxConfig, on the host's network.
func (p *Pod) config() []byte {
	meta := grpcread.AppendText(grpcread.AppendText(grpcread.AppendText(nil, 1, p.Name), 2, p.UID), 3, p.Namespace)
	labels := map[string]string{"io.kubernetes.pod.name": p.Name, "io.kubernetes.pod.namespace": p.Namespace, "io.kubernetes.pod.uid": p.UID}
	for k, v := range p.Labels {
		labels[k] = v
	}
	linux := grpcread.AppendText(nil, 1, p.parent)
	linux = grpcread.AppendMessage(linux, 2, grpcread.AppendMessage(nil, 1, p.namespaces()))
	b := grpcread.AppendMessage(nil, 1, meta)
	b = grpcread.AppendText(b, 3, p.logs)
	b = entries(b, 6, labels)
	b = entries(b, 7, p.Annotations)
	return grpcread.AppendMessage(b, 8, linux)
}

// PodLogs is the folder of the pods' logs.
func (r *Runtime) PodLogs() string { return r.path("podlogs") }

// namespaces is its NamespaceOption, which its containers have too.
func (p *Pod) namespaces() []byte {
	const ofContainer, ofNode = 1, 2
	pids := int64(ofContainer)
	if p.HostPID {
		pids = ofNode
	}
	return grpcread.AppendInt(grpcread.AppendInt(nil, 1, ofNode), 2, pids)
}

// Run runs the pod's sandbox. The pod's cgroup is made first, as the kubelet does.
func (r *Runtime) Run(ctx context.Context, p *Pod) error {
	p.parent = "/" + r.Root + "/burstable/pod" + p.UID
	if r.systemd {
		p.parent = r.Root + "-burstable-pod" + strings.ReplaceAll(p.UID, "-", "_") + ".slice"
	}
	p.logs = filepath.Join(r.PodLogs(), p.Namespace+"_"+p.Name+"_"+p.UID)
	if err := r.cgroup(p); err != nil {
		return err
	}
	id, err := r.call(ctx, "RunPodSandbox", grpcread.AppendMessage(nil, 1, p.config()))
	p.id = id
	return err
}

// cgroup makes the cgroup of a pod, with its limit.
func (r *Runtime) cgroup(p *Pod) error {
	if r.systemd {
		return p.slice()
	}
	root, limit := "/sys/fs/cgroup/memory", "memory.limit_in_bytes"
	if V2() {
		root, limit = "/sys/fs/cgroup", "memory.max"
	}
	dir := filepath.Join(root, p.parent)
	for _, d := range []string{filepath.Join(root, r.Root), filepath.Join(root, r.Root, "burstable"), dir} {
		err := os.Mkdir(d, 0o755)
		switch {
		case err == nil:
			r.parents = append(r.parents, d)
		case !errors.Is(err, os.ErrExist):
			return err
		}
		if limit == "memory.max" {
			if err := os.WriteFile(filepath.Join(filepath.Dir(d), "cgroup.subtree_control"), []byte("+memory"), 0o644); err != nil {
				return err
			}
		}
	}
	if p.Limit == 0 {
		return nil
	}
	return os.WriteFile(filepath.Join(dir, limit), []byte(strconv.FormatInt(p.Limit, 10)), 0o644)
}

// slice has systemd make the cgroup of a pod.
func (p *Pod) slice() error {
	commands := [][]string{{"start", p.parent}}
	if p.Limit > 0 {
		commands = append(commands, []string{"set-property", "--runtime", p.parent, "MemoryMax=" + strconv.FormatInt(p.Limit, 10)})
	}
	for _, args := range commands {
		if out, err := exec.Command("systemctl", args...).CombinedOutput(); err != nil {
			return fmt.Errorf("systemctl %s: %w: %s", strings.Join(args, " "), err, out)
		}
	}
	return nil
}

// Create makes a container of a pod; its log is where the kubelet would have it.
func (r *Runtime) Create(ctx context.Context, p *Pod, c Container) (id string, err error) {
	if err := os.MkdirAll(filepath.Join(p.logs, c.Name), 0o755); err != nil {
		return "", err
	}
	meta := grpcread.AppendInt(grpcread.AppendText(nil, 1, c.Name), 2, int64(c.Restart))
	config := grpcread.AppendMessage(nil, 1, meta)
	config = grpcread.AppendMessage(config, 2, grpcread.AppendText(grpcread.AppendText(nil, 1, Image), 18, Image)) // 18: as the pod has it
	for _, word := range c.Command {
		config = grpcread.AppendText(config, 3, word)
	}
	config = entries(config, 6, c.Env)
	for at, source := range c.Mounts {
		config = grpcread.AppendMessage(config, 7, grpcread.AppendText(grpcread.AppendText(nil, 1, at), 2, source))
	}
	config = entries(config, 9, map[string]string{"io.kubernetes.container.name": c.Name, "io.kubernetes.pod.name": p.Name, "io.kubernetes.pod.namespace": p.Namespace, "io.kubernetes.pod.uid": p.UID})
	config = entries(config, 10, map[string]string{"io.kubernetes.container.restartCount": strconv.Itoa(c.Restart), "io.kubernetes.pod.terminationGracePeriod": strconv.Itoa(max(c.Grace, 30))})
	config = grpcread.AppendText(config, 11, fmt.Sprintf("%s/%d.log", c.Name, c.Restart))
	var resources []byte
	if c.Quota > 0 {
		resources = grpcread.AppendInt(grpcread.AppendInt(nil, 1, 100_000), 2, c.Quota)
	}
	resources = grpcread.AppendInt(resources, 4, c.Limit)
	if c.Group {
		resources = entries(resources, 9, map[string]string{"memory.oom.group": "1"})
	}
	config = grpcread.AppendMessage(config, 15, grpcread.AppendMessage(grpcread.AppendMessage(nil, 1, resources), 2, c.security(p)))
	request := grpcread.AppendText(nil, 1, p.id)
	request = grpcread.AppendMessage(request, 2, config)
	request = grpcread.AppendMessage(request, 3, p.config())
	return r.call(ctx, "CreateContainer", request)
}

// Start starts a container that was created.
func (r *Runtime) Start(ctx context.Context, id string) error {
	_, err := r.call(ctx, "StartContainer", grpcread.AppendText(nil, 1, id))
	return err
}

// StopContainer asks a container to stop, and kills it after a grace in seconds.
func (r *Runtime) StopContainer(ctx context.Context, id string, grace int) error {
	_, err := r.call(ctx, "StopContainer", grpcread.AppendInt(grpcread.AppendText(nil, 1, id), 2, int64(grace)))
	return err
}

// RemoveContainer removes a container that has ended.
func (r *Runtime) RemoveContainer(ctx context.Context, id string) error {
	_, err := r.call(ctx, "RemoveContainer", grpcread.AppendText(nil, 1, id))
	return err
}

// Exec runs a program in a container and waits for it.
func (r *Runtime) Exec(ctx context.Context, id string, command ...string) error {
	_, _, err := r.Output(ctx, id, command...)
	return err
}

// Output runs a program in a container, and returns what it writes and its exit code.
func (r *Runtime) Output(ctx context.Context, id string, command ...string) (out string, code int, err error) {
	request := grpcread.AppendText(nil, 1, id)
	for _, word := range command {
		request = grpcread.AppendText(request, 2, word)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	answer, err := r.conn.Call(ctx, service+"ExecSync", grpcread.AppendInt(request, 3, 30))
	if err != nil {
		return "", 0, fmt.Errorf("ExecSync: %w", err)
	}
	err = grpcread.Fields(answer, func(f grpcread.Field) error {
		switch f.Number {
		case 1, 2:
			out += string(f.Bytes)
		case 3:
			code = int(int32(f.Int))
		}
		return nil
	})
	return out, code, err
}

// Status is a container's state as CRI has it (2: exited), its exit code and its reason.
func (r *Runtime) Status(ctx context.Context, id string) (state, code int, reason string, err error) {
	ctx, cancel := context.WithTimeout(ctx, lab.Slow(5*time.Second))
	defer cancel()
	answer, err := r.conn.Call(ctx, service+"ContainerStatus", grpcread.AppendText(nil, 1, id))
	if err != nil {
		return 0, 0, "", err
	}
	err = grpcread.Fields(answer, func(f grpcread.Field) error {
		if f.Number != 1 {
			return nil
		}
		return grpcread.Fields(f.Bytes, func(f grpcread.Field) error {
			switch f.Number {
			case 3:
				state = int(f.Int)
			case 7:
				code = int(int32(f.Int))
			case 10:
				reason = f.Text()
			}
			return nil
		})
	})
	return state, code, reason, err
}

// Ended waits until a container has ended.
func (r *Runtime) Ended(ctx context.Context, id string) error {
	for {
		state, _, _, err := r.Status(ctx, id)
		if err != nil || state == 2 {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the container %.12s still runs: %w", id, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Remove ends a pod and removes it.
func (r *Runtime) Remove(ctx context.Context, p *Pod) error { return r.remove(ctx, p.id) }

// remove ends a pod and removes it. After a storm the runtime may need another try, which
// a kubelet gives it too.
func (r *Runtime) remove(ctx context.Context, id string) (err error) {
	for range 5 {
		if err = r.stop(ctx, id); err == nil {
			_, err = r.call(ctx, "RemovePodSandbox", grpcread.AppendText(nil, 1, id))
			return err
		}
	}
	return err
}

// stop ends a pod: its containers first, as a kubelet does. CRI-O would wait for them until
// the caller's deadline.
func (r *Runtime) stop(ctx context.Context, id string) error {
	containers, err := r.ids(ctx, "ListContainers", grpcread.AppendMessage(nil, 1, grpcread.AppendText(nil, 3, id)))
	for _, c := range containers {
		err = errors.Join(err, r.StopContainer(ctx, c, 0))
	}
	if err != nil {
		return err
	}
	_, err = r.call(ctx, "StopPodSandbox", grpcread.AppendText(nil, 1, id))
	return err
}

// RemoveAll ends all pods and removes them.
func (r *Runtime) RemoveAll(ctx context.Context) error {
	pods, err := r.ids(ctx, "ListPodSandbox", nil)
	for _, id := range pods {
		err = errors.Join(err, r.remove(ctx, id))
	}
	return err
}

// ids are those that a call lists.
func (r *Runtime) ids(ctx context.Context, method string, request []byte) (out []string, err error) {
	answer, err := r.conn.Call(ctx, service+method, request)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", method, err)
	}
	err = grpcread.Fields(answer, func(f grpcread.Field) error {
		return grpcread.Fields(f.Bytes, func(f grpcread.Field) error {
			if f.Number == 1 {
				out = append(out, f.Text())
			}
			return nil
		})
	})
	return out, err
}

// PID is the host pid of a container's first process.
func (r *Runtime) PID(ctx context.Context, id string) (int, error) { return r.kind.pid(ctx, r, id) }

// Monitor is the pid of the program that stays with a container, its shim or conmon: the
// parent of its first process.
func (r *Runtime) Monitor(ctx context.Context, id string) (int, error) {
	pid, err := r.PID(ctx, id)
	if err != nil {
		return 0, err
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// PID (NAME) STATE PARENT
	var parent int
	_, err = fmt.Sscanf(string(stat[bytes.LastIndexByte(stat, ')')+4:]), "%d", &parent)
	return parent, err
}

// Looks is true where a container whose command is not there is not even created.
func (r *Runtime) Looks() bool { return r.kind.looks }

// Platform names where the deaths happen, for the matrix.
func (r *Runtime) Platform() string {
	version := strings.TrimPrefix(r.Version, "v")
	if i := strings.IndexAny(version, "~+"); i >= 0 {
		version = version[:i] // what the packager added
	}
	group := "v1"
	if V2() {
		group = "v2"
	}
	if r.systemd {
		version += "-systemd"
	}
	return "host-" + group + "-" + r.Name + "-" + version
}

// V2 is true on a machine with cgroup v2 alone.
func V2() bool {
	_, err := os.Stat("/sys/fs/cgroup/cgroup.controllers")
	return err == nil
}

// program is one of the runtime's programs.
func (r *Runtime) program(name string) string {
	if r.bin == "" {
		return name
	}
	return filepath.Join(r.bin, name)
}
