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
		case "/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/dev/termination-log":
			continue // the kubelet's own, a few bytes each
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
	images := incident.DiskFill{Kind: "images"}
	err = c.call(ctx, callImages, nil, func(f grpcread.Field) error {
		if f.Number != 1 {
			return nil
		}
		n, err := usedBytes(f.Bytes)
		images.Bytes += n
		return err
	})
	if err == nil && images.Bytes > 0 {
		u.Fill = append(u.Fill, images)
	}
	slices.SortStableFunc(u.Fill, func(a, b incident.DiskFill) int { return cmp.Compare(b.Bytes, a.Bytes) })
	u.Fill = u.Fill[:min(len(u.Fill), maxUsage)]
	return u, nil
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
