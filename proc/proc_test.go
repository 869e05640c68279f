package proc

import (
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A process of our own is seen as it is: alive, then a zombie, then gone.
func TestOwnChild(t *testing.T) {
	cmd := exec.Command("sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid := cmd.Process.Pid
	find := func() *Task {
		all, err := Tasks(DefaultRoot)
		if err != nil {
			t.Fatal(err)
		}
		for i := range all {
			if all[i].PID == pid {
				return &all[i]
			}
		}
		return nil
	}
	if x := find(); x == nil || x.Parent != os.Getpid() || x.Zombie() {
		t.Fatalf("%+v", x)
	}
	if args, err := CommandLine(DefaultRoot, pid); err != nil || strings.Join(args, " ") != "sleep 1000" {
		t.Errorf("%q %v", args, err)
	}
	if st, err := ReadStatus(DefaultRoot, pid); err != nil || st.Comm != "sleep" || st.Caught&(1<<(syscall.SIGTERM-1)) != 0 {
		t.Errorf("%+v %v", st, err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		if x := find(); x != nil && x.Zombie() {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("no zombie is seen")
		}
	}
	_ = cmd.Wait() // it was killed
	if x := find(); x != nil {
		t.Errorf("it is still seen: %+v", x)
	}
}

func TestSelf(t *testing.T) {
	took := make(chan os.Signal, 1)
	signal.Notify(took, syscall.SIGUSR2)
	defer signal.Stop(took)
	st, err := ReadStatus(DefaultRoot, os.Getpid())
	if err != nil || st.Caught&(1<<(syscall.SIGUSR2-1)) == 0 {
		t.Errorf("%+v %v", st, err)
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if n, err := OpenFilesLimit(DefaultRoot, os.Getpid()); err != nil || uint64(n) != limit.Cur {
		t.Errorf("limit %d %v, want %d", n, err, limit.Cur)
	}
	before, err := OpenFiles(DefaultRoot, os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for range 7 {
		f, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
	}
	if after, err := OpenFiles(DefaultRoot, os.Getpid()); err != nil || after < before+7 {
		t.Errorf("%d open files after %d and 7 more: %v", after, before, err)
	}
}

func TestParseStat(t *testing.T) {
	for in, want := range map[string]Task{
		"4711 (some) name) Z 4700 4711": {Comm: "some) name", State: 'Z', Parent: 4700},
		"1 (init) S 0 1 1":              {Comm: "init", State: 'S'},
	} {
		if got, ok := parseStat([]byte(in)); !ok || got != want {
			t.Errorf("%q: %+v %v", in, got, ok)
		}
	}
	for _, in := range []string{"", "1", "1 (x", "1 x) S 2", "1 (x) S", "1 (x) SS 2", "1 (x) S a"} {
		if got, ok := parseStat([]byte(in)); ok {
			t.Errorf("%q: %+v", in, got)
		}
	}
}

func TestCounts(t *testing.T) {
	c, err := ReadCounts(DefaultRoot)
	if err != nil || c.Tasks < 1 || c.PIDMax < c.Tasks || c.ThreadsMax < c.Tasks || c.Files < 1 || c.FilesMax < c.Files {
		t.Errorf("%+v %v", c, err)
	}
}

func TestParseOpenFilesLimit(t *testing.T) {
	const head = "Limit                     Soft Limit           Hard Limit           Units\n"
	for in, want := range map[string]int64{
		head + "Max open files            1024                 524288               files\n":                    1024,
		head + "Max processes 1 2 x\nMax open files            unlimited            unlimited            files": Unlimited,
		head: 0, "Max open files": 0, "Max open files many": 0,
	} {
		if got, err := parseOpenFilesLimit(in); got != want || (err != nil) != (want == 0) {
			t.Errorf("%q: %d %v, want %d", in, got, err, want)
		}
	}
}
