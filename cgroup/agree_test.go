package cgroup

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/containerd/cgroups/v3/cgroup1"
	stats1 "github.com/containerd/cgroups/v3/cgroup1/stats"
	"github.com/containerd/cgroups/v3/cgroup2"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/oomwatch/oomwatch/test/real"
)

// What is read of a cgroup is, field by field, what containerd/cgroups reads.
func TestLiveReadingAgreesWithContainerd(t *testing.T) {
	fs := openHost(t)
	if fs.version == 2 {
		// Controllers are handed down by the parent; those that are there stay.
		os.WriteFile(filepath.Join(fs.mem.point, "cgroup.subtree_control"), []byte("+cpu +memory +pids"), 0)
	}
	path, dir := liveGroup(t, fs, 48*mib)
	dirs := quotas(t, fs, path, dir)

	file := filepath.Join(t.TempDir(), "big")
	if err := os.WriteFile(file, make([]byte, 64*mib), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	f.Sync()
	unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED) // only what is read anew is charged
	f.Close()
	cmd, run, _ := startIn(t, dir, "everything", "OOMWATCH_TEST_FILE="+file)
	for _, d := range dirs {
		if err := os.WriteFile(filepath.Join(d, "cgroup.procs"), []byte(strconv.Itoa(cmd.Process.Pid)), 0); err != nil {
			t.Fatal(err)
		}
	}
	run()

	if got, err := fs.PathOf(cmd.Process.Pid); got != path || err != nil {
		t.Errorf("PathOf = %q, %v; want %q", got, err, path)
	}
	h, err := fs.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	theirs := containerdV2
	if fs.version == 1 {
		theirs = containerdV1
	}
	// The kernel charges in batches and counts on each processor by itself:
	// what is read between two readings that are the same was the same too.
	var before, want, after map[string]int64
	var s Sample
	for range 50 {
		if err := h.Read(&s, everything); err != nil {
			t.Fatal(err)
		}
		before = fields(&s)
		want = theirs(t, fs, path)
		if err := h.Read(&s, everything); err != nil {
			t.Fatal(err)
		}
		if after = fields(&s); maps.Equal(before, after) && cmp.Equal(want, pick(after, want)) {
			break
		}
		time.Sleep(200 * time.Millisecond)
	}
	if diff := cmp.Diff(want, pick(after, want)); diff != "" {
		t.Errorf("-containerd/cgroups +ours:\n%s", diff)
	}
	t.Logf("equal on cgroup %s: %v", fs.Mode(), want)
	for _, name := range []string{"current", "limit", "anon", "file", "shmem", "kernel", "max", "tasks", "tasks limit", "periods", "throttled", "throttled_us"} {
		if v, ok := want[name]; ok && v == 0 {
			t.Errorf("%s is 0: the comparison says nothing", name)
		}
	}
	if s.Stat.Anon < 20*mib || s.Stat.Shmem < 4*mib || s.Current < s.Stat.Anon+s.Stat.Shmem {
		t.Errorf("a process with 20 MiB in it and 4 MiB shared: %+v, %+v", s, s.Stat)
	}
	if !slices.Equal(s.PIDs, []int{cmd.Process.Pid}) {
		t.Errorf("pids %v, want %d", s.PIDs, cmd.Process.Pid)
	}
	if up, err := fs.Ancestors(path); err != nil || len(up) != 1 || up[0].Path != "/" || up[0].Limit != Unlimited {
		t.Errorf("ancestors: %v, %v", up, err)
	}
}

// quotas limits the processes and the CPU time of a cgroup, in hierarchies of
// their own on v1; it gives the directories that a process has still to join.
func quotas(t *testing.T, fs *FS, path, dir string) (join []string) {
	t.Helper()
	write := func(dir, name, value string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(value), 0); err != nil {
			real.Missing(t, "%s", "cannot limit a cgroup: "+err.Error())
		}
	}
	if fs.version == 2 {
		write(dir, "pids.max", "100")
		write(dir, "cpu.max", "10000 50000")
		return nil
	}
	for _, m := range []*mount{fs.pids, fs.cpu} {
		if m == nil {
			real.Missing(t, "no pids or cpu controller")
		}
		d := m.below(path)
		if err := os.Mkdir(d, 0o755); err != nil {
			real.Missing(t, "%s", err.Error())
		}
		t.Cleanup(func() { eventually(t, "removal", func() bool { return os.Remove(d) == nil }) })
		join = append(join, d)
	}
	// Some kernels count no failure of the two limits when they are the same.
	write(dir, "memory.memsw.limit_in_bytes", strconv.Itoa(96*mib))
	write(join[0], "pids.max", "100")
	write(join[1], "cpu.cfs_period_us", "50000")
	write(join[1], "cpu.cfs_quota_us", "10000")
	return join
}

