package kmsg

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf16"
)

const prefixedID = "d4059a37acc800a6b35ecd2719100e0d8f7c733b289166f97682190df3dc04cc"

// prefixedReport is what the kernel prints of two kills, line by line.
func prefixedReport() []string {
	report := func(comm string, pid int) string {
		return strings.NewReplacer("COMM", comm, "NUMBER", fmt.Sprint(pid), "PATH", "/docker/"+prefixedID).Replace(
			`COMM invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0
CPU: 3 PID: NUMBER Comm: COMM Not tainted 5.15.0-91-generic #101-Ubuntu
Call Trace:
 <TASK>
 dump_stack_lvl+0x4a/0x63
 </TASK>
memory: usage 524288kB, limit 524288kB, failcnt 77
swap: usage 0kB, limit 0kB, failcnt 0
Memory cgroup stats for PATH:
anon 536870912
file 4096
Tasks state (memory values in pages):
[  pid  ]   uid  tgid total_vm      rss pgtables_bytes swapents oom_score_adj name
[ NUMBER]     0  NUMBER   140000   131000  1130496        0             0 COMM
oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=x,mems_allowed=0,oom_memcg=PATH,task_memcg=PATH,task=COMM,pid=NUMBER,uid=0
Memory cgroup out of memory: Killed process NUMBER (COMM) total-vm:560000kB, anon-rss:524000kB, file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:1104kB oom_score_adj:0
`)
	}
	return strings.Split(strings.TrimSuffix(report("java", 4242)+report("python3", 777), "\n"), "\n")
}

// prefixedLog puts a prefix before each line of the report, filled in with the line's time.
func prefixedLog(format string) []byte {
	var b bytes.Buffer
	at := time.Date(2026, 5, 3, 11, 2, 9, 123456000, time.UTC)
	up := 12345678901 * time.Microsecond
	for i, text := range prefixedReport() {
		b.WriteString(strings.NewReplacer("{syslog}", at.Format("Jan _2 15:04:05"), "{syslogy}", at.Format("Jan _2 15:04:05 2006"), "{dow}", at.Format("Mon"),
			"{dmesgT}", at.Format("Mon Jan _2 15:04:05 2006"), "{clock}", at.Format("15:04:05"), "{iso}", at.Format("2006-01-02T15:04:05Z"),
			"{iso6}", at.Format("2006-01-02T15:04:05.000000+00:00"), "{isons}", at.Format("2006-01-02T15:04:05.000000")+"789Z",
			"{isoc}", at.Format("2006-01-02T15:04:05,000000+00:00"), "{up}", fmt.Sprintf("%12.6f", up.Seconds()), "{us}", fmt.Sprint(up.Microseconds()),
			"{epoch}", fmt.Sprint(at.Unix()), "{epochms}", fmt.Sprint(at.UnixMilli()), "{epochns}", fmt.Sprint(at.UnixNano()),
			"{n}", fmt.Sprint(i+1), "{pad}", fmt.Sprintf("%6d", i+1)).Replace(format))
		b.WriteString(text + "\n")
		at, up = at.Add(11*time.Microsecond), up+11*time.Microsecond
	}
	return b.Bytes()
}

// readPrefixes reads a list of them.
func readPrefixes(t *testing.T, name string) []string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "prefixes", name))
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for l := range strings.Lines(string(b)) {
		if l = strings.TrimSpace(l); l == "" || l[0] == '#' {
			continue
		}
		s, err := strconv.Unquote(l)
		if err != nil {
			t.Fatalf("%s: %s: %v", name, l, err)
		}
		list = append(list, s)
	}
	return list
}

// episodesOf are a log's reports as short text, and the lines that are said not to be
// understood or believed.
func episodesOf(t *testing.T, log []byte) (list []string, spoken int64) {
	t.Helper()
	st, err := Scan(context.Background(), bytes.NewReader(log), "prefixed", ScanOptions{Now: time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)}, func(e *Event) error {
		if ep := e.Episode; ep != nil {
			for _, k := range ep.Kills {
				list = append(list, fmt.Sprintf("%s killed %s %d of %d with %d tasks in %s", ep.Trigger.Comm, k.Comm, k.PID, ep.Limit.Bytes, len(ep.Tasks), ep.TaskMemcg))
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list, st.Unrecognised + st.Foreign
}

// TestPrefixes holds the report behind what hundreds of tools put before a line.
func TestPrefixes(t *testing.T) {
	want := fmt.Sprintf("[java killed java 4242 of 536870912 with 1 tasks in /docker/%s python3 killed python3 777 of 536870912 with 1 tasks in /docker/%[1]s]", prefixedID)
	for _, c := range []struct {
		file  string
		least int
		judge func(list []string, spoken int64) bool
	}{
		{"kernel.txt", 280, func(list []string, _ int64) bool { return fmt.Sprint(list) == want }},
		{"unclear.txt", 10, func(list []string, spoken int64) bool { return len(list) == 0 && spoken > 0 }},
		{"program.txt", 100, func(list []string, spoken int64) bool { return len(list) == 0 && spoken > 0 }},
	} {
		prefixes := readPrefixes(t, c.file)
		if len(prefixes) < c.least {
			t.Errorf("%s has %d prefixes, want at least %d", c.file, len(prefixes), c.least)
		}
		for _, p := range prefixes {
			log := prefixedLog(p)
			if list, spoken := episodesOf(t, log); !c.judge(list, spoken) {
				t.Errorf("%s: %q: told %q, %d lines said not to be understood", c.file, p, list, spoken)
			}
		}
	}
	for name, encode := range map[string]func([]byte) []byte{
		"line ends of Windows": func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n")) },
		"byte order mark":      func(b []byte) []byte { return append([]byte("\ufeff"), b...) },
		"UTF-16":               func(b []byte) []byte { return wide(b, binary.LittleEndian) },
		"UTF-16, big endian":   func(b []byte) []byte { return wide(b, binary.BigEndian) },
	} {
		for _, p := range []string{"[{up}] ", "{syslog} node7 kernel: [{up}] ", "мая 03 11:02:09 node7 kernel: ", "kern  :warn  : [{dmesgT}] "} {
			if list, _ := episodesOf(t, encode(prefixedLog(p))); fmt.Sprint(list) != want {
				t.Errorf("%s: %q: told %q", name, p, list)
			}
		}
	}
}

// wide is a text in UTF-16 with a byte order mark.
func wide(b []byte, order binary.AppendByteOrder) []byte {
	var out []byte
	for _, u := range utf16.Encode([]rune("\ufeff" + string(b) + "😀\n")) {
		out = order.AppendUint16(out, u)
	}
	return out
}
