package docker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/internal/inside"
)

// mountPoint and mountSpec are inspect's Mounts and HostConfig.Mounts.
type mountPoint struct {
	Type, Source, Destination string
	RW                        bool
}

type mountSpec struct {
	Type, Target string
	TmpfsOptions *struct{ SizeBytes int64 }
}

// maxFilesystems bounds what is kept of a container's mounts.
const maxFilesystems = 32

// filesystems lists what the container can write to, sizes only where the
// engine's configuration has them (tmpfs).
func (d *document) filesystems() []incident.Filesystem {
	h := d.HostConfig
	if h == nil {
		return nil
	}
	var out []incident.Filesystem
	tmpfs := func(at string, size int64) {
		x := incident.Filesystem{Mount: path.Clean(at), Kind: "tmpfs"}
		if size > 0 {
			x.Size = &size
		}
		out = append(out, x)
	}
	if !h.ReadonlyRootfs {
		out = append(out, incident.Filesystem{Mount: "/", Kind: "layer", Source: d.layer()})
	}
	tmpfs("/dev/shm", h.ShmSize)
	for at, opts := range h.Tmpfs {
		if list := strings.Split(opts, ","); !slices.Contains(list, "ro") {
			tmpfs(at, tmpfsSize(list))
		}
	}
	for _, m := range h.Mounts {
		if m.Type == "tmpfs" && m.TmpfsOptions != nil {
			tmpfs(m.Target, m.TmpfsOptions.SizeBytes)
		}
	}
	for _, m := range d.Mounts {
		if m.RW && (m.Type == "volume" || m.Type == "bind") {
			out = append(out, incident.Filesystem{Mount: path.Clean(m.Destination), Kind: m.Type, Source: m.Source})
		}
	}
	return out[:min(len(out), maxFilesystems)]
}

// places are where it writes to.
func (d *document) places() *incident.Places {
	p := &incident.Places{Filesystems: d.filesystems()}
	if h := d.HostConfig; h != nil && d.LogPath != "" {
		p.LogPath = d.LogPath
		size := h.LogConfig.Config["max-size"]
		p.LogUnbounded = h.LogConfig.Type == "json-file" && (size == "" || size == "-1")
	}
	return p
}

// layer is a directory on the filesystem that holds the container's own layer:
// that of its log where the storage driver names none.
func (d *document) layer() string {
	if g := d.GraphDriver; g != nil && g.Data["UpperDir"] != "" {
		return path.Dir(g.Data["UpperDir"])
	}
	if d.LogPath != "" {
		return path.Dir(d.LogPath)
	}
	return ""
}

// tmpfsSize reads the size of a tmpfs' options, in bytes; 0 where there is none.
func tmpfsSize(opts []string) int64 {
	for _, o := range opts {
		v, ok := strings.CutPrefix(o, "size=")
		if !ok || v == "" {
			continue
		}
		shift := 0
		switch v[len(v)-1] | 0x20 {
		case 'k':
			shift = 10
		case 'm':
			shift = 20
		case 'g':
			shift = 30
		}
		if shift > 0 {
			v = v[:len(v)-1]
		}
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil || n < 0 || n > 1<<62>>shift {
			return 0
		}
		return n << shift
	}
	return 0
}

// gauge asks filesystems for their room. It lets a few questions wait for an
// answer at most: one to a server that is away may never get one.
type gauge struct {
	asking chan struct{}
	wait   time.Duration
}

func newGauge() gauge { return gauge{asking: make(chan struct{}, 4), wait: 500 * time.Millisecond} }

// measure fills in what is free on the filesystems of a container. problem says
// why nothing could be read of some.
func (g gauge) measure(ctx context.Context, ep endpoint, all []incident.Filesystem) (out []incident.Filesystem, problem string) {
	roots, problem := engineRoots(ep)
	out = slices.Clone(all)
	for i := range out {
		if out[i].Source == "" || len(roots) == 0 {
			continue
		}
		if err := g.statfs(ctx, roots, &out[i]); err != nil {
			problem = err.Error()
		}
	}
	return out, problem
}

// engineRoots are the directories under which the engine's paths can be found
// from here, the best first: its own process's root, wherever we run.
func engineRoots(ep endpoint) (roots []string, problem string) {
	if ep.proto != "unix" {
		return nil, "the engine at " + ep.host + " may be on another machine"
	}
	conn, err := net.DialTimeout("unix", ep.addr, time.Second)
	if err != nil {
		return nil, err.Error()
	}
	defer conn.Close()
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		return nil, err.Error()
	}
	var peer *syscall.Ucred
	var peerErr error
	if err := raw.Control(func(fd uintptr) {
		peer, peerErr = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	}); err != nil || peerErr != nil {
		return nil, fmt.Sprintf("ask who listens on %s: %v", ep.addr, errors.Join(err, peerErr))
	}
	if peer.Pid > 0 {
		// The pid is one of ours where it was translated for us: where the
		// engine cannot be seen from here, it is 0.
		roots = append(roots, fmt.Sprintf("/proc/%d/root", peer.Pid))
	}
	if !inside.Container() { // in one, paths of the engine's mean nothing by themselves
		roots = append(roots, "/")
	}
	if len(roots) == 0 {
		return nil, "the host's filesystems cannot be seen from this container: run it with --pid=host and --cap-add SYS_PTRACE"
	}
	return roots, ""
}

// statfs reads the room of one filesystem, by its directory below the first root
// under which that is found.
func (g gauge) statfs(ctx context.Context, roots []string, x *incident.Filesystem) error {
	select {
	case g.asking <- struct{}{}:
	default:
		return errors.New("earlier questions to filesystems have got no answer")
	}
	type answer struct {
		st  syscall.Statfs_t
		err error
	}
	got := make(chan answer, 1)
	source := x.Source
	go func() {
		defer func() { <-g.asking }()
		var a answer
		for _, root := range roots {
			if a.err = syscall.Statfs(filepath.Join(root, source), &a.st); a.err == nil {
				break
			}
		}
		got <- a
	}()
	late := time.NewTimer(g.wait)
	defer late.Stop()
	select {
	case a := <-got:
		switch {
		case errors.Is(a.err, fs.ErrPermission):
			return fmt.Errorf("%s cannot be looked at from here: run as root, in a container with --pid=host and --cap-add SYS_PTRACE", source)
		case a.err != nil:
			return fmt.Errorf("look at the filesystem of %s: %w", source, a.err)
		}
		unit := a.st.Frsize
		if unit == 0 {
			unit = a.st.Bsize
		}
		x.Size, x.Free = new(int64(a.st.Blocks)*unit), new(int64(a.st.Bavail)*unit)
		if a.st.Files > 0 {
			x.Inodes, x.InodesFree = new(int64(a.st.Files)), new(int64(a.st.Ffree))
		}
		return nil
	case <-late.C:
		return fmt.Errorf("the filesystem of %s does not answer", source)
	case <-ctx.Done():
		return ctx.Err()
	}
}
