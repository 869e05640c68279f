package kmsg

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/euank/go-kmsg-parser/kmsgparser"

	"github.com/oomwatch/oomwatch/test/real"
)

// The ring as another reader of it sees it, record by record.
func TestReaderAgreesWithKmsgParser(t *testing.T) {
	r := openReal(t, ReaderOptions{})
	ours := readHistory(t, r)
	if len(ours) == 0 {
		real.Missing(t, "the kernel log is empty")
	}
	parser, err := kmsgparser.NewParser()
	if err != nil {
		t.Fatal(err)
	}
	parser.SetLogger(quiet{})
	theirs := make(map[uint64]kmsgparser.Message)
	last := ours[len(ours)-1].Seq
	messages := parser.Parse()
	for m := range messages {
		theirs[uint64(m.SequenceNumber)] = m
		if uint64(m.SequenceNumber) >= last {
			break
		}
	}
	if err := parser.Close(); err != nil {
		t.Error(err)
	}
	for range messages { // until its goroutine is done
	}

	var base time.Duration
	compared := 0
	for i, rec := range ours {
		m, ok := theirs[rec.Seq]
		if !ok {
			// The ring moved on between the two: only the oldest may be gone.
			if compared > 0 {
				t.Errorf("record %d: not seen by kmsgparser", rec.Seq)
			}
			continue
		}
		if want := int(rec.Facility)<<3 | int(rec.Level); m.Priority != want {
			t.Errorf("record %d: priority %d, kmsgparser has %d", rec.Seq, want, m.Priority)
		}
		text, _, _ := strings.Cut(m.Message, "\n") // its message keeps the dictionary
		if rec.Text != text {
			t.Errorf("record %d: text %q, kmsgparser has %q", rec.Seq, rec.Text, text)
		}
		// Its boot time is cut to the second, so only differences are exact.
		at := m.Timestamp.Sub(time.Unix(0, 0)) - rec.Uptime
		if compared == 0 {
			base = at
		} else if at != base {
			t.Errorf("record %d: stamp differs by %v", rec.Seq, at-base)
		}
		if d := rec.Time.Sub(m.Timestamp).Abs(); d > 2*time.Second {
			t.Errorf("record %d: time %v, kmsgparser has %v", rec.Seq, rec.Time, m.Timestamp)
		}
		if i > 0 && rec.Seq != ours[i-1].Seq+1+rec.Lost {
			t.Errorf("record %d after %d, lost %d", rec.Seq, ours[i-1].Seq, rec.Lost)
		}
		compared++
	}
	if compared == 0 {
		t.Error("the two have no record in common")
	}
	t.Logf("%d records compared", compared)
}

type quiet struct{}

func (quiet) Warningf(string, ...any) {}
func (quiet) Infof(string, ...any)    {}
func (quiet) Errorf(string, ...any)   {}

// Resuming tells exactly what came after.
func TestReaderResumes(t *testing.T) {
	r := openReal(t, ReaderOptions{})
	all := readHistory(t, r)
	if len(all) < 2 {
		real.Missing(t, "the kernel log has only %d records", len(all))
	}
	middle := all[len(all)/2]
	again := openReal(t, ReaderOptions{After: Position{BootID: r.BootID(), Seq: middle.Seq}})
	rest := readHistory(t, again)
	if len(rest) == 0 || rest[0].Seq != middle.Seq+1+rest[0].Lost {
		t.Fatalf("resumed behind %d at %+v", middle.Seq, rest[:min(1, len(rest))])
	}
	s := again.Stats()
	if s.First != middle.Seq+1 || s.Read != uint64(len(rest)) || s.Read+s.Lost != s.Last-s.First+1 {
		t.Errorf("stats %+v for %d records", s, len(rest))
	}
	none := openReal(t, ReaderOptions{After: again.Position()})
	for _, rec := range readHistory(t, none) {
		if rec.Seq <= s.Last {
			t.Errorf("record %d was told again", rec.Seq)
		}
	}
}

// follower reads the live log and keeps what holds a mark.
type follower struct {
	mu  sync.Mutex
	got []Record
	at  []time.Time
}

func follow(t *testing.T, ctx context.Context, r *Reader, mark string) *follower {
	t.Helper()
	f := &follower{}
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(ctx)
	wg.Go(func() {
		for {
			rec, err := r.Next(ctx)
			if err != nil {
				if !errors.Is(err, context.Canceled) && !errors.Is(err, os.ErrClosed) {
					t.Errorf("follow: %v", err)
				}
				return
			}
			if strings.Contains(rec.Text, mark) {
				f.mu.Lock()
				f.got, f.at = append(f.got, *rec), append(f.at, time.Now())
				f.mu.Unlock()
			}
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
	return f
}

func (f *follower) records() []Record {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.got
}

// What a program writes is told apart from what the kernel prints, whatever
// facility it claims, and is dated between its writing and its reading.
func TestReaderForgedRecord(t *testing.T) {
	mark := fmt.Sprintf("oomwatch-test-%d-%d", os.Getpid(), time.Now().UnixNano())
	r := openReal(t, ReaderOptions{})
	readHistory(t, r)
	f := follow(t, context.Background(), r, mark)
	before := r.Stats().Forged
	text := "Memory cgroup out of memory: Killed process 1 (" + mark + ") total-vm:1kB, anon-rss:1kB"
	start := time.Now()
	writeKmsg(t, "<3>"+text, func() bool { return len(f.records()) > 0 })
	got := f.records()[0]
	if got.Facility != 1 || got.Level != 3 || got.Text != text {
		t.Errorf("read back %+v", got)
	}
	if r.Stats().Forged <= before {
		t.Error("not counted as forged")
	}
	const slack = time.Millisecond // the log clock may have drifted since it was measured
	if got.Time.Before(start.Add(-slack)) || got.Time.After(f.at[0]) {
		t.Errorf("written after %v and read at %v, dated %v", start, f.at[0], got.Time)
	}
	if got.Time.Nanosecond()%1000 != 0 {
		t.Errorf("time %v is finer than the kernel's stamp", got.Time)
	}
}

// Records that nobody wants cost nothing.
func TestReaderAllocatesNothing(t *testing.T) {
	r := openReal(t, ReaderOptions{Keep: func([]byte) bool { return false }})
	ctx := context.Background()
	read := uint64(0)
	round := func() {
		if _, err := r.f.Seek(0, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		r.count = newCounter(Position{}, "")
		r.live.Store(false)
		for {
			_, err := r.Next(ctx)
			if err == ErrCaughtUp {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		read = r.Stats().Read - r.Stats().Lost
	}
	allocs := testing.AllocsPerRun(10, round)
	if read == 0 {
		real.Missing(t, "the kernel log is empty")
	}
	if allocs != 0 {
		t.Errorf("%v allocations for %d records", allocs, read)
	}
}

func BenchmarkReaderSkip(b *testing.B) { benchmarkRing(b, func([]byte) bool { return false }) }

func BenchmarkReaderInteresting(b *testing.B) { benchmarkRing(b, Interesting) }

func BenchmarkReaderAll(b *testing.B) { benchmarkRing(b, nil) }

// benchmarkRing reads the whole ring over and over.
func benchmarkRing(b *testing.B, keep func([]byte) bool) {
	b.ReportAllocs()
	var records uint64
	for b.Loop() {
		r := openReal(b, ReaderOptions{Keep: keep})
		for {
			if _, err := r.Next(context.Background()); err == ErrCaughtUp {
				break
			} else if err != nil {
				b.Fatal(err)
			}
		}
		records += r.Stats().Read
		if err := r.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(records), "ns/record")
}
