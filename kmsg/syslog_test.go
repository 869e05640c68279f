package kmsg

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/oomwatch/oomwatch/test/real"
)

// fakeSyslog answers as syslog(2) does: the newest whole lines that fit.
type fakeSyslog struct{ lines []string }

func (k *fakeSyslog) read(b []byte) (int, error) {
	size, from := 0, len(k.lines)
	for from > 0 && size+len(k.lines[from-1]) <= len(b) {
		from--
		size += len(k.lines[from])
	}
	return copy(b, strings.Join(k.lines[from:], "")), nil
}

func (k *fakeSyslog) put(lines ...string) {
	for _, l := range lines {
		k.lines = append(k.lines, l+"\n")
	}
}

// toldBySyslog are the records that r has now, "live" for ErrCaughtUp.
func toldBySyslog(t *testing.T, r *SyslogReader) []string {
	t.Helper()
	r.next = time.Time{} // the poll is due
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Millisecond)
	defer cancel()
	var out []string
	for {
		rec, err := r.Next(ctx)
		switch {
		case errors.Is(err, ErrCaughtUp):
			out = append(out, "live")
			continue
		case errors.Is(err, context.DeadlineExceeded):
			return out
		case err != nil:
			t.Fatal(err)
		}
		s := fmt.Sprintf("%d.%d %v %s", rec.Facility, rec.Level, rec.Uptime, rec.Text)
		if rec.LostUnknown {
			s += " (behind a loss)"
		}
		out = append(out, s)
	}
}

