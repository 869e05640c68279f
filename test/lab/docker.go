package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"text/template"
	"time"
)

// Image is the name of the test image: a static busybox (every applet it has)
// and "prog", the program with all the ways of dying.
const Image = "lab/busybox:1"

// Command is the docker CLI bound to this engine.
func (e *Engine) Command(ctx context.Context, args ...string) *exec.Cmd {
	docker, err := lookPath("docker")
	if err != nil {
		docker = "docker" // Start then says that it is missing
	}
	cmd := exec.CommandContext(ctx, docker, args...)
	cmd.Env = append(os.Environ(), "DOCKER_HOST="+e.Host, "DOCKER_CONFIG="+filepath.Join(e.Dir, "config"))
	cmd.WaitDelay = 2 * time.Second
	return cmd
}

// Docker runs the docker CLI and returns its trimmed stdout; the error carries stderr.
func (e *Engine) Docker(ctx context.Context, args ...string) (string, error) {
	return e.docker(ctx, nil, args...)
}

func (e *Engine) docker(ctx context.Context, in io.Reader, args ...string) (string, error) {
	var out, errout bytes.Buffer
	cmd := e.Command(ctx, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, &out, &errout
	if err := cmd.Run(); err != nil {
		return strings.TrimSpace(out.String()), fmt.Errorf("docker %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(errout.String()))
	}
	e.made.note(args, out.String())
	return strings.TrimSpace(out.String()), nil
}

// Run starts a container in the background ("docker run -d") without a network
// and returns its full id. args are what follows: flags, then the image's
// command after Image.
func (e *Engine) Run(ctx context.Context, args ...string) (string, error) {
	return e.Docker(ctx, append([]string{"run", "-d", "--network", "none"}, args...)...)
}

// Wait waits until a container has ended and returns its exit code. It, Inspect
// and WaitLog ask the engine themselves: to start a CLI takes seconds on an
// emulated machine.
func (e *Engine) Wait(ctx context.Context, id string) (int, error) {
	var end struct{ StatusCode int }
	b, err := e.ask(ctx, http.MethodPost, "/containers/"+id+"/wait")
	if err == nil {
		err = json.Unmarshal(b, &end)
	}
	if err != nil {
		return 0, fmt.Errorf("wait for container %.12s: %w", id, err)
	}
	return end.StatusCode, nil
}

// Inspect returns one field of a container in the CLI's template language, as
// "{{.State.Pid}}".
func (e *Engine) Inspect(ctx context.Context, id, format string) (string, error) {
	b, err := e.ask(ctx, http.MethodGet, "/containers/"+id+"/json")
	if err != nil {
		return "", fmt.Errorf("inspect container %.12s: %w", id, err)
	}
	var doc map[string]any
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(&doc); err != nil {
		return "", fmt.Errorf("inspect container %.12s: %w", id, err)
	}
	t, err := template.New("").Parse(format)
	if err != nil {
		return "", err
	}
	var out strings.Builder
	err = t.Execute(&out, doc)
	return out.String(), err
}

// MainPID is the host pid of a container's first process.
func (e *Engine) MainPID(ctx context.Context, id string) (int, error) {
	out, err := e.Inspect(ctx, id, "{{.State.Pid}}")
	if err != nil {
		return 0, err
	}
	pid, err := strconv.Atoi(out)
	if err == nil && pid == 0 {
		err = fmt.Errorf("container %s does not run", id)
	}
	return pid, err
}

// WaitLog waits until a container has written want.
func (e *Engine) WaitLog(ctx context.Context, id, want string) error {
	for {
		out, err := e.ask(ctx, http.MethodGet, "/containers/"+id+"/logs?stdout=1&stderr=1")
		if err == nil && strings.Contains(string(out), want) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("container %s did not write %q: %w; its log: %q", id, want, ctx.Err(), out)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// ask makes one request of the engine's API.
func (e *Engine) ask(ctx context.Context, method, path string) ([]byte, error) {
	resp, err := request(ctx, e.Socket(), method, path)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode >= 300 {
		err = fmt.Errorf("%s: %s", resp.Status, bytes.TrimSpace(b))
	}
	return b, err
}

// ping asks the engine behind a socket whether it is there.
func ping(ctx context.Context, socket string) error {
	ctx, cancel := context.WithTimeout(ctx, Slow(2*time.Second))
	defer cancel()
	resp, err := request(ctx, socket, http.MethodGet, "/_ping")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return nil
}

func request(ctx context.Context, socket, method, path string) (*http.Response, error) {
	t := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socket)
		},
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://engine"+path, nil)
	if err != nil {
		return nil, err
	}
	return t.RoundTrip(req)
}
