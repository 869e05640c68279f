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
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Crowd is many containers where a machine cannot carry as many: each is a real
// process in real control groups of its own, named as an engine's container is,
// and no more. Host is the engine with all of them beside its own.
type Crowd struct {
	Host string

	srv   *http.Server
	dirs  []string
	procs []*exec.Cmd
	one   map[string]json.RawMessage // by id: as inspected
	list  []json.RawMessage          // as listed
}

// NewCrowd adds n containers to those of an engine. model is one of its own,
// which they are like. Close removes them.
func NewCrowd(ctx context.Context, e *Engine, model string, n int) (c *Crowd, err error) {
	c = &Crowd{one: map[string]json.RawMessage{}}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("make a crowd: %w", err), c.Close())
		}
	}()
	var inspected []map[string]any
	text, err := e.Docker(ctx, "inspect", model)
	if err != nil {
		return c, err
	}
	if err := json.Unmarshal([]byte(text), &inspected); err != nil || len(inspected) != 1 {
		return c, fmt.Errorf("inspect %s: %d answers, %w", model, len(inspected), err)
	}
	pid, err := e.MainPID(ctx, model)
	if err != nil {
		return c, err
	}
	parents, err := cgroupsOf(pid)
	if err != nil {
		return c, err
	}
	busybox, err := staticBusybox()
	if err != nil {
		return c, err
	}
	for i := range n {
		id := fmt.Sprintf("c0d%061x", i)
		if err := c.add(inspected[0], id, fmt.Sprintf("crowd-%d", i), busybox, parents); err != nil {
			return c, err
		}
	}
	return c, c.serve(e)
}

// cgroupsOf is where the control groups of a process's container are: the folders
// they lie in, in each hierarchy.
func cgroupsOf(pid int) ([]string, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		return nil, err
	}
	var out []string
	for line := range strings.Lines(string(b)) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(f) != 3 {
			continue
		}
		for _, controller := range strings.Split(f[1], ",") {
			root := filepath.Join("/sys/fs/cgroup", strings.TrimPrefix(controller, "name="))
			if parent := filepath.Dir(filepath.Join(root, f[2])); isFolder(parent) && f[2] != "/" {
				out = append(out, parent)
			}
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("process %d is in no control group of a container", pid)
	}
	return out, nil
}

func isFolder(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.IsDir()
}

func (c *Crowd) add(like map[string]any, id, name, busybox string, parents []string) error {
	cmd := exec.Command(busybox, "sleep", "100000")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return err
	}
	c.procs = append(c.procs, cmd)
	for _, parent := range parents {
		dir := filepath.Join(parent, id)
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
		c.dirs = append(c.dirs, dir)
		if strings.Contains(parent, "/cpuset") {
			continue // it has no processors of its own yet
		}
		if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(cmd.Process.Pid)), 0); err != nil {
			return err
		}
	}
	me := map[string]any{}
	for k, v := range like {
		me[k] = v
	}
	state := map[string]any{}
	for k, v := range like["State"].(map[string]any) {
		state[k] = v
	}
	state["Pid"], state["StartedAt"] = cmd.Process.Pid, time.Now().UTC().Format(time.RFC3339Nano)
	me["Id"], me["Name"], me["State"] = id, "/"+name, state
	b, err := json.Marshal(me)
	if err != nil {
		return err
	}
	c.one[id] = b
	b, err = json.Marshal(map[string]any{"Id": id, "Names": []string{"/" + name}, "Image": "busybox", "State": "running", "Labels": map[string]string{}})
	c.list = append(c.list, b)
	return err
}

// serve answers for the crowd, and asks the engine for everything else.
func (c *Crowd) serve(e *Engine) error {
	path := filepath.Join(e.Dir, "crowd.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	c.Host = "unix://" + path
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: "docker"})
	proxy.FlushInterval = -1 // events come one by one
	proxy.Transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", e.Socket())
	}}
	proxy.ModifyResponse = func(r *http.Response) error {
		if !strings.HasSuffix(r.Request.URL.Path, "/containers/json") || r.StatusCode != http.StatusOK {
			return nil
		}
		var all []json.RawMessage
		if err := json.NewDecoder(r.Body).Decode(&all); err != nil {
			return err
		}
		b, err := json.Marshal(append(all, c.list...))
		if err != nil {
			return err
		}
		r.Body = io.NopCloser(bytes.NewReader(b))
		r.ContentLength = int64(len(b))
		r.Header.Set("Content-Length", strconv.Itoa(len(b)))
		return nil
	}
	c.srv = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if rest, ok := strings.CutSuffix(r.URL.Path, "/json"); ok {
			if b, ok := c.one[filepath.Base(rest)]; ok {
				w.Header().Set("Content-Type", "application/json")
				_, _ = w.Write(b) // one that has gone asks again
				return
			}
		}
		proxy.ServeHTTP(w, r)
	})}
	go func() { _ = c.srv.Serve(l) }() // it ends with Close
	return nil
}

// Close removes the crowd.
func (c *Crowd) Close() error {
	var all error
	if c.srv != nil {
		all = c.srv.Close()
	}
	var wg sync.WaitGroup
	for _, p := range c.procs {
		wg.Go(func() {
			_ = p.Process.Kill() // it may have ended
			_ = p.Wait()         // by that signal
		})
	}
	wg.Wait()
	for _, d := range c.dirs {
		var err error
		for range 100 {
			if err = os.Remove(d); err == nil || errors.Is(err, os.ErrNotExist) {
				err = nil
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		all = errors.Join(all, err)
	}
	return all
}
