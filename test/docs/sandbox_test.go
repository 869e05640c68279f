package docs

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
	"syscall"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/test/harness"
	"github.com/oomwatch/oomwatch/test/real"
)

// overlaid are the folders that a sandbox's commands may write without anybody
// outside seeing it; the repository is one more.
var overlaid = []string{"/etc", "/usr/local", "/var/lib", "/run"}

// sandbox is a place where the documents' commands can be run as they stand:
// with the usual paths and ports, as root, and nothing of it on the host. It has
// mounts and a network of its own, in which there is only a receiver.
type sandbox struct {
	holder *exec.Cmd // keeps the namespaces
	dir    string    // shared with the host
	repo   string
	env    []string
	daemon *exec.Cmd
}

const receiverAddr = "127.0.0.1:18081"

func newSandbox(t *testing.T, host string) *sandbox {
	t.Helper()
	for _, tool := range []string{"unshare", "nsenter", "mount"} {
		if _, err := exec.LookPath(tool); err != nil {
			real.Missing(t, "a place to run commands in needs %s: %v", tool, err)
		}
	}
	repo, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	s := &sandbox{dir: t.TempDir(), repo: repo}
	for _, d := range []string{"bin", "received", "layers"} {
		if err := os.Mkdir(filepath.Join(s.dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Link(binary, filepath.Join(s.dir, "bin", "oomwatch")); err != nil {
		t.Fatal(err)
	}
	s.env = append(os.Environ(), "PATH="+filepath.Join(s.dir, "bin")+":"+os.Getenv("PATH"), "DOCKER_HOST="+host,
		"DOCKER_CONFIG="+filepath.Join(s.dir, "docker"), "DOCKER_BUILDKIT=0", "SLACK_WEBHOOK_URL=http://"+receiverAddr+"/slack")
	script := "set -e\nmount -t tmpfs tmpfs " + s.dir + "/layers\n"
	for i, d := range append([]string{repo}, overlaid...) {
		at := fmt.Sprintf("%s/layers/%d", s.dir, i)
		script += fmt.Sprintf("mkdir -p %s/up %s/work\nmount -t overlay overlay -o lowerdir=%s,upperdir=%s/up,workdir=%s/work %s\n", at, at, d, at, at, d)
	}
	script += "rm -rf /etc/oomwatch /var/lib/oomwatch /run/oomwatch\n" // what this machine's own daemon left
	script += "mkdir -p /etc/oomwatch /etc/bash_completion.d /etc/systemd/system\n" + busyboxUp + "\necho ready\nexec sleep 1000\n"
	s.holder = exec.Command("unshare", "--mount", "--net", "--propagation", "private", "sh", "-c", script)
	s.holder.Env = s.env
	s.holder.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	var out harness.Buffer
	s.holder.Stdout, s.holder.Stderr = &out, &out
	if err := s.holder.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = s.holder.Process.Kill() // it only sleeps
		_ = s.holder.Wait()
	})
	wait(t, 20*time.Second, func() error {
		if !strings.Contains(out.String(), "ready") {
			return errors.New(out.String())
		}
		return nil
	})
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	receiver := s.command(context.Background(), self)
	receiver.Env = append(receiver.Env, receiverEnv+"="+receiverAddr, receiverDirEnv+"="+s.received())
	if err := receiver.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.end(receiver) })
	return s
}

// busyboxUp brings the loopback interface up with what every test machine has.
const busyboxUp = "busybox ip link set lo up"

func (s *sandbox) received() string { return filepath.Join(s.dir, "received") }

// command is a program in the sandbox, at the top of the repository, in a process
// group of its own.
func (s *sandbox) command(ctx context.Context, args ...string) *exec.Cmd {
	// The folder is entered inside: from outside it is the one below the overlay.
	enter := []string{"-t", strconv.Itoa(s.holder.Process.Pid), "--mount", "--net", "sh", "-c", `cd "$0" && exec "$@"`, s.repo}
	cmd := exec.CommandContext(ctx, "nsenter", append(enter, args...)...)
	cmd.Env = s.env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// sh runs a line as a shell does.
func (s *sandbox) sh(ctx context.Context, line string) (stdout, stderr string, err error) {
	var out, errb bytes.Buffer
	cmd := s.command(ctx, "sh", "-c", line)
	cmd.Stdout, cmd.Stderr = &out, &errb
	err = cmd.Run()
	return out.String(), errb.String(), err
}

func (s *sandbox) write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	cmd := s.command(t.Context(), "sh", "-c", fmt.Sprintf("cat >%s && chmod %o %s", path, mode, path))
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("write %s: %v\n%s", path, err, out)
	}
}

// start runs a line that does not end by itself, until the daemon says it runs.
func (s *sandbox) start(t *testing.T, line string) {
	t.Helper()
	s.stop()
	var log harness.Buffer
	cmd := s.command(context.Background(), "sh", "-c", line)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.daemon = cmd
	wait(t, time.Minute, func() error {
		text := log.String()
		for _, want := range []string{"oomwatch runs", `"source":"docker"`, `"source":"kmsg"`} {
			if !strings.Contains(text, want) {
				return fmt.Errorf("%s: it did not say %s, but:\n%s", line, want, text)
			}
		}
		return nil
	})
}

// stop ends what start started.
func (s *sandbox) stop() {
	if s.daemon != nil {
		s.end(s.daemon)
		s.daemon = nil
	}
}

// end ends a command and all that it started.
func (s *sandbox) end(cmd *exec.Cmd) {
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) // it may have ended
	late := time.AfterFunc(10*time.Second, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	defer late.Stop()
	_ = cmd.Wait() // ended by a signal
}

// wait tries until there is no error any more.
func wait(t *testing.T, most time.Duration, try func() error) {
	t.Helper()
	deadline := time.Now().Add(most)
	for {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}
