package pods

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// BinEnv names the variable with a folder that holds another containerd than the
// system's, its shim and its ctr.
const BinEnv = "OOMWATCH_CONTAINERD"

// CRIOEnv names the variable with a folder that holds a CRI-O and its pinns, which is
// then the runtime instead of containerd: see build-crio.sh.
const CRIOEnv = "OOMWATCH_CRIO"

// kind is all that differs between the runtimes.
type kind struct {
	// name is what incidents call it, and what its program is called in matrices.
	name string
	// program is the runtime's own, needs what it needs beside that.
	program string
	needs   []string
	// files are its configuration, by their names in its folder, args those of its program.
	files func(r *Runtime) map[string]string
	args  []string
	// imports imports an image out of an archive of docker save.
	imports func(ctx context.Context, r *Runtime, name string, archive io.Reader) error
	// pid asks, not by CRI, for the host pid of a container's first process.
	pid func(ctx context.Context, r *Runtime, id string) (int, error)
	// monitor is the program that stays with each container.
	monitor string
	// looks is true where a container is not even created if its command is not there.
	looks bool
}

// chosen is the runtime that the environment names, and the folder of its programs.
func chosen() (k *kind, bin string) {
	if bin := os.Getenv(CRIOEnv); bin != "" {
		return &crio, bin
	}
	return &containerd, os.Getenv(BinEnv)
}

var containerd = kind{
	name: "containerd", program: "containerd", needs: []string{"ctr", "runc"}, monitor: "containerd-shim",
	args: []string{"--config", "config.toml"},
	// It leaves out what needs more rights than a test machine gives: AppArmor, and an
	// oom_score_adj below one's own.
	files: func(r *Runtime) map[string]string {
		return map[string]string{"config.toml": fmt.Sprintf(`version = 2
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
`, r.path("root"), r.path("state"), r.Socket, r.path("opt"), Image, r.systemd)}
	},
	imports: func(ctx context.Context, r *Runtime, _ string, archive io.Reader) error {
		cmd := exec.CommandContext(ctx, r.program("ctr"), "--address", r.Socket, "--namespace", "k8s.io", "images", "import", "-")
		cmd.Stdin = archive
		return run(cmd)
	},
	pid: func(ctx context.Context, r *Runtime, id string) (int, error) {
		out, err := exec.CommandContext(ctx, r.program("ctr"), "--address", r.Socket, "--namespace", "k8s.io", "tasks", "list").Output()
		if err != nil {
			return 0, err
		}
		for line := range strings.Lines(string(out)) {
			if f := strings.Fields(line); len(f) == 3 && f[0] == id {
				return strconv.Atoi(f[1])
			}
		}
		return 0, fmt.Errorf("no task of %.12s", id)
	},
}

var crio = kind{
	name: "cri-o", program: "crio", needs: []string{"conmon", "runc", "skopeo"}, monitor: "conmon", looks: true,
	args:  []string{"--config", "crio.conf", "--config-dir", "conf.d"},
	files: crioFiles,
	imports: func(ctx context.Context, r *Runtime, name string, archive io.Reader) error {
		file, err := os.CreateTemp(r.Dir, "image-*.tar")
		if err != nil {
			return err
		}
		defer os.Remove(file.Name())
		defer file.Close()
		if _, err := io.Copy(file, archive); err != nil {
			return err
		}
		return run(exec.CommandContext(ctx, "skopeo", "--policy", r.path("policy.json"), "copy", "-q", "docker-archive:"+file.Name(),
			fmt.Sprintf("containers-storage:[vfs@%s+%s]%s", r.path("root"), r.path("run"), name)))
	},
	pid: func(ctx context.Context, r *Runtime, id string) (int, error) {
		out, err := exec.CommandContext(ctx, "runc", "--root", r.path("runc"), "state", id).Output()
		if err != nil {
			return 0, err
		}
		var state struct{ PID int }
		return state.PID, json.Unmarshal(out, &state)
	},
}

// crioFiles keep all of CRI-O in the runtime's folder, and leave out what needs more rights
// than a test machine gives, or would change the machine.
func crioFiles(r *Runtime) map[string]string {
	manager, monitors := "cgroupfs", "pod"
	if r.systemd {
		manager, monitors = "systemd", "system.slice"
	}
	config := fmt.Sprintf(`[crio]
root = %q
runroot = %q
storage_driver = "vfs"
log_dir = %q
version_file = %q
version_file_persist = %q
clean_shutdown_file = %q
[crio.api]
listen = %q
[crio.runtime]
default_runtime = "runc"
cgroup_manager = %q
apparmor_profile = "unconfined"
container_exits_dir = %q
container_attach_socket_dir = %q
namespaces_dir = %q
pinns_path = %q
irqbalance_config_file = ""
irqbalance_config_restore_file = "disable"
enable_criu_support = false
hooks_dir = []
cdi_spec_dirs = []
[crio.runtime.runtimes.runc]
runtime_path = %q
runtime_root = %q
monitor_path = %q
monitor_cgroup = %q
[crio.image]
pause_image = %q
pause_command = "/bin/sleep"
signature_policy = %q
signature_policy_dir = %q
[crio.network]
network_dir = %q
plugin_dirs = [%q]
[crio.nri]
enable_nri = false
`, r.path("root"), r.path("run"), r.path("logs"), r.path("version"), r.path("version-persist"), r.path("clean.shutdown"), r.Socket,
		manager, r.path("exits"), r.path("attach"), r.path("ns"), r.program("pinns"), found("runc"), r.path("runc"), found("conmon"), monitors,
		Image, r.path("policy.json"), r.path("policies"), r.path("cni"), r.path("cni"))
	return map[string]string{"crio.conf": config, "conf.d/none": "", "policy.json": `{"default": [{"type": "insecureAcceptAnything"}]}`}
}

// found is the path of a program; its name where it is nowhere.
func found(name string) string {
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	return name
}

// run runs a command, and says what it said where it failed.
func run(cmd *exec.Cmd) error {
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", filepath.Base(cmd.Path), err, out)
	}
	return nil
}
