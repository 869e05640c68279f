// Package gather collects what the audit judges: from an engine, from /proc and the
// control groups of this host, from what the daemon keeps, or from saved files.
package gather

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"time"

	"github.com/oomwatch/oomwatch/audit"
	"github.com/oomwatch/oomwatch/cgroup"
	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/internal/input"
	"github.com/oomwatch/oomwatch/proc"
	"github.com/oomwatch/oomwatch/recorder"
	"github.com/oomwatch/oomwatch/triage/kept"
	"github.com/oomwatch/oomwatch/watcher/cri"
	"github.com/oomwatch/oomwatch/watcher/docker"
)

// History is what is kept of the readings of a service.
type History interface {
	Services(ctx context.Context) ([]recorder.Service, error)
	Series(ctx context.Context, service string, step time.Duration, from, to time.Time) (recorder.Series, error)
}

// Host is where to look.
type Host struct {
	// Engines are the addresses of the engines; "" is the usual one.
	Engines []string
	// Runtimes are the sockets of runtimes of Kubernetes; those that are not there are
	// left out.
	Runtimes []string
	// History is nil where none is kept.
	History History
	// Timeouts are the deaths of the past Month that are kept, of those who were killed
	// because they did not stop in time.
	Timeouts []*incident.Incident
}

// Facts asks all of it. The error is of engines of which none answers; what else cannot
// be read is in Notes.
func (h *Host) Facts(ctx context.Context) (*audit.Facts, error) {
	all := &audit.Facts{Host: audit.Host{Time: time.Now(), Memory: -1, Swap: -1}}
	var errs []error
	for _, host := range h.Engines {
		f, err := docker.Survey(ctx, host)
		if err != nil {
			errs = append(errs, err)
			all.Notes = append(all.Notes, err.Error())
			continue
		}
		if docker.LocalEngine(host) {
			see(f)
		}
		join(all, f)
	}
	asked := len(h.Engines)
	for _, socket := range h.Runtimes {
		f, err := cri.Survey(ctx, socket)
		switch {
		case err != nil:
			errs = append(errs, err)
			all.Notes = append(all.Notes, err.Error())
		case f != nil:
			see(f)
			join(all, f)
		default:
			continue
		}
		asked++
	}
	if len(errs) > 0 && len(errs) == asked {
		return nil, errors.Join(errs...)
	}
	h.remember(ctx, all)
	return all, nil
}

// join adds what a further engine says. The host is that of the first engine that runs
// containers; an API that is open is told of each.
func join(all, f *audit.Facts) {
	if all.Host.Memory < 0 {
		all.Host.Memory, all.Host.Swap = f.Host.Memory, f.Host.Swap
	}
	open := append(all.Host.OpenAPI, f.Host.OpenAPI...)
	if len(all.Containers) == 0 {
		all.Host = f.Host
	}
	all.Host.OpenAPI = open
	all.Containers = append(all.Containers, f.Containers...)
	all.Notes = append(all.Notes, f.Notes...)
}

// see adds what /proc and the control groups of this host say.
func see(f *audit.Facts) {
	fs, err := cgroup.Open(cgroup.DefaultRoot, cgroup.DefaultProc)
	if err != nil {
		f.Notes = append(f.Notes, "the containers' memory cannot be read: "+err.Error())
		return
	}
	defer fs.Close() // it was only read
	seeMemory(fs, &f.Host)
	tasks, err := proc.Tasks(proc.DefaultRoot)
	if err != nil {
		f.Notes = append(f.Notes, err.Error())
	}
	family := map[int]*children{}
	for i := range tasks {
		t := &tasks[i]
		c := family[t.Parent]
		if c == nil {
			c = &children{}
			family[t.Parent] = c
		}
		if t.Zombie() {
			c.zombies++
		} else {
			c.alive = append(c.alive, t.PID)
		}
	}
	unseen := 0
	for i := range f.Containers {
		if c := &f.Containers[i]; c.PID > 0 && !seeOne(fs, c, family) {
			unseen++
		}
	}
	if unseen > 0 {
		f.Notes = append(f.Notes, fmt.Sprintf("the processes of some containers (%d) cannot be seen from here: run as root on the host, or in a container with --pid=host --cgroupns=host", unseen))
	}
}

// children are those of one process.
type children struct {
	alive   []int
	zombies int
}

func seeMemory(fs *cgroup.FS, h *audit.Host) {
	r, err := fs.OpenHost()
	if err != nil {
		return
	}
	defer r.Close()
	var m cgroup.Host
	if r.Read(&m, false) == nil {
		h.Memory, h.Swap = m.Total, m.SwapTotal
	}
}

// rePod matches the cgroup of a pod, as cgroupfs and systemd have it; those above are
// kubepods and its classes of service.
var rePod = regexp.MustCompile(`[/-]pod[0-9a-fA-F_-]+(?:\.slice)?$`)

