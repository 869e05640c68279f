package kmsg

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// fakeRing stands in for the device: a socket that keeps records apart and is
// waited for as the device is.
type fakeRing struct {
	t  testing.TB
	fd int
}

func newFakeRing(t testing.TB, opt ReaderOptions, boot string) (fakeRing, *Reader) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	r, err := newReader(os.NewFile(uintptr(fds[0]), "fake kmsg"), opt)
	if err != nil {
		t.Fatal(err)
	}
	r.bootID = func() (string, error) { return boot, nil }
	r.boot = boot
	r.count = newCounter(opt.After, boot)
	t.Cleanup(func() {
		_ = r.Close()
		_ = unix.Close(fds[1])
	})
	return fakeRing{t, fds[1]}, r
}

func (k fakeRing) put(records ...string) {
	k.t.Helper()
	for _, rec := range records {
		if _, err := unix.Write(k.fd, []byte(rec)); err != nil {
			k.t.Fatal(err)
		}
	}
}

// told reads what is there and renders it: seq, +lost, text.
func told(t testing.TB, r *Reader) []string {
	t.Helper()
	var out []string
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	for {
		rec, err := r.Next(ctx)
		switch {
		case errors.Is(err, ErrCaughtUp):
			return append(out, "live")
		case errors.Is(err, context.DeadlineExceeded):
			return out
		case err != nil:
			t.Fatal(err)
		}
		s := fmt.Sprintf("%d %s", rec.Seq, rec.Text)
		if rec.Lost > 0 {
			s += fmt.Sprintf(" (lost %d)", rec.Lost)
		}
		out = append(out, s)
	}
}

