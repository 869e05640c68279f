package kmsg

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A generated prefix: what stands before line n, printed at the time at, of a log.
type generatedPrefix struct {
	name string
	// line makes the whole line of a message (or of a line with its own prefix).
	line func(n int, at time.Time, text string) string
}

func before(name, format string) generatedPrefix {
	return generatedPrefix{name, func(n int, at time.Time, text string) string {
		return expandPrefix(format, n, at) + text
	}}
}

// expandPrefix fills in a number, stamps and dates of the line.
func expandPrefix(format string, n int, at time.Time) string {
	up := float64(at.UnixMicro()-time.Date(2025, 12, 11, 0, 0, 0, 0, time.UTC).UnixMicro()) / 1e6
	return strings.NewReplacer(
		"{n}", fmt.Sprint(n), "{pad}", fmt.Sprintf("%6d", n), "{up}", fmt.Sprintf("%12.6f", up), "{up2}", fmt.Sprintf("%.2f", up),
		"{clock}", at.Format("15:04:05"), "{ms}", at.Format("15:04:05.000"), "{day}", at.Format("2"), "{iso}", at.Format("2006-01-02T15:04:05.000000Z"),
		"{ymd}", at.Format("2006/01/02"), "{mdy}", at.Format("01/02/2006"), "{dmy}", at.Format("02.01.2006"), "{epoch}", fmt.Sprint(at.Unix()), "{epochms}", fmt.Sprint(at.UnixMilli()),
		"{epochus}", fmt.Sprint(at.UnixMicro()), "{syslog}", at.Format("Jan _2 15:04:05"),
	).Replace(format)
}

// outerPrefixes are what tools put before each line of a log, whatever it is.
var outerPrefixes = []generatedPrefix{
	before("grep -r", "var/log/kern.log:"),
	before("zgrep", "/var/log/kern.log.2.gz:"),
	before("grep -rn", "kern.log:{n}:"),
	before("grep context", "kern.log-"),
	before("grep -n context", "{n}-"),
	before("grep -n", "{n}:"),
	before("cat -n", "{pad}\t"),
	before("pdsh", "node-07: "),
	before("address", "10.20.0.7: "),
	before("fqdn", "db3.example.com: "),
	before("ansible", "node7 | "),
	before("fabric", "[db3.example.com] "),
	before("numbered host", "[1] node-07: "),
	before("mail", "> > "),
	{"grep --color", func(n int, _ time.Time, text string) string {
		return "\x1b[35m\x1b[Kkern.log\x1b[m\x1b[K\x1b[36m\x1b[K:\x1b[m\x1b[K" + text
	}},
}

// ownPrefixes stand before the kernel's message and are all there is.
var ownPrefixes = []generatedPrefix{
	before("bare name", "kernel: "),
	before("bare name and stamp", "kernel: [{up}] "),
	before("cut before the stamp", ": [{up}] "),
	before("French", "déc. {day} {clock} db3 kernel: "),
	before("French, long", "{day} déc. 2025 {clock} db3 kernel: "),
	before("German", "Dez {day} {clock} db3 kernel: "),
	before("Norwegian", "des. {day} {clock} db3 kernel: "),
	before("Chinese", "12月 {day} {clock} db3 kernel: "),
	before("Spanish", "dic {day} {clock} db3 kernel: "),
	before("Russian", "дек {day} {clock} db3 kernel: "),
	before("Greek", "Δεκ {day} {clock} db3 kernel: "),
	before("Lithuanian", "gruod. {day} {clock} db3 kernel: "),
	before("German dmesg -T", "[Do Dez {day} {clock} 2025] "),
	before("talos", "kern:     err: [{iso}]: "),
	before("talos with node", "10.5.0.2: kern: warning: [{iso}]: "),
	before("vmware.log", "{iso} In(05) vcpu-5 - Guest: <3>[{up2}] "),
	before("level column", "!ERR | kernel: "),
	before("level in brackets", "[ERROR] kernel: [{up}] "),
	before("milliseconds", "{epochms} db3 kernel: "),
	before("microseconds", "{epochus} kernel: [{up}] "),
	before("slashes", "{ymd} {clock} db3 kernel: "),
	before("month first", "{mdy} {clock} db3 kernel: [{up}] "),
	before("points", "{dmy} {clock} db3 kernel: "),
	before("Kibana", "Dec {day}, 2025 @ {ms} db3 kernel: [{up}] "),
	before("tabs", "{iso}\tdb3\tkernel\t"),
	before("shipper and syslog", "{iso} {syslog} db3 kernel: [{up}] "),
	before("pssh and dmesg", "web-12: [{up}] "),
	before("ansible and syslog", "web-12 | {syslog} web-12 kernel: "),
	{"journalctl in colour", func(_ int, at time.Time, text string) string {
		return expandPrefix("{syslog} db3 kernel: \x1b[0;1;31m\x1b[0;1;39m\x1b[0;1;31m", 0, at) + text + "\x1b[0m"
	}},
	jsonPrefix("JSON message", `{"@timestamp":"{iso}","host":{"name":"db3"},"message":%s}`, ""),
	jsonPrefix("JSON syslog line", `{"timestamp":{epochms},"message":%s}`, "{syslog} db3 kernel: [{up}] "),
	jsonPrefix("JSON log", `{"log":%s,"time":"{iso}"}`, "[{up}] "),
	jsonPrefix("JSON of the cloud", `{"insertId":"a{n}","jsonPayload":{"_TRANSPORT":"kernel","MESSAGE":%s},"resource":{"type":"k8s_node"},"timestamp":"{iso}"}`, ""),
	jsonPrefix("JSON text", `{"textPayload":%s,"resource":{"type":"gce_instance","labels":{"zone":"b"}},"timestamp":"{iso}"}`, "[{up}] "),
}

