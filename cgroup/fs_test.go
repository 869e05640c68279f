package cgroup

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const podSlice = "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod11112222_3333_4444_5555_666677778888.slice"

func TestModes(t *testing.T) {
	for name, want := range map[string]struct {
		mode     Mode
		problems []error
	}{
		"v1":       {V1, nil},
		"hybrid":   {Hybrid, []error{ErrNoPSI}},
		"v2":       {V2, nil},
		"rootless": {V2, nil},
		"nomemory": {V2, []error{ErrNoMemory}},
		"cgroupns": {V2, []error{ErrPrivateCgroups}},
		"nested":   {V2, []error{ErrPrivateCgroups, ErrPrivatePIDs}},
		"sidecar":  {V1, nil},
		"pod":      {V2, nil},
	} {
		fs, _ := openFixture(t, name)
		if fs.Mode() != want.mode {
			t.Errorf("%s: mode %q, want %q", name, fs.Mode(), want.mode)
		}
		got := fs.Problems()
		if len(got) != len(want.problems) {
			t.Errorf("%s: problems %v, want %v", name, got, want.problems)
			continue
		}
		for i, err := range got {
			if !errors.Is(err, want.problems[i]) {
				t.Errorf("%s: problem %v, want %v", name, err, want.problems[i])
			}
		}
	}
}

func TestOpenSaysWhatIsMissing(t *testing.T) {
	root := fixture(t, "v1")
	if _, err := Open(filepath.Join(root, "nothing"), filepath.Join(root, "proc")); err == nil || !strings.Contains(err.Error(), "-v /sys/fs/cgroup") {
		t.Errorf("no mounts: %v", err)
	}
	if _, err := Open(filepath.Join(root, "sys"), filepath.Join(root, "noproc")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no proc: %v", err)
	}
}

func TestPathOf(t *testing.T) {
	user := "/user.slice/user-1000.slice/user@1000.service"
	for _, tt := range []struct {
		fixture   string
		pid       int
		path      string
		container string
		err       error
	}{
		{"v1", 4242, "/docker/" + a, "/docker/" + a, nil},
		{"v1", 4243, "/docker/" + a + "/system.slice/cron.service", "/docker/" + a, nil},
		{"v1", 4244, "/docker/" + a, "/docker/" + a, nil},
		{"v1", 4245, "", "", ErrNoMemory},
		{"v1", 9999, "", "", ErrGone},
		{"hybrid", 4242, "/docker/" + a, "/docker/" + a, nil},
		{"v2", 4242, "/system.slice/docker-" + a + ".scope", "/system.slice/docker-" + a + ".scope", nil},
		{"rootless", 4242, user + "/user.slice/docker-" + a + ".scope", user + "/user.slice/docker-" + a + ".scope", nil},
		{"cgroupns", 4243, "", "", ErrPrivateCgroups},
		{"cgroupns", 4242, "/../docker-" + a + ".scope", "/../docker-" + a + ".scope", nil},
		{"pod", 4242, podSlice + "/cri-containerd-" + a + ".scope", podSlice + "/cri-containerd-" + a + ".scope", nil},
		{"pod", 9999, "", "", ErrGone},
		{"nested", 1, "", "", ErrPrivateCgroups},
		{"nested", 1, "", "", ErrPrivatePIDs},
		{"nested", 9999, "", "", ErrPrivatePIDs},
		{"nested", 4242, "/system.slice/docker-" + a + ".scope", "/system.slice/docker-" + a + ".scope", nil},
	} {
		fs, _ := openFixture(t, tt.fixture)
		path, err := fs.PathOf(tt.pid)
		if path != tt.path || !errors.Is(err, tt.err) {
			t.Errorf("%s: PathOf(%d) = %q, %v; want %q, %v", tt.fixture, tt.pid, path, err, tt.path, tt.err)
		}
		container, err := fs.ContainerPathOf(tt.pid, a)
		if container != tt.container || !errors.Is(err, tt.err) {
			t.Errorf("%s: ContainerPathOf(%d) = %q, %v; want %q, %v", tt.fixture, tt.pid, container, err, tt.container, tt.err)
		}
	}
}