// seeOne looks at one container's control group and first process. It is false where
// that pid is not the container's, as seen from here.
func seeOne(fs *cgroup.FS, c *audit.Container, family map[int]*children) bool {
	path, err := fs.ContainerPathOf(c.PID, c.ID)
	if err != nil {
		return false
	}
	if above, err := fs.Ancestors(path); err == nil {
		for _, l := range above {
			if c.Owner.Kind == audit.OwnerPod && !rePod.MatchString(l.Path) {
				continue // all pods of a node are below its own limits
			}
			if l.Limit > 0 && (c.ParentLimit < 0 || l.Limit < c.ParentLimit) {
				c.ParentLimit, c.ParentLimitOf = l.Limit, l.Path
			}
		}
	}
	pids := int64(0)
	if g, err := fs.Open(path); err == nil {
		s := cgroup.Sample{Stat: &cgroup.Stat{}, CPU: &cgroup.CPU{}, Tasks: &cgroup.Tasks{}}
		if g.Read(&s, cgroup.WithStat|cgroup.WithCPU|cgroup.WithTasks) == nil {
			if s.Tasks != nil {
				pids = s.Tasks.Limit
			}
			if s.Stat != nil && s.Stat.Anon >= 0 {
				c.Held = s.Stat.Anon + max(s.Stat.Shmem, 0) + max(s.Stat.Kernel, 0)
			}
			if s.CPU != nil && s.CPU.Periods > 0 {
				c.ThrottledShare = float64(s.CPU.Throttled) / float64(s.CPU.Periods)
			}
		}
		g.Close()
	}
	st, err := proc.ReadStatus(proc.DefaultRoot, c.PID)
	if err != nil {
		return true // it has ended meanwhile
	}
	p := &audit.Process{PID: c.PID, Comm: st.Comm, Handled: st.Caught | st.Blocked, NoNewPrivileges: st.NoNewPrivileges,
		OpenFilesLimit: -1, ShmSize: -1, ShmUsed: -1, PidsLimit: pids}
	if n, err := proc.OpenFilesLimit(proc.DefaultRoot, c.PID); err == nil {
		p.OpenFilesLimit = n
		if n == proc.Unlimited {
			p.OpenFilesLimit = 1 << 62
		}
	}
	if size, used, err := proc.Shm(proc.DefaultRoot, c.PID); err == nil {
		p.ShmSize, p.ShmUsed = size, used
	}
	if k := family[c.PID]; k != nil {
		p.Children, p.Zombies = len(k.alive), k.zombies
	}
	c.Seen = p
	c.Heap = append(c.Heap, heapBelow(c.PID, family)...)
	return true
}

// heapBelow are the heap settings in the commands of a process and of those below it,
// the first few: what an entrypoint script makes of its variables is seen there alone.
func heapBelow(pid int, family map[int]*children) []audit.HeapSetting {
	const most = 16
	var out []audit.HeapSetting
	look := []int{pid}
	for n := 0; n < len(look) && n < most; n++ {
		if args, err := proc.CommandLine(proc.DefaultRoot, look[n]); err == nil {
			out = append(out, audit.HeapInCommand(args)...)
		}
		if k := family[look[n]]; k != nil {
			look = append(look, k.alive...)
		}
	}
	return out
}

// Month is how far back history is looked at.
const Month = 30 * 24 * time.Hour

// remember adds what the daemon keeps of each container's service.
func (h *Host) remember(ctx context.Context, f *audit.Facts) {
	if h.History == nil {
		return
	}
	services, err := h.History.Services(ctx)
	if err != nil {
		f.Notes = append(f.Notes, "the daemon's history cannot be read: "+err.Error())
		return
	}
	spans := map[string]recorder.Service{}
	for _, s := range services {
		spans[s.Name] = s
	}
	timeouts := map[string]int{}
	for _, inc := range h.Timeouts {
		if inc.Container != nil {
			timeouts[incident.ServiceOf(inc.Container)]++
		}
	}
	for i := range f.Containers {
		c := &f.Containers[i]
		service := incident.ServiceOf(&c.Container)
		s, ok := spans[service]
		if !ok {
			continue
		}
		from := s.From(Month)
		series, err := h.History.Series(ctx, service, kept.StepFor(s.Last.Sub(from)), from, s.Last)
		if err != nil {
			f.Notes = append(f.Notes, err.Error())
			return
		}
		c.Kept = &audit.Kept{Span: s.Last.Sub(from), HeldP99: heldP99(series.Readings), StopTimeouts: timeouts[service]}
	}
}

// heldP99 is the 99th percentile of what could not be given back, in bytes; 0 where it was
// never read.
func heldP99(all []recorder.Reading) int64 {
	held := make([]int64, 0, len(all))
	for i := range all {
		if n := all[i].Held(); n >= 0 {
			held = append(held, n)
		}
	}
	if len(held) == 0 {
		return 0
	}
	slices.Sort(held)
	return held[(len(held)*99-1)/100]
}

// Files reads what docker inspect or crictl inspect printed, and manifests of pods, until
// ctx ends. "-" is stdin.
func Files(ctx context.Context, names []string, stdin io.Reader) (*audit.Facts, error) {
	f := &audit.Facts{Host: audit.Host{Time: time.Now(), Memory: -1, Swap: -1}}
	for _, name := range names {
		list, err := readFile(ctx, name, stdin)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		f.Containers = append(f.Containers, list...)
	}
	f.Notes = append(f.Notes, "saved files only: neither /proc and cgroups nor the history were read")
	return f, nil
}

func readFile(ctx context.Context, name string, stdin io.Reader) ([]audit.Container, error) {
	if name == "-" {
		return read(stdin)
	}
	f, err := input.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return read(f)
}

// maxFile bounds a file that is read.
const maxFile = 64 << 20

// read reads the one of the forms that the text has.
func read(r io.Reader) ([]audit.Container, error) {
	in, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	switch {
	case err != nil:
		return nil, err
	case len(in) > maxFile:
		return nil, fmt.Errorf("it is longer than %d MiB", maxFile>>20)
	}
	if bytes.Contains(in, []byte(`"runtimeSpec"`)) || bytes.Contains(in, []byte(`"status"`)) && bytes.Contains(in, []byte(`"CONTAINER_RUNNING"`)) {
		if list, err := cri.ReadDefinitions(in); !errors.Is(err, cri.ErrOther) {
			return list, err
		}
	}
	if reManifest.Match(in) {
		return readManifests(in)
	}
	return docker.ReadDefinitions(bytes.NewReader(in))
}