func jsonPrefix(name, format, inner string) generatedPrefix {
	return generatedPrefix{name, func(n int, at time.Time, text string) string {
		b, err := json.Marshal(expandPrefix(inner, n, at) + text)
		if err != nil {
			panic(err)
		}
		return fmt.Sprintf(expandPrefix(format, n, at), b)
	}}
}

// toldOf reads a log and returns its kills as text, and how many lines are told
// as not understood or not believed.
func toldOf(t *testing.T, log []byte) (kills map[string]int, list []string, spoken int64) {
	t.Helper()
	kills = make(map[string]int)
	st, err := Scan(context.Background(), bytes.NewReader(log), "prefixed", caseOptions(), func(e *Event) error {
		if e.Episode != nil {
			for _, k := range e.Episode.Kills {
				s := fmt.Sprintf("%d %s %d %s", k.PID, k.Comm, k.AnonRSS.Bytes, e.Episode.TaskMemcg)
				kills[s]++
				list = append(list, s)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return kills, list, st.Unrecognised + st.Foreign
}

// bareTexts takes the prefixes off a case's lines; nil where a line is not a
// kernel's, or is a part of a record that is spread over lines.
func bareTexts(log []byte) []string {
	opt := caseOptions()
	opt.defaults()
	var texts []string
	for s := range strings.Lines(string(log)) {
		s = strings.TrimRight(s, "\r\n")
		var l line
		parseLine(s, opt.Location, &l)
		if strings.Contains(l.text, "[ 9182.") || l.rec.Ident != "" || l.rec.Facility > 0 || l.rec.Escaped || l.text != "" && !l.closed || strings.ContainsRune(s, '\x1b') {
			return nil
		}
		texts = append(texts, l.text)
	}
	return texts
}

// TestAnyPrefix holds every case behind prefixes that no list has: the same kills
// are told, or that lines were not understood; and never one that was not there.
func TestAnyPrefix(t *testing.T) {
	names := caseFiles(t)
	if n := len(outerPrefixes) + len(ownPrefixes); n < 40 {
		t.Fatalf("%d prefixes, want at least 40", n)
	}
	type sum struct{ same, spoken, lost int }
	check := func(t *testing.T, p generatedPrefix, name string, texts []string, want map[string]int, s *sum) {
		at := time.Date(2025, 12, 11, 10, 33, 2, 0, time.UTC)
		var b bytes.Buffer
		for i, text := range texts {
			b.WriteString(p.line(i+1, at, text))
			b.WriteByte('\n')
			at = at.Add(11 * time.Microsecond)
		}
		got, _, spoken := toldOf(t, b.Bytes())
		missing := false
		for k := range got {
			if want[k] == 0 {
				t.Errorf("%s behind %q: told %q, which the log does not\n%s", name, p.name, k, firstLines(b.String()))
			}
		}
		for k := range want {
			missing = missing || got[k] == 0
		}
		switch {
		case !missing:
			s.same++
		case spoken > 0:
			s.spoken++
		default:
			s.lost++
			t.Errorf("%s behind %q: told %v, want %v, and nothing is said\n%s", name, p.name, got, want, firstLines(b.String()))
		}
	}
	for _, list := range []struct {
		kind     string
		prefixes []generatedPrefix
	}{{"outer", outerPrefixes}, {"own", ownPrefixes}} {
		for _, p := range list.prefixes {
			t.Run(list.kind+"/"+p.name, func(t *testing.T) {
				var s sum
				for _, name := range names {
					if strings.HasSuffix(name, "-newline-export.txt") {
						continue // a binary field: what stands inside it is of its length
					}
					if spread := strings.Contains(name, "pretty") || strings.Contains(name, "verbose"); spread && strings.Contains("cat -n, grep -rn, grep context, grep --color", p.name) {
						continue // records spread over lines, whose own indentation the tool's mark hides
					}
					_, log, _ := readCase(t, name)
					texts := strings.Split(strings.TrimSuffix(string(log), "\n"), "\n")
					if list.kind == "own" {
						if texts = bareTexts(log); texts == nil {
							continue
						}
						if strings.Contains(name, "two-cpus") || strings.Contains(name, "duplicate-lines") {
							continue // which line is whose shows in the stamps
						}
						log = []byte(strings.Join(texts, "\n"))
					}
					want, _, _ := toldOf(t, log)
					check(t, p, filepath.Base(name), texts, want, &s)
				}
				t.Logf("%d cases the same, %d said not to be understood", s.same, s.spoken)
				if s.same < 30 {
					t.Errorf("%d cases are told the same", s.same)
				}
			})
		}
	}
}

func firstLines(s string) string {
	if len(s) > 600 {
		return s[:600] + "..."
	}
	return s
}