func TestReaderSequence(t *testing.T) {
	const boot = "boot-1"
	tests := []struct {
		name  string
		opt   ReaderOptions
		ring  []string
		want  []string
		stats ReaderStats
		pos   Position
	}{
		{
			name:  "from the oldest",
			ring:  []string{"6,7,1,-;a\n", "6,8,2,-;b\n"},
			want:  []string{"7 a", "8 b", "live"},
			stats: ReaderStats{Read: 2, Span: 2, First: 7, Last: 8},
			pos:   Position{BootID: boot, Seq: 8},
		},
		{
			name:  "a gap",
			ring:  []string{"6,7,1,-;a\n", "6,12,2,-;b\n"},
			want:  []string{"7 a", "12 b (lost 4)", "live"},
			stats: ReaderStats{Read: 2, Lost: 4, Span: 6, First: 7, Last: 12},
			pos:   Position{BootID: boot, Seq: 12},
		},
		{
			name:  "a gap before a record nobody wants is told all the same",
			opt:   ReaderOptions{Keep: func(b []byte) bool { return string(b) == "keep" }},
			ring:  []string{"6,7,1,-;a\n", "6,12,2,-;b\n", "6,13,2,-;keep\n"},
			want:  []string{"12 b (lost 4)", "13 keep", "live"},
			stats: ReaderStats{Read: 3, Lost: 4, Span: 7, First: 7, Last: 13},
			pos:   Position{BootID: boot, Seq: 13},
		},
		{
			name: "a fragment goes with the record it continues",
			opt:  ReaderOptions{Keep: func(b []byte) bool { return string(b) == "keep" }},
			ring: []string{"6,1,1,-;keep\n", "4,2,1,c;rest\n", "4,3,1,c;more\n", "6,4,1,-;x\n", "6,5,1,c;y\n"},
			want: []string{"1 keep", "2 rest", "3 more", "live"},
			stats: ReaderStats{
				Read: 5, Span: 5, First: 1, Last: 5,
			},
			pos: Position{BootID: boot, Seq: 5},
		},
		{
			name:  "resumed: what was read is not told again",
			opt:   ReaderOptions{After: Position{BootID: boot, Seq: 8}},
			ring:  []string{"6,7,1,-;a\n", "6,8,2,-;b\n", "6,9,3,-;c\n"},
			want:  []string{"9 c", "live"},
			stats: ReaderStats{Read: 1, Span: 1, First: 9, Last: 9},
			pos:   Position{BootID: boot, Seq: 9},
		},
		{
			name:  "resumed behind record 0",
			opt:   ReaderOptions{After: Position{BootID: boot, Seq: 0}},
			ring:  []string{"6,0,1,-;a\n", "6,1,2,-;b\n"},
			want:  []string{"1 b", "live"},
			stats: ReaderStats{Read: 1, Span: 1, First: 1, Last: 1},
			pos:   Position{BootID: boot, Seq: 1},
		},
		{
			name:  "resumed behind a stamp: the record that has it is told again",
			opt:   ReaderOptions{After: Position{BootID: boot, Uptime: 2 * time.Microsecond}},
			ring:  []string{"6,7,1,-;a\n", "6,8,2,-;b\n", "6,9,3,-;c\n"},
			want:  []string{"8 b", "9 c", "live"},
			stats: ReaderStats{Read: 2, Span: 2, First: 8, Last: 9},
			pos:   Position{BootID: boot, Seq: 9},
		},
		{
			name:  "resumed, nothing new",
			opt:   ReaderOptions{After: Position{BootID: boot, Seq: 8}},
			ring:  []string{"6,7,1,-;a\n", "6,8,2,-;b\n"},
			want:  []string{"live"},
			stats: ReaderStats{First: 9},
			pos:   Position{BootID: boot, Seq: 8},
		},
		{
			name:  "resumed after the ring went over it",
			opt:   ReaderOptions{After: Position{BootID: boot, Seq: 8}},
			ring:  []string{"6,20,1,-;a\n", "6,21,2,-;b\n"},
			want:  []string{"20 a (lost 11)", "21 b", "live"},
			stats: ReaderStats{Read: 2, Lost: 11, Span: 13, First: 9, Last: 21},
			pos:   Position{BootID: boot, Seq: 21},
		},
		{
			name:  "resumed in a new boot: all of it is new",
			opt:   ReaderOptions{After: Position{BootID: "boot-0", Seq: 900}},
			ring:  []string{"6,0,1,-;a\n", "6,1,2,-;b\n"},
			want:  []string{"0 a", "1 b", "live"},
			stats: ReaderStats{Read: 2, Span: 2, First: 0, Last: 1},
			pos:   Position{BootID: boot, Seq: 1},
		},
		{
			name:  "resumed in a new boot whose first records are gone",
			opt:   ReaderOptions{After: Position{BootID: "boot-0", Seq: 900}},
			ring:  []string{"6,3,1,-;a\n"},
			want:  []string{"3 a (lost 3)", "live"},
			stats: ReaderStats{Read: 1, Lost: 3, Span: 4, First: 0, Last: 3},
			pos:   Position{BootID: boot, Seq: 3},
		},
		{
			name:  "the sequence goes back",
			ring:  []string{"6,100,1,-;a\n", "6,3,2,-;b\n", "6,4,2,-;c\n"},
			want:  []string{"100 a", "3 b", "4 c", "live"},
			stats: ReaderStats{Read: 3, Span: 3, First: 3, Last: 4, Reanchored: 1},
			pos:   Position{BootID: boot, Seq: 4},
		},
		{
			name:  "what is no record is passed over, and missing",
			ring:  []string{"6,1,1,-;a\n", "rubbish", "6,3,1,-;c\n"},
			want:  []string{"1 a", "3 c (lost 1)", "live"},
			stats: ReaderStats{Read: 2, Lost: 1, Span: 3, First: 1, Last: 3, Malformed: 1},
			pos:   Position{BootID: boot, Seq: 3},
		},
		{
			name: "a forgery is counted and keeps its facility",
			ring: []string{
				"11,1,1,-;Memory cgroup out of memory: Killed process 1 (init) total-vm:1kB\n",
				"3,2,1,-;Memory cgroup out of memory: Killed process 2 (x) total-vm:1kB\n",
				"12,3,1,-;systemd[1]: hello\n",
			},
			want: []string{
				"1 Memory cgroup out of memory: Killed process 1 (init) total-vm:1kB",
				"2 Memory cgroup out of memory: Killed process 2 (x) total-vm:1kB",
				"3 systemd[1]: hello", "live",
			},
			stats: ReaderStats{Read: 3, Span: 3, First: 1, Last: 3, Forged: 1},
			pos:   Position{BootID: boot, Seq: 3},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k, r := newFakeRing(t, tt.opt, boot)
			if got := r.Position(); got != tt.opt.After {
				t.Errorf("before the first record the position is %v, want %v", got, tt.opt.After)
			}
			k.put(tt.ring...)
			if diff := cmp.Diff(tt.want, told(t, r)); diff != "" {
				t.Errorf("records (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.stats, r.Stats()); diff != "" {
				t.Errorf("stats (-want +got):\n%s", diff)
			}
			got := r.Position()
			if got.Uptime = 0; got != tt.pos {
				t.Errorf("position %v, want %v", got, tt.pos)
			}
			if !r.Live() {
				t.Error("not live although caught up")
			}
		})
	}
}

