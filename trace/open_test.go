package trace

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestRefusalsSayWhatToDo(t *testing.T) {
	there := func(string) bool { return true }
	root := facts{there: there}
	for _, c := range []struct {
		name        string
		err         error
		f           facts
		reason, fix string
	}{
		{"not mounted", unix.ENOENT, root, "not mounted", "mount -t tracefs tracefs /sys/kernel/tracing"},
		{"not mounted, container", unix.ENOENT, facts{there: there, container: true}, "not mounted", "-v /sys/kernel/tracing:/sys/kernel/tracing"},
		{"no directory", unix.ENOENT, facts{there: func(string) bool { return false }}, "no such directory", "CONFIG_TRACING"},
		{"user", unix.EACCES, facts{uid: 1000, there: there}, "uid 1000 lacks CAP_DAC_OVERRIDE", "AmbientCapabilities=CAP_DAC_OVERRIDE"},
		{"policy", unix.EACCES, root, "AppArmor", "apparmor=unconfined"},
		{"policy, user with the right", unix.EACCES, facts{uid: 1000, override: true, there: there}, "AppArmor", "apparmor=unconfined"},
		{"lockdown", unix.EPERM, facts{lockdown: true, there: there}, "locked down", "lockdown=integrity"},
		{"not mounted, pod", unix.ENOENT, facts{there: there, container: true, pod: true}, "not mounted in this pod", "hostPath"},
		{"read-only, pod", unix.EROFS, facts{there: there, pod: true}, "read-only", "writable at /host/tracing"},
		{"policy, pod", unix.EACCES, facts{there: there, pod: true}, "AppArmor", "seLinuxOptions"},
		{"lockdown, pod", unix.EPERM, facts{lockdown: true, there: there, pod: true}, "locked down", "lockdown=integrity"},
		{"read-only", unix.EROFS, root, "read-only", "remount,rw"},
		{"memory", unix.ENOMEM, root, "no memory", "try again"},
		{"anything else", unix.EIO, root, "input/output error", "ls /t/instances"},
	} {
		e := explain("/t", &fs.PathError{Op: "mkdir", Path: "/t/instances/x", Err: c.err}, c.f)
		if !strings.Contains(e.Reason, c.reason) || !strings.Contains(e.Fix, c.fix) {
			t.Errorf("%s: %v; want %q and %q", c.name, e, c.reason, c.fix)
		}
		if !errors.Is(e, c.err) {
			t.Errorf("%s: %v does not carry %v", c.name, e, c.err)
		}
	}
}

// TestMounted finds tracefs wherever it is mounted as a whole, as a pod may not write below
// /sys.
func TestMounted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mountinfo")
	text := "30 23 0:27 / /proc rw - proc proc rw\n31 29 0:12 / /host/tracing rw,nosuid shared:4 - tracefs tracefs rw\n32 29 0:12 /instances /part rw - tracefs tracefs rw\n33\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := mounted(path); !slices.Equal(got, []string{"/host/tracing"}) {
		t.Errorf("%v", got)
	}
	if got := mounted("/none"); got != nil {
		t.Errorf("without a list: %v", got)
	}
}

func TestOpenWhereNothingIsMounted(t *testing.T) {
	for name, root := range map[string]string{
		"empty":   t.TempDir(),
		"missing": filepath.Join(t.TempDir(), "no"),
	} {
		_, err := Open(Options{Root: root})
		var refused *AccessError
		if !errors.As(err, &refused) || refused.Path != root || !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOptionsThatAreRefused(t *testing.T) {
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "instances"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, opt := range map[string]Options{
		"signal 0":  {Signals: []syscall.Signal{0}},
		"signal 65": {Signals: []syscall.Signal{65}},
		"no signal": {Signals: []syscall.Signal{}},
		"a path":    {Name: "../x"},
		"a parent":  {Name: ".."},
	} {
		opt.Root = root
		if in, err := Open(opt); err == nil {
			t.Errorf("%s: opened %+v", name, in)
		}
	}
	// What cannot be set up is taken back.
	if _, err := Open(Options{Root: root, Name: "x"}); err == nil {
		t.Error("opened what is no tracefs")
	}
	if left, err := os.ReadDir(filepath.Join(root, "instances")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestLeftoversAreRemovedAndTheLivingKept(t *testing.T) {
	instances := t.TempDir()
	for _, name := range []string{"oomwatch-1", "oomwatch-22-2", "oomwatch-alive", "another"} {
		if err := os.Mkdir(filepath.Join(instances, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	// Held by another open of it, as by another process.
	alive, err := hold(filepath.Join(instances, "oomwatch-alive"))
	if err != nil {
		t.Fatal(err)
	}
	defer alive.Close()
	got, err := removeLeftovers(instances)
	if err != nil || !slices.Equal(got, []string{"oomwatch-1", "oomwatch-22-2"}) {
		t.Errorf("removed %v, %v", got, err)
	}
	if _, _, err := create(instances, "oomwatch-alive"); !errors.Is(err, errHeld) {
		t.Errorf("made one that is in use: %v", err)
	}
	// One that nobody has is made anew; the default name gives way.
	if _, lock, err := create(instances, "another"); err != nil {
		t.Errorf("nobody's: %v", err)
	} else {
		lock.Close()
	}
	first, lock1, err := create(instances, "")
	if err != nil {
		t.Fatal(err)
	}
	defer lock1.Close()
	second, lock2, err := create(instances, "")
	if err != nil {
		t.Fatal(err)
	}
	defer lock2.Close()
	if first == second {
		t.Errorf("two of one name: %s", first)
	}
}

func TestSignalFilter(t *testing.T) {
	got, err := signalFilter([]syscall.Signal{9, 15})
	if got != "sig==9||sig==15" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	all, err := signalFilter(DefaultSignals())
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{1, 2, 3, 4, 6, 7, 8, 9, 11, 15, 24, 25, 31} {
		if !strings.Contains("||"+all+"||", fmt.Sprintf("||sig==%d||", n)) {
			t.Errorf("signal %d is not in %q", n, all)
		}
	}
}

func TestCPUStats(t *testing.T) {
	got, err := parseCPUStats("entries: 3\noverrun: 12\ncommit overrun: 2\nbytes: 104\noldest event ts:  4409.082153\nnow ts:  4409.095789\ndropped events: 5\nread events: 9\n")
	if got != (cpuStats{overrun: 12, dropped: 7}) || err != nil {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range []string{"", "entries: 3\n", "overrun: x\n"} {
		if got, err := parseCPUStats(bad); err == nil {
			t.Errorf("%q: %+v", bad, got)
		}
	}
}

func TestPace(t *testing.T) {
	var p pace
	now := time.Unix(1000, 0)
	for i := range roundBurst + 1 {
		if d := p.take(now); d != 0 {
			t.Fatalf("round %d of a burst waits %v", i, d)
		}
	}
	for i := 1; i <= 3; i++ {
		if d := p.take(now); d != time.Duration(i)*roundGap {
			t.Errorf("round %d after the burst waits %v", i, d)
		}
	}
	if d := p.take(now.Add(time.Hour)); d != 0 {
		t.Errorf("after an hour it waits %v", d)
	}
	if d := p.take(now.Add(time.Hour + roundGap)); d != 0 {
		t.Errorf("the second after an hour waits %v", d)
	}
}
