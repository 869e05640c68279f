package cgroup

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Host is the whole host's memory, from /proc/meminfo and /proc/vmstat, in
// bytes; -1 = not told by this kernel. As for a cgroup, File includes Shmem.
type Host struct {
	Total     int64 `json:"total_bytes"`
	Available int64 `json:"available_bytes"`
	Anon      int64 `json:"anon_bytes"`
	File      int64 `json:"file_bytes"`
	Shmem     int64 `json:"shmem_bytes"`
	Kernel    int64 `json:"kernel_bytes"`
	SwapTotal int64 `json:"swap_total_bytes"`
	Swap      int64 `json:"swap_bytes"`
	// OOMKills is how many processes the kernel has killed for memory since the
	// boot (vmstat's oom_kill).
	OOMKills int64 `json:"oom_kills"`
}

// HostReader reads the host's memory again and again. One goroutine at a time
// may use it.
type HostReader struct {
	fs              *FS
	meminfo, vmstat int
}

// OpenHost starts reading the host's memory.
func (fs *FS) OpenHost() (*HostReader, error) {
	r := &HostReader{fs: fs, meminfo: -1, vmstat: -1}
	for _, f := range []struct {
		name string
		fd   *int
	}{{"meminfo", &r.meminfo}, {"vmstat", &r.vmstat}} {
		fd, err := unix.Open(filepath.Join(fs.proc, f.name), unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			r.Close()
			return nil, fmt.Errorf("read the host's memory: %w", &os.PathError{Op: "open", Path: filepath.Join(fs.proc, f.name), Err: err})
		}
		*f.fd = fd
	}
	return r, nil
}

// Close lets go of the files.
func (r *HostReader) Close() {
	for _, fd := range []*int{&r.meminfo, &r.vmstat} {
		if *fd >= 0 {
			unix.Close(*fd)
			*fd = -1
		}
	}
}

// Read takes one reading. Without kills OOMKills is left as it is: vmstat is
// the dearer of the two files.
func (r *HostReader) Read(h *Host, kills bool) error {
	bp := r.fs.bufs.Get().(*[]byte)
	defer r.fs.bufs.Put(bp)
	b, err := pread(r.meminfo, *bp, 0)
	if err != nil {
		return fmt.Errorf("read the host's memory: %w", err)
	}
	if !parseMeminfo(b, h) {
		return fmt.Errorf("read the host's memory: meminfo says no MemTotal and MemAvailable")
	}
	if !kills {
		return nil
	}
	h.OOMKills = -1
	if b, err = pread(r.vmstat, *bp, 0); err == nil {
		if n, ok := field(b, "oom_kill"); ok {
			h.OOMKills = n
		}
	}
	return nil
}

// parseMeminfo reads /proc/meminfo:
//
//	MemTotal:       24684096 kB
//	MemAvailable:   23000000 kB
func parseMeminfo(b []byte, h *Host) bool {
	kills := h.OOMKills
	*h = Host{-1, -1, -1, -1, -1, -1, -1, -1, kills}
	swapFree, slab, stacks, tables := int64(-1), int64(0), int64(0), int64(0)
	cached, buffers := int64(-1), int64(0)
	for len(b) > 0 {
		key, value, rest := nextField(b)
		b = rest
		var to *int64
		switch string(key) {
		case "MemTotal:":
			to = &h.Total
		case "MemAvailable:":
			to = &h.Available
		case "AnonPages:":
			to = &h.Anon
		case "Cached:":
			to = &cached
		case "Buffers:":
			to = &buffers
		case "Shmem:":
			to = &h.Shmem
		case "Slab:":
			to = &slab
		case "KernelStack:":
			to = &stacks
		case "PageTables:":
			to = &tables
		case "SwapTotal:":
			to = &h.SwapTotal
		case "SwapFree:":
			to = &swapFree
		default:
			continue
		}
		if n, ok := parseKB(value); ok {
			*to = n
		}
	}
	if cached >= 0 {
		h.File = cached + buffers
	}
	if h.SwapTotal >= 0 && swapFree >= 0 {
		h.Swap = h.SwapTotal - swapFree
	}
	h.Kernel = slab + stacks + tables
	return h.Total >= 0 && h.Available >= 0
}

// HostPSI reads the whole host's memory pressure. The error is ErrNoPSI where
// the kernel keeps none.
func (fs *FS) HostPSI(p *PSI) error {
	if fs.noPSI != nil {
		return fs.noPSI
	}
	bp := fs.bufs.Get().(*[]byte)
	defer fs.bufs.Put(bp)
	n, _ := fs.hostPSI.ReadAt(*bp, 0) // io.EOF: the file is shorter than the buffer
	if !parsePSI((*bp)[:n], p) {
		return fmt.Errorf("%w: %s says %q", ErrNoPSI, fs.hostPSI.Name(), (*bp)[:n])
	}
	return nil
}
