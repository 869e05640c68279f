package kubelet

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/oomwatch/oomwatch/test/lab"
)

// api asks the node's API server, which listens in the node's network namespace.
type api struct {
	netns  string // a path
	client *http.Client
}

// Pod is what is read of a pod.
type Pod struct {
	Metadata struct{ UID string }
	Status   struct {
		Phase, Reason, Message string
		PodIP                  string
		ContainerStatuses      []ContainerStatus
		InitContainerStatuses  []ContainerStatus
	}
}

// ContainerStatus is what is read of a container's.
type ContainerStatus struct {
	Name, ContainerID string
	RestartCount      int
	Ready             bool
	State, LastState  struct {
		Running    *struct{}
		Terminated *struct {
			ExitCode    int
			Reason      string
			ContainerID string
		}
		Waiting *struct{ Reason, Message string }
	}
}

// call asks the API server.
func (a *api) call(ctx context.Context, method, path string, body, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, lab.Slow(10*time.Second))
	defer cancel()
	if a.client == nil {
		a.client = &http.Client{Transport: &http.Transport{DialContext: a.dial, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	}
	var in io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return err
		}
		in = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, "https://"+apiAddress+path, in)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := a.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return err
	case resp.StatusCode == http.StatusNotFound:
		return fmt.Errorf("%s %s: %w", method, path, os.ErrNotExist)
	case resp.StatusCode > 299:
		return fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, b)
	case answer == nil:
		return nil
	}
	return json.Unmarshal(b, answer)
}

// dial connects from within the node's network namespace: a socket stays in the one that its
// thread was in when it was made.
func (a *api) dial(ctx context.Context, network, address string) (net.Conn, error) {
	runtime.LockOSThread()
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return nil, err
	}
	defer home.Close()
	there, err := os.Open(a.netns)
	if err != nil {
		return nil, err
	}
	defer there.Close()
	if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
		return nil, fmt.Errorf("enter the node's network: %w", err)
	}
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); back != nil {
		return nil, errors.Join(err, back) // the thread ends with this goroutine
	}
	runtime.UnlockOSThread()
	return conn, err
}

func (a *api) ready(ctx context.Context) error {
	return a.call(ctx, http.MethodGet, "/readyz", nil, nil)
}

func (a *api) version(ctx context.Context) (string, error) {
	var v struct{ GitVersion string }
	err := a.call(ctx, http.MethodGet, "/version", nil, &v)
	return v.GitVersion, err
}

func (a *api) nodeReady(ctx context.Context) error {
	var node struct {
		Status struct {
			Conditions []struct{ Type, Status, Message string }
		}
	}
	if err := a.call(ctx, http.MethodGet, "/api/v1/nodes/"+Name, nil, &node); err != nil {
		return err
	}
	for _, c := range node.Status.Conditions {
		if c.Type == "Ready" && c.Status == "True" {
			return nil
		}
	}
	return fmt.Errorf("its conditions are %+v", node.Status.Conditions)
}

// Namespace makes a namespace.
func (n *Node) Namespace(ctx context.Context, name string) error {
	return n.api.call(ctx, http.MethodPost, "/api/v1/namespaces", object("Namespace", map[string]any{"name": name}), nil)
}

func object(kind string, meta map[string]any) map[string]any {
	return map[string]any{"apiVersion": "v1", "kind": kind, "metadata": meta}
}

// Run makes a pod on the node, of a spec as JSON has it. There is no scheduler.
func (n *Node) Run(ctx context.Context, namespace, name string, labels map[string]string, spec map[string]any) error {
	spec["nodeName"] = Name
	pod := object("Pod", map[string]any{"name": name, "labels": labels})
	pod["spec"] = spec
	return n.api.call(ctx, http.MethodPost, "/api/v1/namespaces/"+namespace+"/pods", pod, nil)
}

// Pod is a pod as the API server has it; os.ErrNotExist once it has gone.
func (n *Node) Pod(ctx context.Context, namespace, name string) (*Pod, error) {
	var p Pod
	err := n.api.call(ctx, http.MethodGet, "/api/v1/namespaces/"+namespace+"/pods/"+name, nil, &p)
	return &p, err
}

// Delete deletes a pod, which has so many seconds to stop.
func (n *Node) Delete(ctx context.Context, namespace, name string, grace int) error {
	options := map[string]any{"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": grace}
	return n.api.call(ctx, http.MethodDelete, "/api/v1/namespaces/"+namespace+"/pods/"+name, options, nil)
}