func TestSyslogReader(t *testing.T) {
	const boot = "boot-1"
	fill := func(k *fakeSyslog, from, to int) {
		for i := from; i < to; i++ {
			k.put(fmt.Sprintf("<6>[%5d.%06d] filler %s", i, i, strings.Repeat("x", 60)))
		}
	}
	for _, tt := range []struct {
		name  string
		opt   ReaderOptions
		steps func(k *fakeSyslog, step int) bool
		want  []string
	}{
		{name: "the forms of a line", want: []string{
			"0.5 1.000002s plain", "0.3 3h25m45.678901s [Tainted: G] [not a caller] text", "0.6 1s with a caller", "0.6 0s printk.time=0", "0.4 0s [  abc] no stamp", "live"},
			steps: func(k *fakeSyslog, step int) bool {
				k.put("<5>[    1.000002] plain", "<3>[12345.678901][Tainted: G] [not a caller] text", "<6>[    1.000000][  T123] with a caller", "<6>printk.time=0", "<4>[  abc] no stamp", "rubbish")
				return step == 0
			}},
		{name: "what a program wrote keeps its facility", want: []string{"1.4 2s Killed process 1 (x)", "live"},
			steps: func(k *fakeSyslog, step int) bool {
				k.put("<12>[    2.000000] Killed process 1 (x)")
				return step == 0
			}},
		{name: "only what is new is told again", want: []string{"0.6 1s a", "live", "0.6 2s b", "0.6 2s b"},
			steps: func(k *fakeSyslog, step int) bool {
				switch step {
				case 0:
					k.put("<6>[    1.000000] a")
				case 1:
					k.put("<6>[    2.000000] b", "<6>[    2.000000] b")
				}
				return step < 3
			}},
		{name: "more between two polls than the first look holds", opt: ReaderOptions{Keep: func(b []byte) bool { return !strings.HasPrefix(string(b), "filler") }},
			want: []string{"0.6 1s a", "live", "0.6 2s b", "0.6 3s c"},
			steps: func(k *fakeSyslog, step int) bool {
				switch step {
				case 0:
					k.put("<6>[    1.000000] a")
				case 1:
					k.put("<6>[    2.000000] b")
					fill(k, 0, 2000)
					k.put("<6>[    3.000000] c")
				}
				return step < 2
			}},
		{name: "overwritten between two polls", opt: ReaderOptions{Keep: func(b []byte) bool { return string(b) == "c" }},
			want: []string{"live", "0.6 4s filler 4 (behind a loss)", "0.6 5s c"},
			steps: func(k *fakeSyslog, step int) bool {
				switch step {
				case 0:
					k.put("<6>[    1.000000] a")
				case 1:
					k.lines = nil
					k.put("<6>[    4.000000] filler 4", "<6>[    5.000000] c")
				}
				return step < 3
			}},
		{name: "resumed behind a stamp", opt: ReaderOptions{After: Position{BootID: boot, Seq: 77, Uptime: 2 * time.Second}},
			want: []string{"0.6 2s b", "0.6 3s c", "live"},
			steps: func(k *fakeSyslog, step int) bool {
				k.put("<6>[    1.000000] a", "<6>[    2.000000] b", "<6>[    3.000000] c")
				return step == 0
			}},
		{name: "resumed in another boot", opt: ReaderOptions{After: Position{BootID: "boot-0", Uptime: 9 * time.Second}},
			want: []string{"0.6 1s a", "live"},
			steps: func(k *fakeSyslog, step int) bool {
				k.put("<6>[    1.000000] a")
				return step == 0
			}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k := &fakeSyslog{}
			r := newSyslogReader(tt.opt, boot, k.read)
			var got []string
			for step := 0; tt.steps(k, step); step++ {
				got = append(got, toldBySyslog(t, r)...)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("records (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSyslogReaderPositionAndClose(t *testing.T) {
	k := &fakeSyslog{}
	k.put("<6>[    7.000001] a")
	r := newSyslogReader(ReaderOptions{}, "b", k.read)
	if p := r.Position(); !p.IsZero() {
		t.Errorf("position %+v before the first record", p)
	}
	toldBySyslog(t, r)
	if want := (Position{BootID: "b", Uptime: 7*time.Second + time.Microsecond}); r.Position() != want {
		t.Errorf("position %+v, want %+v", r.Position(), want)
	}
	got := make(chan error, 1)
	go func() {
		_, err := r.Next(context.Background())
		got <- err
	}()
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if err := <-got; !errors.Is(err, os.ErrClosed) {
		t.Errorf("Next said %v, want os.ErrClosed", err)
	}
}

// The same ring by both ways, record by record.
func TestSyslogReaderAgreesWithDevice(t *testing.T) {
	dev := openReal(t, ReaderOptions{})
	sys, err := OpenSyslog(ReaderOptions{})
	if err != nil {
		real.Missing(t, "%v", err)
	}
	defer sys.Close()
	type line struct {
		facility int16
		level    int8
		uptime   time.Duration
		text     string
	}
	byDevice := map[line]bool{}
	for _, rec := range readHistory(t, dev) {
		for text := range strings.SplitSeq(rec.Text, `\x0a`) {
			byDevice[line{rec.Facility, rec.Level, rec.Uptime, text}] = true
		}
	}
	compared := 0
	for {
		rec, err := sys.Next(t.Context())
		if errors.Is(err, ErrCaughtUp) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		l := line{rec.Facility, rec.Level, rec.Uptime, rec.Text}
		switch {
		case byDevice[l]:
			compared++
		case strings.ContainsFunc(l.text, func(r rune) bool { return r == '\\' || r < ' ' || r > '~' }):
			// The device escapes these.
		case compared > 0 && dev.Position().Uptime >= l.uptime:
			t.Errorf("the device does not tell %+v", l)
		}
	}
	if compared == 0 {
		t.Error("the two have no record in common")
	}
	t.Logf("%d records compared", compared)
}

// A real kill reaches who follows the ring without the device.
func TestSyslogReaderTellsKill(t *testing.T) {
	sys, err := OpenSyslog(ReaderOptions{Keep: Interesting})
	if err != nil {
		real.Missing(t, "%v", err)
	}
	defer sys.Close()
	for err == nil {
		_, err = sys.Next(t.Context())
	}
	if !errors.Is(err, ErrCaughtUp) {
		t.Fatal(err)
	}
	pid := newCgroup(t, 32<<20).kill(t)
	want := fmt.Sprintf("Killed process %d ", pid)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for {
		rec, err := sys.Next(ctx)
		if err != nil {
			t.Fatalf("%q is not told: %v", want, err)
		}
		if strings.Contains(rec.Text, want) && rec.Facility == 0 {
			if age := time.Since(rec.Time); age < 0 || age > 5*time.Second {
				t.Errorf("dated %v ago", age)
			}
			return
		}
	}
}

// Without the device the log is read all the same; without either, the device's
// refusal is told.
func TestOpenFallsBack(t *testing.T) {
	log, err := Open(ReaderOptions{})
	if err != nil {
		real.Missing(t, "%v", err)
	}
	if log.Way() != DefaultPath {
		t.Errorf("read by %s although there is the device", log.Way())
	}
	_ = log.Close()
	_, err = Open(ReaderOptions{Path: "/dev/null"})
	if !errors.As(err, new(*AccessError)) || errors.Is(err, unix.ENOENT) {
		t.Errorf("a device that was named is not replaced: %v", err)
	}
}
