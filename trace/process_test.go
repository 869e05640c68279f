package trace

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

const stat = ") S 1 4242 4242 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 987654 1 1 1\n"

func TestStatOfAHostileName(t *testing.T) {
	for name, text := range map[string]string{
		"plain":    "4242 (tail" + stat,
		"brackets": "4242 (x) R 1 1) S 1" + stat,
		"newline":  "4242 (a\n) Z 0" + stat,
	} {
		if start, exiting, ok := parseStat([]byte(text)); start != 987654 || exiting || !ok {
			t.Errorf("%s: %d, %v, %v", name, start, exiting, ok)
		}
	}
	if _, exiting, ok := parseStat([]byte("1 (x) S 1 1 1 0 -1 4194308 1 0 0 0 0 0 0 0 20 0 1 0 5 1")); !exiting || !ok {
		t.Error("PF_EXITING was not seen")
	}
	for _, bad := range []string{"", "1 (x", "1 (x) S 1 2 3", "1 (x) S 1 1 1 0 -1 x 1 0 0 0 0 0 0 0 20 0 1 0 5 1"} {
		if _, _, ok := parseStat([]byte(bad)); ok {
			t.Errorf("%q was read", bad)
		}
	}
}

func TestStatusOf(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		init bool
	}{
		"a container's first":       {"Tgid:\t42\nPPid:\t7\nNStgid:\t42\t1\n", true},
		"another of a container":    {"Tgid:\t42\nPPid:\t7\nNStgid:\t42\t13\n", false},
		"of a container within one": {"Tgid:\t42\nPPid:\t7\nNStgid:\t42\t30\t1\n", false},
		"of the host":               {"Tgid:\t42\nPPid:\t7\nNStgid:\t42\n", false},
		"of a kernel without it":    {"Tgid:\t42\nPPid:\t7\n", false},
	} {
		if pid, ppid, init := parseStatus([]byte("Name:\tx\n" + c.text)); pid != 42 || ppid != 7 || init != c.init {
			t.Errorf("%s: %d, %d, %v", name, pid, ppid, init)
		}
	}
}

