package kmsg

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	"github.com/oomwatch/oomwatch/kmsg/internal/makelog"
)

// searchAll reads a log as a large one is read: by anchors, in chunks.
func searchAll(t testing.TB, log []byte, chunk int, inOrder bool) string {
	t.Helper()
	opt := caseOptions()
	opt.defaults()
	var b strings.Builder
	p := pipeline{name: "case", opt: &opt, search: true, seen: new(seenKills), yield: func(g *region) error {
		return each(g, func(e *Event) error {
			writeEvent(&b, e)
			return nil
		})
	}}
	p.src = &fileSource{f: bytes.NewReader(log), n: int64(len(log)), chunk: int64(chunk)}
	if inOrder {
		p.src = &streamSource{r: iotest.HalfReader(bytes.NewReader(log)), chunk: chunk}
	}
	if err := p.run(context.Background()); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// lineByLine reads a log without the search, in one piece.
func lineByLine(t testing.TB, log []byte) string {
	t.Helper()
	s := tellAll(t, bytes.NewReader(log))
	return s[:strings.LastIndex(strings.TrimSuffix(s, "\n"), "\n")+1]
}

// TestSearchTellsTheSame compares the search for anchors with reading every
// line, for every case, between noise, and cut into chunks of any size.
func TestSearchTellsTheSame(t *testing.T) {
	noise := strings.Repeat("Mar 10 10:33:01 db3 kernel: docker0: port 2(veth380a1cd) entered disabled state\n", 60)
	for _, name := range caseFiles(t) {
		_, log, _ := readCase(t, name)
		log = append(append([]byte(noise), log...), noise...)
		want := lineByLine(t, log)
		for _, chunk := range []int{700, 3000, 10000, 1 << 20} {
			if d := cmp.Diff(want, searchAll(t, log, chunk, false)); d != "" {
				t.Errorf("%s in chunks of %d (-line by line +searched):\n%s", filepath.Base(name), chunk, d)
				break
			}
		}
		if d := cmp.Diff(want, searchAll(t, log, 5000, true)); d != "" {
			t.Errorf("%s as a stream (-line by line +searched):\n%s", filepath.Base(name), d)
		}
	}
}

func made(t testing.TB, size int64, episodes int) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := makelog.Write(&b, size, episodes, 3); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestMadeLog reads a made-up log, whose number of kills is known, in chunks
// that cut episodes everywhere.
func TestMadeLog(t *testing.T) {
	log := made(t, 3<<20, 400)
	want := lineByLine(t, log)
	if n := strings.Count(want, "  kill "); n != 400+100 {
		t.Fatalf("%d kills told, want 500", n)
	}
	for _, chunk := range []int{2 << 10, 9 << 10, 64 << 10, 256 << 10} {
		if got := searchAll(t, log, chunk, false); got != want {
			t.Errorf("chunks of %d tell something else: %d bytes against %d", chunk, len(got), len(want))
		}
	}
}

func TestRenderKeepsTheOrder(t *testing.T) {
	name := filepath.Join(t.TempDir(), "kern.log")
	log := made(t, 6<<20, 800)
	if err := os.WriteFile(name, log, 0o600); err != nil {
		t.Fatal(err)
	}
	line := func(b []byte, e *Event) []byte {
		for _, k := range e.Episode.Kills {
			b = fmt.Appendf(b, "%v %d %q %s %d\n", k.Uptime, k.PID, k.Comm, e.Episode.TaskMemcg, len(e.Episode.Tasks))
		}
		return b
	}
	var want []byte
	st, err := ScanFiles(context.Background(), []string{name}, caseOptions(), func(e *Event) error {
		want = line(want, e)
		return nil
	})
	if err != nil || st.Kills != 1000 || st.Bytes != int64(len(log)) {
		t.Fatalf("%d kills in %d bytes, error %v; want 1000 in %d", st.Kills, st.Bytes, err, len(log))
	}
	var got bytes.Buffer
	if _, err := ScanRender(context.Background(), []string{name}, caseOptions(), line, &got); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Errorf("ScanRender wrote %d bytes, ScanFiles told %d", got.Len(), len(want))
	}
}

func TestCompressedAndRotated(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, b []byte) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	kill := func(stamp string, pid int) []byte {
		return fmt.Appendf(nil, "%s db3 kernel: Out of memory: Killed process %d (x) total-vm:8kB, anon-rss:4kB, file-rss:0kB, shmem-rss:0kB\n", stamp, pid)
	}
	var gz bytes.Buffer
	z := gzip.NewWriter(&gz)
	if _, err := z.Write(kill("Mar  1 10:00:00", 1)); err != nil {
		t.Fatal(err)
	}
	z.Close()
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{
		write("kern.log", kill("Mar 10 10:00:00", 3)),
		write("kern.log.2.gz", gz.Bytes()),
		write("kern.log.1", enc.EncodeAll(kill("Mar  5 10:00:00", 2), nil)),
	}
	var pids []int
	opt := caseOptions()
	opt.Year = 2026
	if _, err := ScanFiles(context.Background(), names, opt, func(e *Event) error {
		pids = append(pids, e.Episode.Kills[0].PID)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]int{1, 2, 3}, pids); d != "" {
		t.Errorf("order of rotated files (-want +got):\n%s", d)
	}
	cut := write("cut.gz", gz.Bytes()[:gz.Len()-6])
	if _, err := ScanFiles(context.Background(), []string{cut}, opt, func(*Event) error { return nil }); err == nil {
		t.Error("a cut gzip file was read without an error")
	}
}