func TestContainerPathOfAnother(t *testing.T) {
	fs, _ := openFixture(t, "v1")
	if path, err := fs.ContainerPathOf(4242, b); !errors.Is(err, ErrGone) {
		t.Errorf("another container's pid: %q, %v", path, err)
	}
	fs, _ = openFixture(t, "rootless")
	if path, err := fs.ContainerPathOf(4243, a); !errors.Is(err, ErrNoMemory) || errors.Is(err, ErrGone) {
		t.Errorf("a process in no container: %q, %v", path, err)
	}
}

const everything = WithLimit | WithStat | WithPSI | WithPIDs | WithEvents | WithTasks | WithCPU

func TestRead(t *testing.T) {
	for _, tt := range []struct {
		fixture, path string
		what          What
		want          Sample
	}{
		{"v1", "/docker/" + a, everything, Sample{
			Current: 33554432, Limit: 33554432, Swap: 12288, OOMKills: 3,
			Stat:    &Stat{Anon: 33161216, File: 8192, Shmem: 4096, Kernel: 344064, Slab: -1, SlabReclaimable: -1, Lazy: -1, Refaults: -1},
			PSI:     &PSI{SomeAvg10: 1.25, FullAvg10: 0.5, SomeTotal: 2500 * time.Millisecond, FullTotal: time.Second},
			HostPSI: true, PIDs: []int{4242, 4250, 4243},
			Events: &Events{-1, -1, 144, -1}, Tasks: &Tasks{3, 100}, CPU: &CPU{120, 7, 350 * time.Millisecond}}},
		{"v1", "/docker/" + a, WithKills, Sample{Current: 33554432, Limit: 33554432, Swap: -1, OOMKills: 3}},
		{"v1", "/docker/" + b, WithKills, Sample{Current: 20000000, Limit: Unlimited, Swap: -1}},
		{"hybrid", "/docker/" + a, WithPSI | WithKills, Sample{Current: 33554432, Limit: 33554432, Swap: -1}},
		{"v2", "/system.slice/docker-" + a + ".scope", everything, Sample{
			Current: 33554432, Limit: 33554432, Swap: 4096, OOMKills: 2,
			Stat: &Stat{Anon: 33161216, File: 8192, Shmem: 4096, Kernel: 344064, Slab: 118784, SlabReclaimable: -1, Lazy: -1, Refaults: -1},
			PSI:  &PSI{SomeAvg10: 12.34, FullAvg10: 10, SomeTotal: 4 * time.Second, FullTotal: 3 * time.Second},
			PIDs: []int{4242}, Events: &Events{0, 0, 144, 2}, Tasks: &Tasks{1, Unlimited}, CPU: &CPU{120, 7, 350 * time.Millisecond}}},
		// An older kernel without "kernel" in memory.stat, pressure off for this
		// cgroup, the processes in crun's cgroup below.
		{"v2", podSlice + "/crio-" + b + ".scope", everything, Sample{
			Current: 100000000, Limit: Unlimited, Swap: 4096, OOMKills: 1,
			Stat: &Stat{Anon: 5, File: 6, Shmem: 7, Kernel: 100, Slab: 40, SlabReclaimable: -1, Lazy: -1, Refaults: -1},
			PIDs: []int{4243, 4246}, Events: &Events{0, 0, 144, 2}}},
		{"nested", "/system.slice/docker-" + a + ".scope", WithKills, Sample{Current: 33554432, Limit: 33554432, Swap: -1, OOMKills: 2}},
		{"sidecar", "/docker/" + a, WithKills, Sample{Current: 33554432, Limit: 33554432, Swap: -1}},
	} {
		fs, _ := openFixture(t, tt.fixture)
		h, err := fs.Open(tt.path)
		if err != nil {
			t.Errorf("%s: %v", tt.fixture, err)
			continue
		}
		for range 2 { // the second reading goes through kept descriptors
			var got Sample
			if err := h.Read(&got, tt.what); err != nil {
				t.Errorf("%s: %v", tt.fixture, err)
			}
			if time.Since(got.At) > time.Minute || got.At.IsZero() {
				t.Errorf("%s: read at %v", tt.fixture, got.At)
			}
			got.At = time.Time{}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("%s %s (-want +got):\n%s", tt.fixture, tt.path, diff)
			}
		}
		h.Close()
		h.Close()
	}
}

