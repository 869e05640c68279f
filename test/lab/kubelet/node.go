// Package kubelet runs a real Kubernetes of one node: etcd, an API server, a kubelet, a
// containerd and a journal, in mount and network namespaces of their own. It is for tests;
// the product does not import it.
package kubelet

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/oomwatch/oomwatch/test/lab"
	"github.com/oomwatch/oomwatch/test/lab/pods"
)

// BinEnv names the variable with the folder that build.sh has filled.
const BinEnv = "OOMWATCH_KUBERNETES"

// Image is the test image's name, for a pod's containers.
const Image = pods.Image

// Name is the node's name.
const Name = "lab-node"

// journald is the journal's daemon, which is in no PATH.
const journald = "/lib/systemd/systemd-journald"

// Node is the node.
type Node struct {
	// Dir holds everything of it.
	Dir string
	// Version is Kubernetes' own: "v1.37.2".
	Version string
	// Runtime is its containerd.
	Runtime *pods.Runtime

	bin, containerd string // folders of programs
	holder          *program
	programs        map[string]*program
	api             api
}

// program is one that runs.
type program struct {
	pid  int
	done <-chan struct{}
}

// Missing says what stands in the way of such a node here, or nil.
func Missing() error {
	if err := pods.Missing(); err != nil {
		return err
	}
	bin := os.Getenv(BinEnv)
	if bin == "" {
		return errors.New("a node of Kubernetes needs its programs: run make lab-kubelet")
	}
	for _, path := range []string{filepath.Join(bin, "kubelet"), filepath.Join(bin, "kube-apiserver"), filepath.Join(bin, "etcd"), filepath.Join(bin, "cni/bridge"), journald} {
		if _, err := os.Stat(path); err != nil {
			return fmt.Errorf("a node of Kubernetes needs its programs: run make lab-kubelet: %w", err)
		}
	}
	for _, name := range []string{"nsenter", "ip", "mount", "journalctl", "systemd-cat"} {
		if _, err := exec.LookPath(name); err != nil {
			return fmt.Errorf("a node of Kubernetes: %w", err)
		}
	}
	if pids := podProcesses(); len(pids) > 0 {
		return fmt.Errorf("pods of another kubelet run on this machine: %d processes", len(pids))
	}
	return nil
}

// New starts a node in dir, and waits until it is ready.
func New(ctx context.Context, dir string) (*Node, error) {
	n := &Node{Dir: dir, bin: os.Getenv(BinEnv), containerd: os.Getenv(pods.BinEnv), programs: map[string]*program{}}
	if err := n.write(); err != nil {
		return nil, err
	}
	if err := n.start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("%w\n%s", err, n.Logs()), n.Stop())
	}
	return n, nil
}

// start starts everything, in the order that one needs the other.
func (n *Node) start(ctx context.Context) error {
	if err := n.enter(ctx); err != nil {
		return err
	}
	n.api.netns = fmt.Sprintf("/proc/%d/ns/net", n.holder.pid)
	for _, c := range n.commands() {
		if err := n.run(c[0], c[1:]...); err != nil {
			return err
		}
	}
	var err error
	if n.Runtime, err = pods.Attach(ctx, n.Dir, n.Path("/run/containerd/containerd.sock"), n.containerd); err != nil {
		return err
	}
	if err := until(ctx, "the API server is not ready", n.api.ready); err != nil {
		return err
	}
	if n.Version, err = n.api.version(ctx); err != nil {
		return err
	}
	if err := n.Up(); err != nil {
		return err
	}
	return until(ctx, "the node is not ready", n.api.nodeReady)
}

