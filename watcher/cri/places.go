package cri

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"slices"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/internal/grpcread"
	"github.com/oomwatch/oomwatch/redact"
)

// maxFilesystems bounds what is kept of a container's mounts.
const maxFilesystems = 32

// places are where it writes to: its layer, which with its log and its emptyDirs is the
// pod's ephemeral storage, and the volumes of the node.
func (s *status) places() *incident.Places {
	p := &incident.Places{LogPath: s.logPath}
	if !s.readonlyRoot && s.logPath != "" {
		// The runtime does not say where its layers are; the kubelet counts logs and
		// layers as one file system unless the node has one for images alone.
		p.Filesystems = append(p.Filesystems, incident.Filesystem{Mount: "/", Kind: "layer", Source: path.Dir(s.logPath)})
	}
	for _, m := range s.mounts {
		if m.Type != "bind" || slices.Contains(m.Options, "ro") || len(p.Filesystems) >= maxFilesystems {
			continue
		}
		switch m.Destination {
		case "/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/dev/termination-log", "/etc/passwd", "/etc/group", "/run/.containerenv":
			continue // the kubelet's and the runtime's own, a few bytes each
		}
		p.Filesystems = append(p.Filesystems, incident.Filesystem{Mount: path.Clean(m.Destination), Kind: "volume", Source: m.Source})
	}
	return p
}

// usageWait bounds the question for what is on the runtime's disk. Unlike Docker it knows
// the sizes already, and looks at no file for it.
const usageWait = 10 * time.Second

// Usage asks a runtime what is on its disk: each container's writable layer, and the images.
func Usage(ctx context.Context, socket string) (*incident.DiskUsage, error) {
	at, err := SocketPath(socket)
	if err != nil {
		return nil, err
	}
	c := newClient(at, usageWait)
	defer c.close()
	u := &incident.DiskUsage{At: time.Now()}
	err = c.call(ctx, callStats, nil, func(f grpcread.Field) error {
		if f.Number != 1 {
			return nil
		}
		layer, err := readLayer(f.Bytes)
		if layer.Bytes > 0 {
			u.Fill = append(u.Fill, layer)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("ask %s for the sizes of its containers: %s", at, diagnose(at, err).reason)
	}
	if images, err := c.images(ctx); err == nil && images.Bytes > 0 {
		u.Fill = append(u.Fill, images)
	}
	slices.SortStableFunc(u.Fill, func(a, b incident.DiskFill) int { return cmp.Compare(b.Bytes, a.Bytes) })
	u.Fill = u.Fill[:min(len(u.Fill), maxUsage)]
	return u, nil
}

// images are all of a runtime's, with the sizes of those that crictl rmi --prune would
// remove: no container is of them, and nobody pinned them.
func (c *client) images(ctx context.Context) (all incident.DiskFill, err error) {
	all.Kind = "images"
	err = c.call(ctx, callImageFS, nil, func(f grpcread.Field) error {
		if f.Number != 1 {
			return nil
		}
		n, err := usedBytes(f.Bytes)
		all.Bytes += n
		return err
	})
	if err != nil {
		return all, err
	}
	used := map[string]bool{}
	err = c.call(ctx, callList, nil, func(f grpcread.Field) error {
		if f.Number != 1 {
			return nil
		}
		return grpcread.Fields(f.Bytes, func(f grpcread.Field) error {
			switch f.Number {
			case 4: // as it was asked for
				var named string
				err := grpcread.Texts(f.Bytes, map[int]*string{1: &named})
				used[named] = true
				return err
			case 5: // what that was
				used[f.Text()] = true
			}
			return nil
		})
	})
	if err != nil {
		return all, nil // the size alone is worth telling
	}
	var sum, largest int64
	err = c.call(ctx, callImages, nil, func(f grpcread.Field) error {
		if f.Number != 1 {
			return nil
		}
		x, err := readImage(f.Bytes)
		all.N++
		sum, largest = sum+x.size, max(largest, x.size)
		if !x.pinned && !slices.ContainsFunc(x.names, func(n string) bool { return used[n] }) {
			all.Prunable += x.size
		}
		return err
	})
	if err != nil {
		all.N, all.Prunable = 0, 0
	} else if all.Bytes < largest {
		all.Bytes = sum // CRI-O counts what it knows of images, not their layers
	}
	// Layers that images share are counted with each of them.
	all.Prunable = min(all.Prunable, all.Bytes)
	return all, nil
}

// image is an image as the runtime lists it: names are its id, tags and digests.
type image struct {
	names  []string
	size   int64
	pinned bool
}

func readImage(b []byte) (x image, err error) {
	err = grpcread.Fields(b, func(f grpcread.Field) error {
		switch f.Number {
		case 1, 2, 3:
			x.names = append(x.names, f.Text())
		case 4:
			x.size = int64(f.Int)
		case 8:
			x.pinned = f.Int != 0
		}
		return nil
	})
	return x, err
}

// maxUsage bounds what is kept of it: the largest.
const maxUsage = 64

// readLayer reads the writable layer of a ContainerStats.
func readLayer(stats []byte) (layer incident.DiskFill, err error) {
	layer.Kind = "layer"
	err = grpcread.Fields(stats, func(f grpcread.Field) (err error) {
		switch f.Number {
		case 1:
			return grpcread.Fields(f.Bytes, func(f grpcread.Field) error {
				switch f.Number {
				case 1:
					layer.Container = f.Text()
				case 2:
					var name string
					err := grpcread.Texts(f.Bytes, map[int]*string{1: &name})
					layer.Name = redact.Sanitize(redact.Cut(name, redact.MaxLabelValue))
					return err
				}
				return nil
			})
		case 4:
			layer.Bytes, err = usedBytes(f.Bytes)
		}
		return err
	})
	return layer, err
}

// usedBytes reads the used_bytes of a FilesystemUsage.
func usedBytes(usage []byte) (n int64, err error) {
	err = grpcread.Fields(usage, func(f grpcread.Field) error {
		if f.Number != 3 {
			return nil
		}
		return grpcread.Fields(f.Bytes, func(f grpcread.Field) error {
			if f.Number == 1 {
				n = int64(f.Int)
			}
			return nil
		})
	})
	return n, err
}