func TestOpenCgroupErrors(t *testing.T) {
	for _, tt := range []struct {
		fixture, path string
		want          error
	}{
		{"v1", "/docker/" + c, ErrGone},
		{"v2", "/system.slice/gone.service", ErrGone},
		{"v2", "/bare.slice", ErrNoMemory},
		{"rootless", "/user.slice/user-1000.slice/user@1000.service/user.slice/docker-" + a + ".scope", ErrNoMemory},
		{"nomemory", "/system.slice/docker-" + a + ".scope", ErrNoMemory},
		{"cgroupns", "/", ErrPrivateCgroups}, // our own group, not the host's root
		{"cgroupns", "/system.slice/docker-" + a + ".scope", ErrPrivateCgroups},
		{"cgroupns", "/../docker-" + a + ".scope", ErrPrivateCgroups},
		{"nested", "/docker/" + a, ErrPrivateCgroups}, // a path from the host's log
	} {
		fs, _ := openFixture(t, tt.fixture)
		h, err := fs.Open(tt.path)
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: Open(%q) = %v, want %v", tt.fixture, tt.path, err, tt.want)
		}
		if errors.Is(err, ErrGone) && tt.want != ErrGone {
			t.Errorf("%s: Open(%q) = %v is also ErrGone", tt.fixture, tt.path, err)
		}
		if h != nil {
			h.Close()
		}
	}
	fs, _ := openFixture(t, "sidecar")
	if _, err := fs.Open("/system.slice/x.service"); err == nil || !strings.Contains(err.Error(), "not visible") {
		t.Errorf("outside of the mount: %v", err)
	}
	fs, _ = openFixture(t, "v1")
	for _, path := range []string{"/../../etc", "/docker/../x", "..", "/docker//x"} {
		if _, err := fs.Open(path); err == nil || !strings.Contains(err.Error(), "not a path from the root") {
			t.Errorf("Open(%q): %v", path, err)
		}
	}
}

// With no descriptors to spare every reading opens the files again, and still
// tells a new cgroup at the old path from the old one.
func TestReadWithoutDescriptors(t *testing.T) {
	fs, root := openFixture(t, "v1")
	fs.fds.left.Store(0)
	h, err := fs.Open("/docker/" + a)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	var s Sample
	if err := h.Read(&s, everything); err != nil || s.Current != 33554432 || s.OOMKills != 3 || s.Stat == nil {
		t.Fatalf("%+v, %v", s, err)
	}
	if h.files[current].kept || h.files[stat].kept {
		t.Error("descriptors were kept beyond the budget")
	}
	name := filepath.Join(root, "sys/memory/docker", a, "memory.usage_in_bytes")
	if err := os.Rename(name, name+".old"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte("1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := h.Read(&s, 0); !errors.Is(err, ErrGone) {
		t.Errorf("another cgroup at the same path: %+v, %v", s, err)
	}
}

// With many cgroups only what is read all the time stays open, and the rest is
// read all the same.
func TestReadWithFewDescriptors(t *testing.T) {
	fs, _ := openFixture(t, "v1")
	fs.spare.left.Store(1)
	h, err := fs.Open("/docker/" + a)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		var s Sample
		if err := h.Read(&s, everything); err != nil || s.Current != 33554432 || s.OOMKills != 3 || s.Stat == nil || s.Events == nil {
			t.Fatalf("%+v, %v", s, err)
		}
	}
	if !h.files[current].kept || !h.files[events].kept || !h.files[stat].kept || h.files[kernel].kept || h.files[failcnt].kept {
		t.Errorf("%+v", h.files)
	}
	h.Close()
	if fs.spare.left.Load() != 1 || fs.fds.left.Load() != fdLimit() {
		t.Error("descriptors were not given back")
	}
}

