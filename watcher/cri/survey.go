package cri

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/oomwatch/oomwatch/audit"
)

// Survey asks a runtime once for all that the audit judges: the definitions of its running
// containers. Its facts are nil where nothing listens there, or what does serves no CRI.
func Survey(ctx context.Context, socket string) (*audit.Facts, error) {
	path, err := SocketPath(socket)
	if err != nil {
		return nil, err
	}
	conn, t := connect(ctx, &Source{socket: path, pace: defaultPace()})
	if t != nil {
		if t.absent || t.mute {
			return nil, nil
		}
		return nil, fmt.Errorf("ask the runtime at %s: %s; %s", path, t.reason, t.fix)
	}
	defer conn.client.close()
	entries, err := conn.client.list(ctx, "")
	if err != nil {
		t := diagnose(path, err)
		return nil, fmt.Errorf("list the containers of %s: %s; %s", path, t.reason, t.fix)
	}
	f := &audit.Facts{Host: audit.Host{Time: time.Now(), Memory: -1, Swap: -1}}
	pods := map[string]*sandbox{}
	for _, e := range entries {
		if e.state != running {
			continue
		}
		c, err := conn.define(ctx, e, pods)
		switch {
		case err == nil:
			f.Containers = append(f.Containers, c)
		case !isGone(err):
			f.Notes = append(f.Notes, fmt.Sprintf("the container %.12s cannot be inspected: %v", e.id, err))
		}
	}
	slices.SortFunc(f.Containers, func(a, b audit.Container) int { return strings.Compare(a.ID, b.ID) })
	return f, nil
}

// define asks about one container, and about its pod where that is not known yet.
func (c *connection) define(ctx context.Context, e entry, pods map[string]*sandbox) (audit.Container, error) {
	s, info, err := c.client.inspect(ctx, e.id)
	if err != nil {
		return audit.Container{}, err
	}
	var set settings
	if err := json.Unmarshal([]byte(info), &set); err != nil {
		return audit.Container{}, fmt.Errorf("read the runtime's verbose answer: %w", err)
	}
	pod, known := pods[e.sandbox]
	if !known && e.sandbox != "" {
		if pod, err = c.client.sandbox(ctx, e.sandbox); err != nil {
			return audit.Container{}, err
		}
		pods[e.sandbox] = pod
	}
	return s.define(&set, c.runtime, pod), nil
}