func TestOverlappingFilesTellAKillOnce(t *testing.T) {
	_, log, _ := readCase(t, "testdata/cases/prefix-syslog.txt")
	dir := t.TempDir()
	var names []string
	for _, n := range []string{"kern.log", "messages"} {
		names = append(names, filepath.Join(dir, n))
		if err := os.WriteFile(names[len(names)-1], log, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	st, err := ScanFiles(context.Background(), names, caseOptions(), func(*Event) error { return nil })
	if err != nil || st.Kills != 1 {
		t.Errorf("%d kills in two files that hold the same one, error %v", st.Kills, err)
	}
}

func TestScanStops(t *testing.T) {
	log := made(t, 8<<20, 1000)
	name := filepath.Join(t.TempDir(), "kern.log")
	if err := os.WriteFile(name, log, 0o600); err != nil {
		t.Fatal(err)
	}
	want := errors.New("enough")
	n := 0
	_, err := ScanFiles(context.Background(), []string{name}, caseOptions(), func(*Event) error {
		n++
		return want
	})
	if !errors.Is(err, want) || n != 1 {
		t.Errorf("error %v after %d events, want %v after 1", err, n, want)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := ScanFiles(ctx, []string{name}, caseOptions(), func(*Event) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
	if _, err := Scan(context.Background(), iotest.ErrReader(want), "x", caseOptions(), func(*Event) error { return nil }); !errors.Is(err, want) {
		t.Errorf("error %v of a log that cannot be read, want %v", err, want)
	}
}

// endless repeats a text up to a size.
type endless struct {
	text string
	left int
	at   int
}

func (e *endless) Read(b []byte) (int, error) {
	if e.left == 0 {
		return 0, io.EOF
	}
	n := min(len(b), e.left)
	for i := range n {
		b[i] = e.text[(e.at+i)%len(e.text)]
	}
	e.at += n
	e.left -= n
	return n, nil
}

// TestHostileSizes reads what is made to be slow or large: it must end, in
// memory that does not grow with the log.
func TestHostileSizes(t *testing.T) {
	const size = 24 << 20
	long := strings.Repeat("x", 3000)
	for name, text := range map[string]string{
		"one line":          "a line without an end ",
		"NULs":              "\x00",
		"bytes":             "\x93\xfe\x01k\x80\xc3(\x9f\x00\x1b",
		"summaries":         "oom-kill:",
		"summaries, lines":  "oom-kill:constraint=CONSTRAINT_MEMCG,oom_memcg=/a,task_memcg=/a,task=b,task=b,\n",
		"paths":             "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null)" + strings.Repeat(",oom_memcg=/a,task_memcg=/a", 300) + ",task=x,pid=3,uid=0\n",
		"kills":             "Killed process 1 (",
		"kills of one name": "[ 1.000001] Killed process 12 (" + strings.Repeat(") total-vm:", 200) + "1kB\n",
		"headers":           "x invoked oom-killer: gfp_mask=0, order=0\n",
		"rows":              "[  pid  ]   uid  tgid total_vm      rss pgtables_bytes swapents oom_score_adj name\n" + strings.Repeat("[      1]     0     1        1        1        1        1             0 x\n", 50000),
		"continuations":     "[ 1.000001] Memory cgroup stats for /a:\n" + strings.Repeat("             anon 1\n", 50000),
		"entries":           "MESSAGE\n\xff\xff\xff\x00\x00\x00\x00\x00oom-kill:\n",
		"objects":           "{\"MESSAGE\":[" + strings.Repeat("1,", 2000) + "1]}\n",
		"open object":       "\"MESSAGE\" : [\n" + strings.Repeat("\t\t1,\n", 4000),
		"wrapped":           "Out of memory: Killed\n" + long + "\n",
		"faults":            "x[1]: segfault at 0 ip 0 sp 0 error 4 in [[[[[[[[[[[[\n",
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			start := time.Now()
			st, err := Scan(context.Background(), &endless{text: text, left: size}, "hostile", caseOptions(), func(*Event) error { return nil })
			if err != nil || st.Bytes != int64(size) {
				t.Errorf("read %d bytes, error %v; want %d", st.Bytes, err, size)
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			if grown := int64(after.Sys) - int64(before.Sys); grown > 192<<20 {
				t.Errorf("memory grew by %d MiB", grown>>20)
			}
			t.Logf("%v", time.Since(start))
		})
	}
}