// enter makes the namespaces, and a process that holds them.
func (n *Node) enter(ctx context.Context) error {
	cmd := exec.Command("sh", filepath.Join(n.Dir, "inside.sh"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL, Unshareflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET}
	log, err := n.log("inside")
	if err != nil {
		return err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	done, err := lab.Launch(cmd)
	if err != nil {
		return fmt.Errorf("make the node's namespaces: %w", err)
	}
	n.holder = &program{cmd.Process.Pid, done}
	return until(ctx, "the node's namespaces are not ready", func(context.Context) error {
		_, err := os.Stat(filepath.Join(n.Dir, "inside"))
		return err
	})
}

// commands are the programs beside the kubelet.
func (n *Node) commands() [][]string {
	in := func(name string) string { return filepath.Join(n.Dir, name) }
	containerd := "containerd"
	if n.containerd != "" {
		containerd = filepath.Join(n.containerd, containerd)
	}
	return [][]string{
		{"journald", journald},
		{"containerd", containerd, "--config", in("containerd.toml")},
		{"etcd", filepath.Join(n.bin, "etcd"), "--data-dir", in("etcd"), "--unsafe-no-fsync", "--listen-client-urls", etcdAddress, "--advertise-client-urls", etcdAddress,
			"--listen-peer-urls", "http://127.0.0.1:2380", "--initial-advertise-peer-urls", "http://127.0.0.1:2380", "--initial-cluster", "default=http://127.0.0.1:2380"},
		{"apiserver", filepath.Join(n.bin, "kube-apiserver"), "--etcd-servers=" + etcdAddress, "--cert-dir=" + in("certificates"), "--secure-port=6443", "--bind-address=127.0.0.1",
			"--advertise-address=" + nodeAddress, "--authorization-mode=RBAC", "--token-auth-file=" + in("tokens.csv"), "--service-account-issuer=https://lab",
			"--service-account-key-file=" + in("accounts.key"), "--service-account-signing-key-file=" + in("accounts.key"), "--service-cluster-ip-range=10.96.0.0/24",
			"--disable-admission-plugins=ServiceAccount,TaintNodesByCondition", "--endpoint-reconciler-type=none"},
	}
}

// Platform names where the deaths happen, for the matrix.
func (n *Node) Platform() string {
	return strings.Replace(n.Runtime.Platform(), "-containerd", "-kubernetes-"+strings.TrimPrefix(n.Version, "v")+"-containerd", 1)
}

// Up starts the kubelet, again after Down.
func (n *Node) Up() error {
	// The journal names the unit of a line by its program's control group: others could
	// write lines that say they are the kubelet's.
	group := unitGroup()
	if err := os.MkdirAll(group, 0o755); err != nil {
		return err
	}
	return n.run("kubelet", "sh", "-c", `echo $$ >"$0/cgroup.procs" && exec "$@"`, group, "systemd-cat", "-t", "kubelet", filepath.Join(n.bin, "kubelet"), "--config="+filepath.Join(n.Dir, "kubelet.yaml"), "--hostname-override="+Name,
		"--node-ip="+nodeAddress, "--kubeconfig="+filepath.Join(n.Dir, "kubeconfig"), "-v=2")
}

// Down ends the kubelet; its pods run on.
func (n *Node) Down() error {
	n.end("kubelet", syscall.SIGTERM)
	return nil
}

// unitGroup is where systemd would have the kubelet, on a machine with cgroup v2 alone or
// with both.
func unitGroup() string {
	root := "/sys/fs/cgroup/unified"
	if pods.V2() {
		root = "/sys/fs/cgroup"
	}
	return filepath.Join(root, "system.slice/kubelet.service")
}

// Inside is a command in the node's mount namespace, and with nothing else of its own.
func (n *Node) Inside(args ...string) []string {
	return append([]string{"nsenter", "--target", strconv.Itoa(n.holder.pid), "--mount", "--"}, args...)
}

// Path is a file of the node as others see it.
func (n *Node) Path(path string) string { return fmt.Sprintf("/proc/%d/root%s", n.holder.pid, path) }

// run starts a program of the node.
func (n *Node) run(name string, args ...string) error {
	log, err := n.log(name)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command("nsenter", append([]string{"--target", strconv.Itoa(n.holder.pid), "--mount", "--net", "--"}, args...)...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(os.Environ(), "PATH="+strings.TrimPrefix(n.containerd+":", ":")+os.Getenv("PATH")+":/usr/sbin:/sbin")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGTERM}
	done, err := lab.Launch(cmd)
	if err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	n.programs[name] = &program{cmd.Process.Pid, done}
	return nil
}

func (n *Node) log(name string) (*os.File, error) {
	return os.OpenFile(filepath.Join(n.Dir, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
}

// end ends a program of the node by a signal, and by SIGKILL where that does not.
func (n *Node) end(name string, sig syscall.Signal) {
	p := n.programs[name]
	if p == nil {
		return
	}
	_ = syscall.Kill(p.pid, sig) // it may have ended
	select {
	case <-p.done:
	case <-time.After(lab.Slow(10 * time.Second)):
		_ = syscall.Kill(p.pid, syscall.SIGKILL)
		<-p.done
	}
}

// Stop ends the node, its pods and all that it has made.
func (n *Node) Stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), lab.Slow(time.Minute))
	defer cancel()
	n.end("kubelet", syscall.SIGTERM)
	var errs []error
	if n.Runtime != nil {
		errs = append(errs, n.Runtime.RemoveAll(ctx))
	}
	// The API server takes a minute to end by request.
	n.end("apiserver", syscall.SIGKILL)
	for _, name := range []string{"etcd", "containerd", "journald"} {
		n.end(name, syscall.SIGTERM)
	}
	for _, pid := range append(podProcesses(), n.left()...) {
		_ = syscall.Kill(pid, syscall.SIGKILL) // what could not be ended by request
	}
	if n.holder != nil {
		_ = syscall.Kill(n.holder.pid, syscall.SIGKILL)
		<-n.holder.done
	}
	errs = append(errs, removeGroups())
	_ = os.Remove(filepath.Dir(unitGroup())) // systemd's, where it runs
	return errors.Join(errs...)
}

// left are the processes in the node's mount namespace, but the one that holds it.
func (n *Node) left() (pids []int) {
	if n.holder == nil {
		return nil
	}
	ours, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/mnt", n.holder.pid))
	if err != nil {
		return nil
	}
	links, _ := filepath.Glob("/proc/[0-9]*/ns/mnt") // the pattern is right
	for _, l := range links {
		pid, _ := strconv.Atoi(strings.Split(l, "/")[2]) // digits, as the pattern says
		if theirs, err := os.Readlink(l); err == nil && theirs == ours && pid != n.holder.pid {
			pids = append(pids, pid)
		}
	}
	return pids
}

// groups are the control groups of pods, a parent before its children.
func groups() (dirs []string) {
	roots, _ := filepath.Glob("/sys/fs/cgroup/*/kubepods") // the pattern is right
	for _, root := range append(roots, "/sys/fs/cgroup/kubepods") {
		_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				dirs = append(dirs, path)
			}
			return nil // it may have gone meanwhile
		})
	}
	return dirs
}