// fields is a Sample under the names of the comparison.
func fields(s *Sample) map[string]int64 {
	m := map[string]int64{"current": s.Current, "limit": s.Limit, "swap": s.Swap, "oom_kill": s.OOMKills,
		"anon": s.Stat.Anon, "file": s.Stat.File, "shmem": s.Stat.Shmem, "kernel": s.Stat.Kernel, "slab": s.Stat.Slab,
		"low": s.Events.Low, "high": s.Events.High, "max": s.Events.Max, "oom": s.Events.OOM}
	if s.Tasks != nil {
		m["tasks"], m["tasks limit"] = s.Tasks.Current, s.Tasks.Limit
	}
	if s.CPU != nil {
		m["periods"], m["throttled"], m["throttled_us"] = s.CPU.Periods, s.CPU.Throttled, s.CPU.ThrottledTime.Microseconds()
	}
	if s.PSI != nil && !s.HostPSI {
		m["psi some"], m["psi full"] = s.PSI.SomeTotal.Microseconds(), s.PSI.FullTotal.Microseconds()
	}
	return m
}

// pick is the fields that another map has.
func pick(from, as map[string]int64) map[string]int64 {
	out := map[string]int64{}
	for name := range as {
		if v, ok := from[name]; ok {
			out[name] = v
		}
	}
	return out
}

func containerdV1(t *testing.T, fs *FS, path string) map[string]int64 {
	t.Helper()
	m := stats1.Metrics{CPU: &stats1.CPUStat{Throttling: &stats1.Throttle{}}} // its reader fills in only
	root := filepath.Dir(fs.mem.point)
	for _, c := range []interface {
		Stat(string, *stats1.Metrics) error
	}{cgroup1.NewMemory(root, cgroup1.OptionalSwap()), cgroup1.NewPids(root), cgroup1.NewCpu(root)} {
		if err := c.Stat(path, &m); err != nil {
			t.Fatal(err)
		}
	}
	out := map[string]int64{
		"current": int64(m.Memory.Usage.Usage), "limit": int64(m.Memory.Usage.Limit), "max": int64(m.Memory.Usage.Failcnt + m.Memory.Swap.Failcnt),
		"anon": int64(m.Memory.TotalRSS), "file": int64(m.Memory.TotalCache), "kernel": int64(m.Memory.Kernel.Usage),
		"oom_kill": int64(m.MemoryOomControl.OomKill),
		"tasks":    int64(m.Pids.Current), "tasks limit": int64(m.Pids.Limit),
		"periods": int64(m.CPU.Throttling.Periods), "throttled": int64(m.CPU.Throttling.ThrottledPeriods),
		"throttled_us": int64(m.CPU.Throttling.ThrottledTime) / 1000,
	}
	return out
}

func containerdV2(t *testing.T, _ *FS, path string) map[string]int64 {
	t.Helper()
	c, err := cgroup2.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	m, err := c.Stat()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]int64{
		"current": int64(m.Memory.Usage), "limit": int64(m.Memory.UsageLimit), "swap": int64(m.Memory.SwapUsage),
		"anon": int64(m.Memory.Anon), "file": int64(m.Memory.File), "shmem": int64(m.Memory.Shmem), "slab": int64(m.Memory.Slab),
		"low": int64(m.MemoryEvents.Low), "high": int64(m.MemoryEvents.High), "max": int64(m.MemoryEvents.Max),
		"oom": int64(m.MemoryEvents.Oom), "oom_kill": int64(m.MemoryEvents.OomKill),
		"tasks": int64(m.Pids.Current), "tasks limit": int64(m.Pids.Limit),
		"periods": int64(m.CPU.NrPeriods), "throttled": int64(m.CPU.NrThrottled), "throttled_us": int64(m.CPU.ThrottledUsec),
	}
	if m.Memory.PSI != nil && m.Memory.PSI.Some != nil {
		out["psi some"], out["psi full"] = int64(m.Memory.PSI.Some.Total), int64(m.Memory.PSI.Full.Total)
	}
	return out
}
