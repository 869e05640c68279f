package docker

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/moby/moby/client"

	"github.com/oomwatch/oomwatch/incident"
)

// usageWait bounds the question for what is on the engine's disk: the engine walks
// through all of it, which can take minutes, and longer than anybody waits.
const usageWait = 30 * time.Second

// Usage asks an engine what is on its disk. host is as in Options. It is dear: the engine
// looks at every file of every layer and volume.
func Usage(ctx context.Context, host string) (*incident.DiskUsage, error) {
	ep, err := findHost(host)
	if err != nil {
		return nil, err
	}
	cli, t, err := ep.client(newMetrics(nil))
	if err != nil {
		return nil, err
	}
	defer t.next.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(ctx, usageWait)
	defer cancel()
	du, err := cli.DiskUsage(ctx, client.DiskUsageOptions{Containers: true, Images: true, Volumes: true, BuildCache: true, Verbose: true})
	if err != nil {
		return nil, fmt.Errorf("ask %s what is on its disk: %s", ep.host, diagnose(ep, "GET /system/df", err).reason)
	}
	return usageOf(&du), nil
}

func usageOf(du *client.DiskUsageResult) *incident.DiskUsage {
	u := &incident.DiskUsage{At: time.Now()}
	for i := range du.Containers.Items {
		c := &du.Containers.Items[i]
		if c.SizeRw > 0 {
			f := incident.DiskFill{Kind: "layer", Container: c.ID, Bytes: c.SizeRw}
			if len(c.Names) > 0 {
				f.Name = strings.TrimPrefix(c.Names[0], "/")
			}
			u.Fill = append(u.Fill, f)
		}
	}
	var volumes incident.DiskFill
	for i := range du.Volumes.Items {
		if v := du.Volumes.Items[i].UsageData; v != nil && v.RefCount == 0 && v.Size > 0 {
			volumes.N++
			volumes.Bytes += v.Size
		}
	}
	volumes.Kind, volumes.Prunable = "volumes", volumes.Bytes
	images := incident.DiskFill{Kind: "images", Bytes: du.Images.TotalSize, Prunable: max(du.Images.Reclaimable, 0), N: len(du.Images.Items)}
	cache := incident.DiskFill{Kind: "build_cache", Bytes: du.BuildCache.TotalSize, Prunable: max(du.BuildCache.Reclaimable, 0), N: len(du.BuildCache.Items)}
	for _, f := range []incident.DiskFill{volumes, images, cache} {
		if f.Bytes > 0 {
			u.Fill = append(u.Fill, f)
		}
	}
	slices.SortStableFunc(u.Fill, func(a, b incident.DiskFill) int { return cmp.Compare(b.Bytes, a.Bytes) })
	u.Fill = u.Fill[:min(len(u.Fill), maxUsage)]
	return u
}

// maxUsage bounds what is kept of it: the largest.
const maxUsage = 64

// Roots finds and remembers under which directories the paths of whoever listens on a
// socket are found from here.
type Roots struct {
	Host string // as in Options

	mu   sync.Mutex
	list []string
	at   time.Time
}

// rootsFor is how long they are believed: an engine that is started anew has another pid.
const rootsFor = time.Minute

// measuring bounds the questions to filesystems of all runtimes together.
var measuring = newGauge()

// Measure fills in what is free on the filesystems of a container. problem says why
// nothing could be read of some.
func (r *Roots) Measure(ctx context.Context, all []incident.Filesystem) (out []incident.Filesystem, problem string) {
	ep, err := findHost(r.Host)
	if err != nil {
		return all, err.Error()
	}
	return measuring.measure(ctx, ep, all)
}

// List is the directories, the best first; none for an engine on another machine.
func (r *Roots) List() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.at) < rootsFor {
		return r.list
	}
	r.at = time.Now()
	if ep, err := findHost(r.Host); err == nil {
		r.list, _ = engineRoots(ep) // why there are none is said where they are needed
	}
	return r.list
}
