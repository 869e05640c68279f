package docker

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/moby/moby/api/types/system"
	"github.com/moby/moby/client"

	"github.com/oomwatch/oomwatch/audit"
	"github.com/oomwatch/oomwatch/redact"
)

// Survey asks an engine once for all that the audit judges: the definitions of its running
// containers, and what it says of itself. host is as in Options. What could not be asked
// is in Notes; the error is of an engine that does not answer.
func Survey(ctx context.Context, host string) (*audit.Facts, error) {
	ep, err := findHost(host)
	if err != nil {
		return nil, err
	}
	cli, t, err := ep.client(newMetrics(nil))
	if err != nil {
		return nil, err
	}
	defer t.next.CloseIdleConnections()
	limits := defaultPace()
	c := &connection{ep: ep, pace: limits, cli: cli, runtime: "docker"}
	if err := c.negotiate(ctx); err != nil {
		d := diagnose(ep, "ping", err)
		return nil, fmt.Errorf("ask the engine at %s: %s; %s", ep.host, d.reason, d.fix)
	}
	_ = c.askVersion(ctx) // who it is matters less than what it says
	f := &audit.Facts{Host: audit.Host{Time: time.Now(), Memory: -1, Swap: -1}}
	c.surveyHost(ctx, f)
	lctx, cancel := context.WithTimeout(ctx, limits.list)
	defer cancel()
	list, err := cli.ContainerList(lctx, client.ContainerListOptions{})
	if err != nil {
		d := diagnose(ep, "GET /containers/json", err)
		return nil, fmt.Errorf("list the containers: %s; %s", d.reason, d.fix)
	}
	ids := make([]string, len(list.Items))
	for i := range list.Items {
		ids[i] = list.Items[i].ID
	}
	moved := c.movedTags(ctx, f)
	c.surveyContainers(ctx, f, ids, moved)
	return f, nil
}

// surveyHost takes what the engine says of itself.
func (c *connection) surveyHost(ctx context.Context, f *audit.Facts) {
	ctx, cancel := context.WithTimeout(ctx, c.pace.call)
	defer cancel()
	res, err := c.cli.Info(ctx, client.InfoOptions{})
	if err != nil {
		f.Notes = append(f.Notes, "the engine does not answer GET /info: "+diagnose(c.ep, "GET /info", err).reason)
		return
	}
	takeInfo(&f.Host, &res.Info)
}

func takeInfo(h *audit.Host, i *system.Info) {
	h.Name = i.Name
	if i.MemTotal > 0 {
		h.Memory = i.MemTotal
	}
	h.CgroupV2 = i.CgroupVersion == "2"
	for _, o := range i.SecurityOptions {
		switch name, _, _ := strings.Cut(strings.TrimPrefix(o, "name="), ","); name {
		case "userns", "rootless":
			h.Confined = true
		case "no-new-privileges":
			h.NoNewPrivileges = true
		}
	}
	for _, w := range i.Warnings {
		// WARNING: API is accessible on http://0.0.0.0:2375 without encryption.
		if strings.Contains(w, "API is accessible on") {
			first, _, _ := strings.Cut(strings.TrimPrefix(w, "WARNING: "), "\n")
			h.OpenAPI = append(h.OpenAPI, redact.Cut(strings.TrimSpace(first), 256))
		}
	}
}

// movedTags is the id of the image that each tag of this host names now; nil where that
// may not be asked.
func (c *connection) movedTags(ctx context.Context, f *audit.Facts) map[string]string {
	ctx, cancel := context.WithTimeout(ctx, c.pace.call)
	defer cancel()
	res, err := c.cli.ImageList(ctx, client.ImageListOptions{})
	if err != nil {
		f.Notes = append(f.Notes, "whether a tag names another image by now is not known: "+diagnose(c.ep, "GET /images/json", err).reason)
		return nil
	}
	now := map[string]string{}
	for i := range res.Items {
		for _, tag := range res.Items[i].RepoTags {
			now[tag] = res.Items[i].ID
		}
	}
	return now
}

// surveyContainers inspects containers.
func (c *connection) surveyContainers(ctx context.Context, f *audit.Facts, ids []string, tags map[string]string) {
	var failed error
	ask := func(id string) (audit.Container, error) { return c.define(ctx, id, tags) }
	askEach(ctx, ids, ask, func(_ string, one audit.Container, err error) {
		switch {
		case err == nil:
			f.Containers = append(f.Containers, one)
		case !isGone(err):
			failed = err
		}
	})
	if failed != nil {
		f.Notes = append(f.Notes, "some containers cannot be inspected: "+diagnose(c.ep, "GET /containers/ID/json", failed).reason)
	}
	slices.SortFunc(f.Containers, func(a, b audit.Container) int { return strings.Compare(a.ID, b.ID) })
}

// define inspects one container.
func (c *connection) define(ctx context.Context, id string, tags map[string]string) (audit.Container, error) {
	ctx, cancel := context.WithTimeout(ctx, c.pace.call)
	defer cancel()
	res, err := c.cli.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
	if err != nil {
		return audit.Container{}, err
	}
	one, err := definitionOf(res.Raw, c.runtime)
	if err != nil {
		return audit.Container{}, err
	}
	ref := one.Image
	if last := ref[strings.LastIndexByte(ref, '/')+1:]; !strings.ContainsAny(last, ":@") {
		ref += ":latest"
	}
	if now := tags[ref]; now != "" && now != res.Container.Image {
		one.ImageMoved = true
	}
	return one, nil
}

// LocalEngine is true for an engine whose socket is on this machine, so that its pids
// may be this machine's.
func LocalEngine(host string) bool {
	ep, err := findHost(host)
	return err == nil && ep.proto == "unix"
}