func TestReaderTellsCaughtUpOnce(t *testing.T) {
	k, r := newFakeRing(t, ReaderOptions{}, "b")
	k.put("6,1,1,-;old\n")
	if r.Live() {
		t.Error("live before anything was read")
	}
	if diff := cmp.Diff([]string{"1 old", "live"}, told(t, r)); diff != "" {
		t.Error(diff)
	}
	k.put("6,2,1,-;new\n")
	if diff := cmp.Diff([]string{"2 new"}, told(t, r)); diff != "" {
		t.Error(diff)
	}
}

// A long record is not an end of the stream.
func TestReaderGrowsItsBuffer(t *testing.T) {
	_, r := newFakeRing(t, ReaderOptions{}, "b")
	r.buf = make([]byte, 16)
	small := true
	r.readOnce = func(uintptr) bool {
		r.n, r.readErr = 0, unix.EAGAIN
		if len(r.buf) < 64 {
			r.readErr = unix.EINVAL
		} else if small {
			small = false
			r.n, r.readErr = copy(r.buf, "6,1,1,-;a record of more than 16 bytes\n"), nil
		}
		return true
	}
	if diff := cmp.Diff([]string{"1 a record of more than 16 bytes", "live"}, told(t, r)); diff != "" {
		t.Error(diff)
	}
}

// EPIPE carries no count: the records after it do.
func TestReaderGoesOnAfterOverrun(t *testing.T) {
	_, r := newFakeRing(t, ReaderOptions{}, "b")
	script := []any{"6,1,1,-;a\n", unix.EPIPE, "6,9,1,-;b\n", unix.EINTR, "6,10,1,-;c\n"}
	r.readOnce = func(uintptr) bool {
		r.n, r.readErr = 0, unix.EAGAIN
		if len(script) > 0 {
			switch v := script[0].(type) {
			case string:
				r.n, r.readErr = copy(r.buf, v), nil
			case unix.Errno:
				r.readErr = v
			}
			script = script[1:]
		}
		return true
	}
	if diff := cmp.Diff([]string{"1 a", "9 b (lost 7)", "10 c", "live"}, told(t, r)); diff != "" {
		t.Error(diff)
	}
	want := ReaderStats{Read: 3, Lost: 7, Span: 10, First: 1, Last: 10, Overruns: 1}
	if diff := cmp.Diff(want, r.Stats()); diff != "" {
		t.Error(diff)
	}
}

func TestReaderStopsWhenTold(t *testing.T) {
	defer goleak.VerifyNone(t)
	r := openReal(t, ReaderOptions{Keep: func([]byte) bool { return false }})
	readHistory(t, r)

	wait := func(ctx context.Context) chan error {
		got := make(chan error, 1)
		go func() {
			_, err := r.Next(ctx)
			for err == nil { // a record that tells a gap
				_, err = r.Next(ctx)
			}
			got <- err
		}()
		return got
	}
	within := func(got chan error) error {
		select {
		case err := <-got:
			return err
		case <-time.After(10 * time.Second):
			t.Fatal("Next did not return")
			return nil
		}
	}

	for range 50 { // the end of one context must not end the next one's wait
		ctx, cancel := context.WithCancel(context.Background())
		got := wait(ctx)
		cancel()
		if err := within(got); !errors.Is(err, context.Canceled) {
			t.Fatalf("cancelled: %v", err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if err := within(wait(ctx)); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("deadline: %v", err)
	}

	got := wait(context.Background())
	time.Sleep(20 * time.Millisecond) // let it wait; should it not yet, the result is the same
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if err := within(got); !errors.Is(err, os.ErrClosed) {
		t.Fatalf("closed: %v", err)
	}
	if _, err := r.Next(context.Background()); !errors.Is(err, os.ErrClosed) {
		t.Fatalf("after Close: %v", err)
	}
}