func TestCgroupOf(t *testing.T) {
	const v1 = "5:cpu,cpuacct:/elsewhere\n4:memory:/docker/abc\n1:name=systemd:/x\n0::/unified\n"
	for _, c := range []struct {
		name, text string
		exiting    bool
		want       string
	}{
		{"v1", v1, false, "/docker/abc"},
		{"v1, root", "4:memory:/\n0::/u\n", false, "/"},
		{"v1, ending", "4:memory:/\n0::/u\n", true, ""},
		{"v1, ending but still there", v1, true, "/docker/abc"},
		{"v1, joined", "4:cpu,memory:/a:b\n", false, "/a:b"},
		{"v2", "0::/system.slice/x.scope\n", false, "/system.slice/x.scope"},
		{"v2, removed", "0::/x (deleted)\n", true, "/x"},
		{"a controller of a like name", "4:memory2:/no\n0::/yes\n", false, "/yes"},
		{"nothing", "", false, ""},
		{"nonsense", "memory\n::\n", false, ""},
	} {
		if got := parseCgroup(c.text, c.exiting); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestSavedNames(t *testing.T) {
	list := []byte("10 kill\n11 a b\n12 x\n13 runc\nnonsense\n14 evil\xff\n12 y\n15 same\n15 same\n9 3 x\n110 late\n17 16 no\n18 ")
	for tid, want := range map[int]string{10: "kill", 11: "a b", 13: "runc", 14: `evil\xff`, 15: "same", 9: "3 x", 110: "late",
		3: "", 16: "", 18: "", 1: ""} {
		if got := savedName(list, tid); got != want {
			t.Errorf("%d: %q, want %q", tid, got, want)
		}
	}
	if got := savedName(list, 12); got != "" {
		t.Errorf("%q: 12 has two names, so one is forged", got)
	}
}

// tree writes files under a new directory.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestLookup(t *testing.T) {
	proc := tree(t, map[string]string{
		"4243/status": "Name:\tthread\\nTgid:\t1\nTgid:\t4242\nPPid:\t7\n",
		"4243/cgroup": "4:memory:/docker/abc\n",
		"4242/comm":   "x\ny\n",
		"4242/stat":   "4242 (x\ny" + stat,
		"saved":       "99 runc\n",
	})
	if err := os.Symlink("/usr/bin/x", filepath.Join(proc, "4243/exe")); err != nil {
		t.Fatal(err)
	}
	l := lookup{proc: proc, saved: filepath.Join(proc, "saved"), known: make(map[int]Process)}
	boot := 9876540 * time.Millisecond
	want := Process{TID: 4243, PID: 4242, Comm: "x\ny", PPID: 7, Start: 987654, Exe: "/usr/bin/x", Cgroup: "/docker/abc"}
	if got := l.process(4243, boot); got != want {
		t.Errorf("a thread: %+v, want %+v", got, want)
	}
	if got := l.process(99, boot); got != (Process{TID: 99, PID: 99, Comm: "runc", Gone: true}) {
		t.Errorf("one that has ended: %+v", got)
	}
	if got := l.process(98, boot); got != (Process{TID: 98, PID: 98, Gone: true}) {
		t.Errorf("one never heard of: %+v", got)
	}
	if got := l.process(0, boot); got.PID != 0 || got.Gone {
		t.Errorf("the idle task: %+v", got)
	}
	// The number was given anew after the event.
	l.begin()
	if got := l.process(4243, boot-time.Second); got != (Process{TID: 4243, PID: 4243, Gone: true}) {
		t.Errorf("another process of the same number: %+v", got)
	}
	// In a PID namespace of our own the number is somebody else's here.
	l = lookup{saved: l.saved, known: make(map[int]Process)}
	if got := l.process(4243, boot); !got.Gone || got.Comm != "" {
		t.Errorf("looked up in another namespace: %+v", got)
	}
}

// TestConfined climbs from who sent a signal to the first process of its PID namespace.
func TestConfined(t *testing.T) {
	files := map[string]string{}
	for pid, of := range map[string]struct{ parent, inner, cgroup string }{
		"100": {"7", "100\t1", "/docker/a"},       // a container's first process
		"101": {"100", "101\t8", "/docker/a"},     // below it
		"102": {"101", "102\t9", "/docker/a"},     // and below that
		"110": {"7", "110\t12", "/docker/a"},      // put into it by exec
		"120": {"7", "120\t13", "/docker/b"},      // a sidecar in its PID namespace
		"121": {"120", "121\t14", "/docker/b"},    // and below that
		"130": {"100", "130\t15", "/docker/a/in"}, // in a cgroup of its own
		"140": {"1", "140", "/docker/c"},          // a container in the host's PID namespace
		"1":   {"0", "1", "/"},
		"7":   {"1", "7", "/system.slice/containerd.service"},
	} {
		files[pid+"/status"] = "Tgid:\t" + pid + "\nPPid:\t" + of.parent + "\nNStgid:\t" + of.inner + "\n"
		files[pid+"/cgroup"] = "4:memory:" + of.cgroup + "\n"
		files[pid+"/stat"] = pid + " (x" + stat
	}
	l := lookup{proc: tree(t, files)}
	for pid, want := range map[int]bool{100: true, 101: true, 102: true, 110: false, 120: false, 121: false, 130: false, 140: false, 1: false} {
		p, ok := readProcess(l.proc, pid)
		if !ok {
			t.Fatalf("process %d cannot be read", pid)
		}
		if got := l.confined(p); got != want {
			t.Errorf("process %d is confined to its container: %v", pid, got)
		}
	}
}

func TestSender(t *testing.T) {
	one := Process{TID: 7, PID: 7}
	for name, c := range map[string]struct {
		s    Signal
		sent bool
	}{
		"kill":                {Signal{Current: one}, true},
		"tgkill":              {Signal{Code: CodeTkill, Current: one}, true},
		"one that says timer": {Signal{Code: CodeTimer, Current: one}, true},
		"a timer":             {Signal{Code: CodeTimer, Current: one, Interrupt: true}, false},
		"the kernel":          {Signal{Code: CodeKernel, Current: one}, false},
		"a fault":             {Signal{Code: 1, Current: one}, false},
		"from the idle task":  {Signal{}, false},
	} {
		if got := c.s.Sender(); (got != nil) != c.sent || c.s.FromKernel() == c.sent {
			t.Errorf("%s: sender %+v", name, got)
		}
	}
}
