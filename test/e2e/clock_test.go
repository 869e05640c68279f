//go:build vm

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/test/lab"
	"github.com/oomwatch/oomwatch/test/real"
)

// atMidnight is an end of a day to which a leap second may be added.
var atMidnight = time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)

// Of adjtimex(2).
const (
	adjStatus = 0x0010
	staIns    = 0x0010
)

// TestClock does to the machine's clock what happens to one, under running containers: it
// is set on and back by hours, also while oomwatch is away, a leap second is added, the machine sleeps. Of two
// containers at each change one was started before it and is killed after it, the other
// lives in the time behind it. Each death is told once, by what it was and when; nothing
// else is told.
func TestClock(t *testing.T) {
	e := lab.Start(t, lab.Options{})
	hook := newReceiver(t)
	d := startDaemon(t, e.Host, hook)
	on := platform(t, e)
	stays := e.MustRun(t, "--name", "stays", lab.Image, "sleep", "100000")
	began := time.Now()
	t.Cleanup(func() { setClock(t, began.Round(0).Add(time.Since(began))) })

	var ids []string
	for _, x := range []struct {
		name   string
		change func(t *testing.T)
		away   bool // oomwatch does not run meanwhile
		sooner bool // the first is killed before the change
	}{
		{name: "clock-as-it-is", change: func(*testing.T) {}},
		{name: "clock-on-1h", change: setBy(time.Hour)},
		{name: "clock-back-1h", change: setBy(-time.Hour)},
		{name: "clock-back-2h", change: setBy(-2 * time.Hour)},
		{name: "clock-on-3h", change: setBy(3 * time.Hour)},
		{name: "clock-back-1h-away", change: setBy(-time.Hour), away: true},
		{name: "clock-back-2h-away", change: setBy(-2 * time.Hour), away: true, sooner: true},
		{name: "clock-on-4h-away", change: setBy(4 * time.Hour), away: true},
		{name: "leap-second", change: leapSecond},
		{name: "suspend", change: suspend},
	} {
		t.Run(x.name, func(t *testing.T) {
			over := strings.ReplaceAll(x.name, "-", "")
			before := e.MustRun(t, "--name", over+"before", "-m", "32m", lab.Image, "sh", "-c", gate+"exec tail /dev/zero")
			pid, err := e.MainPID(timeout(t, time.Minute), before)
			if err != nil {
				t.Fatal(err)
			}
			var died [2]time.Time
			dies := func(i int, id string) {
				if _, err := e.Wait(timeout(t, time.Minute), id); err != nil {
					t.Fatal(err)
				}
				died[i] = time.Now()
			}
			if x.away {
				d.stop(syscall.SIGTERM)
			}
			if x.sooner {
				open(t, pid)
				dies(0, before)
			}
			x.change(t)
			if !x.sooner {
				open(t, pid)
				dies(0, before)
			}
			after := e.MustRun(t, "--name", over+"after", "-m", "32m", lab.Image, "tail", "/dev/zero")
			dies(1, after)
			if x.away {
				d.start(t)
			}
			for i, id := range []string{before, after} {
				expect(t, on, hook, d, id, lab.Death{Name: x.name + []string{"-over-it", "-after-it"}[i], ExitCode: 137, Want: lab.Want{
					"cause": "oom.container", "confidence": "certain", "killer.kind": "kernel", "oom.limit_bytes": 32 << 20, "victim.comm": "tail"}})
				told := hook.of(id)
				if len(told) == 0 {
					continue
				}
				// By the clock on the wall as it stands now, whatever it showed then.
				died := time.Now().Round(0).Add(-time.Since(died[i]))
				if off := died.Sub(told[0].Time.Round(0)).Abs(); off > lab.Slow(20*time.Second) {
					t.Errorf("%s: it died at about %v and is told for %v, %v off", x.name, died, told[0].Time, off)
				}
			}
			ids = append(ids, before, after)
		})
	}
	once(t, hook, ids...)
	if got := hook.of(stays); len(got) != 0 {
		t.Errorf("what lives on is told %d times: %v", len(got), summaries(got))
	}
	hook.mu.Lock()
	defer hook.mu.Unlock()
	if len(hook.got) != len(ids) {
		t.Errorf("%d deaths, %d incidents: %v", len(ids), len(hook.got), summaries(hook.got))
	}
}

// setBy sets the wall clock on, or back where by is negative.
func setBy(by time.Duration) func(t *testing.T) {
	return func(t *testing.T) { setClock(t, time.Now().Add(by)) }
}

// setClock sets the wall clock.
func setClock(t *testing.T, at time.Time) {
	t.Helper()
	tv := syscall.NsecToTimeval(at.UnixNano())
	if err := syscall.Settimeofday(&tv); err != nil {
		t.Fatalf("set the clock: %v", err)
	}
}

// leapSecond has the kernel add a second to a day, and returns when the day is over.
func leapSecond(t *testing.T) {
	setClock(t, atMidnight.Add(-2*time.Second))
	if state, err := syscall.Adjtimex(&syscall.Timex{Modes: adjStatus, Status: staIns}); err != nil || state < 0 {
		t.Fatalf("add a leap second: %d, %v", state, err)
	}
	seen := false // 23:59:60, which the kernel tells as 23:59:59 once more
	for last := time.Now().Round(0); ; time.Sleep(time.Millisecond) {
		now := time.Now().Round(0)
		seen = seen || now.Before(last)
		if last = now; now.After(atMidnight.Add(time.Second)) {
			break
		}
	}
	if !seen {
		t.Error("the kernel added no second")
	}
	if _, err := syscall.Adjtimex(&syscall.Timex{Modes: adjStatus}); err != nil {
		t.Fatal(err)
	}
}

// suspend has the machine sleep, as far as its clock of hardware can wake it.
func suspend(t *testing.T) {
	const sleeps = 20 * time.Second
	b, err := os.ReadFile("/sys/power/state")
	if err != nil || !strings.Contains(string(b), "mem") {
		real.Missing(t, "this kernel cannot suspend: %q, %v", b, err)
	}
	if out, err := exec.Command("modprobe", "rtc_cmos").CombinedOutput(); err != nil {
		t.Fatalf("load the driver of the clock: %v: %s", err, out)
	}
	begun := time.Now()
	out, err := exec.CommandContext(timeout(t, 3*time.Minute), "rtcwake", "--mode", "mem", "--seconds", fmt.Sprint(int(sleeps.Seconds()))).CombinedOutput()
	if err != nil {
		t.Fatalf("suspend: %v: %s", err, out)
	}
	// The monotonic clock stands still meanwhile.
	slept := time.Now().Round(0).Sub(begun.Round(0)) - time.Since(begun)
	t.Logf("it slept for %v", slept)
	if slept < sleeps/2 {
		t.Errorf("the machine slept for %v, wanted about %v: %s", slept, sleeps, out)
	}
}