// podProcesses are the processes in the control groups of pods.
func podProcesses() (pids []int) {
	for _, dir := range groups() {
		b, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
		if err != nil {
			continue // it has gone
		}
		for word := range strings.FieldsSeq(string(b)) {
			if pid, err := strconv.Atoi(word); err == nil && pid > 0 && !slices.Contains(pids, pid) {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// removeGroups removes the control groups of pods, which the kubelet leaves.
func removeGroups() (err error) {
	for range 50 {
		err = nil
		dirs := append(groups(), unitGroup())
		slices.Reverse(dirs)
		for _, dir := range dirs {
			if e := os.Remove(dir); e != nil && !errors.Is(e, os.ErrNotExist) {
				err = e
			}
		}
		if err == nil {
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return err
}

// Logs are the ends of what the node's programs have logged.
func (n *Node) Logs() string {
	var b strings.Builder
	for _, name := range []string{"inside", "etcd", "apiserver", "containerd", "journald", "kubelet"} {
		text, err := os.ReadFile(filepath.Join(n.Dir, name+".log"))
		if err == nil && len(text) > 0 {
			fmt.Fprintf(&b, "%s: %s\n", name, text[max(0, len(text)-2000):])
		}
	}
	if n.holder != nil {
		args := n.Inside("journalctl", "-o", "cat", "-q", "--no-pager", "-n", "60")
		out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
		fmt.Fprintf(&b, "journal: %s %v\n", out, err)
	}
	return b.String()
}

// until tries until it goes well.
func until(ctx context.Context, what string, try func(context.Context) error) error {
	for {
		err := try(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", what, err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}