func TestDescriptorsAreGivenBack(t *testing.T) {
	fs, _ := openFixture(t, "v2")
	before := fs.fds.left.Load()
	h, err := fs.Open("/system.slice/docker-" + a + ".scope")
	if err != nil {
		t.Fatal(err)
	}
	var s Sample
	if err := h.Read(&s, everything); err != nil {
		t.Fatal(err)
	}
	if used := before - fs.fds.left.Load(); used < 1 || used > nFiles {
		t.Errorf("%d descriptors for one cgroup, want 1 to 4", used)
	}
	h.Close()
	if left := fs.fds.left.Load(); left != before {
		t.Errorf("%d descriptors not given back", before-left)
	}
}

func TestAncestors(t *testing.T) {
	fs, _ := openFixture(t, "v2")
	got, err := fs.Ancestors(podSlice + "/crio-" + b + ".scope")
	want := []Level{
		{podSlice, 134217728, 120000000},
		{"/kubepods.slice/kubepods-burstable.slice", Unlimited, 150000000},
		{"/kubepods.slice", 4000000000, 200000000},
		{"/", Unlimited, -1},
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}

	fs, _ = openFixture(t, "v1")
	got, err = fs.Ancestors("/docker/" + a)
	want = []Level{{"/docker", 100000000, 60000000}, {"/", Unlimited, 500000000}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	members, err := fs.Members("/docker", 10)
	want = []Level{{"/docker/" + a, 33554432, 33554432}, {"/docker/" + b, Unlimited, 20000000}}
	if diff := cmp.Diff(want, members); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if members, _ = fs.Members("/docker", 1); len(members) != 1 || members[0].Path != "/docker/"+a {
		t.Errorf("the largest member: %v", members)
	}

	fs, _ = openFixture(t, "cgroupns")
	if got, err := fs.Ancestors("/"); !errors.Is(err, ErrPrivateCgroups) {
		t.Errorf("in a private namespace: %v, %v", got, err)
	}
}

// The files of one cgroup are the kernel's, but a fixture or a strange kernel
// must not make the parsers fail.
func FuzzParse(f *testing.F) {
	f.Add([]byte("some avg10=1.25 avg60=0.40 avg300=0.05 total=2500000\nfull avg10=0.50 total=1\n"))
	f.Add([]byte("anon 1\nfile 2\nslab 3\nkernel_stack 9223372036854775807\n"))
	f.Add([]byte("total_rss 18446744073709551615\ntotal_swap x\n\n \n"))
	f.Add([]byte("1\n0\n77\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var s Stat
		var p PSI
		if swap := parseStatV1(b, &s); swap < -1 || s.Anon < -1 || s.File < -1 {
			t.Errorf("%q: %+v, swap %d", b, s, swap)
		}
		parseStatV2(b, &s)
		if s.Anon < -1 || s.Slab < -1 || s.Kernel < -1 {
			t.Errorf("%q: %+v", b, s)
		}
		if parsePSI(b, &p) && (p.SomeAvg10 < 0 || p.SomeTotal < 0) {
			t.Errorf("%q: %+v", b, p)
		}
		all, used := appendPIDs(nil, b, true)
		for _, pid := range all {
			if pid <= 0 {
				t.Errorf("%q: pid %d", b, pid)
			}
		}
		// Read in two pieces, it says the same.
		half, first := appendPIDs(nil, b[:len(b)/2], false)
		half, rest := appendPIDs(half, b[first:], true)
		if used != len(b) || first+rest != len(b) || !slices.Equal(all, half) {
			t.Errorf("%q: pids %v, in pieces %v; %d bytes, %d and %d", b, all, half, used, first, rest)
		}
		var e Events
		if kills := parseEvents(b, &e); kills < -1 || e.Low < -1 || e.Max < -1 {
			t.Errorf("%q: %+v, %d kills", b, e, kills)
		}
		var cpu CPU
		if parseCPU(b, &cpu); cpu.Periods < 0 || cpu.ThrottledTime < 0 {
			t.Errorf("%q: %+v", b, cpu)
		}
		var host Host
		if parseMeminfo(b, &host) && (host.Total < 0 || host.Available < 0 || host.Kernel < 0) {
			t.Errorf("%q: %+v", b, host)
		}
		if n, ok := parseLimit(b); ok && n < Unlimited {
			t.Errorf("%q: limit %d", b, n)
		}
	})
}

func TestRefaults(t *testing.T) {
	var s Stat
	parseStatV1([]byte("workingset_refault_file 3\ntotal_workingset_refault_anon 1\ntotal_workingset_refault_file 77\n"), &s)
	if s.Refaults != 77 {
		t.Errorf("v1: %d", s.Refaults)
	}
	for _, key := range []string{"workingset_refault_file", "workingset_refault"} {
		if parseStatV2([]byte("anon 1\n"+key+" 78\nworkingset_refault_anon 2\n"), &s); s.Refaults != 78 {
			t.Errorf("v2, %s: %d", key, s.Refaults)
		}
	}
}

// TestLazy: what MADV_FREE freed is on the lists of file pages and counts as anonymous.
func TestLazy(t *testing.T) {
	const rest = "shmem 30\ninactive_file 100\nactive_file 20\n"
	for _, tt := range []struct {
		stat string
		want int64
	}{
		{"anon 500\nfile 70\n" + rest, 80},     // of 70 cached 40 are on the lists
		{"anon 50\nfile 70\n" + rest, 50},      // never more than there is
		{"anon 500\nfile 170\n" + rest, 0},     // some of the cache is mlocked
		{"anon 500\nfile 70\nshmem 30\n", -1},  // not told
		{"anon 500\nfile 10\n" + rest, 120},    // counters read a moment apart
		{"anon 500\nfile\n" + rest, -1},        // damaged
		{"file 70\ninactive_file 9\n", -1},     // no anon
		{"anon 0\nfile 0\n" + "shmem 0\n", -1}, // none of the lists
	} {
		var s Stat
		if parseStatV2([]byte(tt.stat), &s); s.Lazy != tt.want {
			t.Errorf("v2 %q: %d, want %d", tt.stat, s.Lazy, tt.want)
		}
	}
	var s Stat
	parseStatV1([]byte("total_rss 500\ntotal_cache 70\ntotal_shmem 30\ninactive_file 1\ntotal_inactive_file 100\ntotal_active_file 20\n"), &s)
	if s.Lazy != 80 || s.SlabReclaimable != -1 {
		t.Errorf("v1: %+v", s)
	}
	if parseStatV2([]byte("slab_reclaimable 7\nslab_unreclaimable 5\nslab 12\n"), &s); s.SlabReclaimable != 7 || s.Slab != 12 {
		t.Errorf("slab: %+v", s)
	}
}

// TestHostPath reads the paths of a private cgroup namespace as the host's, where the
// host's control groups are mounted, and leaves those that it cannot know.
func TestHostPath(t *testing.T) {
	fs, root := openFixture(t, "pod")
	own := podSlice + "/cri-containerd-" + b + ".scope"
	for path, want := range map[string]string{
		"/":           own,
		"/sub":        own + "/sub",
		"/..":         podSlice,
		"/../sibling": podSlice + "/sibling",
		"/../../../../system.slice/docker-" + b + ".scope": "/system.slice/docker-" + b + ".scope",
		"/../../../..":    "/",
		"/../../../../..": "/../../../../..",
		"/..hidden":       own + "/..hidden",
		"":                "",
	} {
		if got := fs.HostPath(path); got != want {
			t.Errorf("%q is %q, want %q", path, got, want)
		}
	}
	h, err := fs.Open(podSlice + "/cri-containerd-" + a + ".scope")
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	var s Sample
	if err := h.Read(&s, WithLimit); err != nil || s.Limit != 33554432 {
		t.Errorf("read %+v, %v", s, err)
	}
	// A mount of less than the host's groups says nothing of where we are.
	if err := os.WriteFile(filepath.Join(root, "sys/cgroup.events"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	part, err := Open(filepath.Join(root, "sys"), filepath.Join(root, "proc"))
	if err != nil {
		t.Fatal(err)
	}
	defer part.Close()
	if _, err := part.PathOf(1); !errors.Is(err, ErrPrivateCgroups) {
		t.Errorf("of a part of the groups: %v", err)
	}
	plain, _ := openFixture(t, "v2")
	if got := plain.HostPath("/x"); got != "/x" {
		t.Errorf("on the host: %q", got)
	}
}
