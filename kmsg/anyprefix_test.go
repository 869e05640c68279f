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
	before("serial terminal", "[2025-12-11 {ms}] [{up}] "),
	before("build server", "[{iso}] [{up}] "),
	before("date in brackets", "[2025-12-11 {ms}] kernel: [{up}] "),
	before("date in brackets, host", "[{iso}] db3 kernel: [{up}] "),
	before("Loki's labels", `{iso} {host="db3", job="systemd-journal", transport="kernel"} `),
	before("Loki's labels of a file", `{iso} {filename="/var/log/kern.log", host="db3"} {syslog} db3 kernel: [{up}] `),
	before("Splunk table", `"{iso}","db3","kern.log","{syslog} db3 kernel: [{up}] `),
	before("older vmware.log", "{iso}| vcpu-2| I005: Guest: <3>[{up2}] "),
	before("Android's kernel", "12-{day} {ms}     0     0 E kernel  : "),
	before("console with leading return", "\r[{up}] "),
	jsonPrefix("JSON in upper case", `{"HOST":"db3","FACILITY":"kern","PROGRAM":"kernel","MESSAGE":%s}`, "[{up}] "),
	jsonPrefix("JSON list of events", `{"logGroup":"/var/log/kern","logEvents":[{"id":"{n}","timestamp":{epochms},"message":%s}]}`, "{syslog} db3 kernel: [{up}] "),
	jsonPrefix("OTLP", `{"resourceLogs":[{"resource":{"attributes":[{"key":"host.name","value":{"stringValue":"db3"}}]},"scopeLogs":[{"logRecords":[{"body":{"stringValue":%s}}]}]}]}`, "[{up}] "),
	jsonPrefix("Loki's API", `{"data":{"result":[{"stream":{"host":"db3","transport":"kernel"},"values":[["{epochus}000",%s]]}]}}`, "[{up}] "),
	jsonPrefix("JSON list of rows", `[{"Computer":"db3","Facility":"kern","ProcessName":"kernel","SyslogMessage":%s}]`, "[{up}] "),
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

// foreignPrefixes stand before what a container or a program has written.
var foreignPrefixes = []generatedPrefix{
	before("CRI", "{iso} stdout F "),
	before("compose with a stamp", "etl-1  | [{up}] "),
	before("compose v1", "my_app_etl_1      | [{up}] "),
	before("swarm", "etl.1.x8k2m3n4p5q6@db3    | [{up}] "),
	before("foreman", "{clock} etl.1  | "),
	before("pm2", "0|etl      | [{up}] "),
	before("kubectl --prefix", "[pod/etl-1/etl] [{up}] "),
	before("Cloud Foundry", "   {iso} [APP/PROC/WEB/0] OUT "),
	before("ECS", "{iso} ecs/etl/0123456789abcdef0123456789abcdef [{up}] "),
	before("Loki's labels of a pod", `{iso} {container="etl", namespace="prod", pod="etl-5d"} [{up}] `),
	before("Loki's labels of a unit", `{iso} {host="db3", unit="db.service"} `),
	before("Erlang", "{iso} [error] <0.123.0> "),
	before("syslog of a program", "{syslog} db3 etl[812]: [{up}] "),
	before("Docker's syslog driver", "{syslog} db3 docker/etl/7c1e5a0f93d2[812]: "),
	jsonPrefix("json-file", `{"log":%s,"stream":"stderr","time":"{iso}"}`, "[{up}] "),
	jsonPrefix("JSON list of a task", `{"logGroup":"/ecs/etl","logStream":"ecs/etl/0123456789abcdef0123456789abcdef","logEvents":[{"timestamp":{epochms},"message":%s}]}`, "[{up}] "),
	jsonPrefix("OTLP of a pod", `{"resourceLogs":[{"resource":{"attributes":[{"key":"k8s.pod.name","value":{"stringValue":"etl-1"}}]},"scopeLogs":[{"logRecords":[{"body":{"stringValue":%s}}]}]}]}`, "[{up}] "),
	jsonPrefix("Loki's API of a pod", `{"data":{"result":[{"stream":{"namespace":"prod","pod":"etl-1"},"values":[["{epochus}000",%s]]}]}}`, "[{up}] "),
	jsonPrefix("tags", `{"content":{"service":"etl","message":%s,"tags":["container_name:etl","image_name:etl"]}}`, "[{up}] "),
	jsonPrefix("resource of OpenTelemetry", `{"resource":{"k8s.container.name":"etl"},"attributes":{"log.iostream":"stdout"},"body":%s}`, "[{up}] "),
	jsonPrefix("Nomad", `{"task":"etl","file":"/opt/nomad/alloc/x/alloc/logs/etl.stdout.0","message":%s}`, "[{up}] "),
	jsonPrefix("message of a container that ended", `{"kind":"Pod","status":{"containerStatuses":[{"lastState":{"terminated":{"exitCode":1,"message":%s}}}]}}`, "[{up}] "),
	jsonPrefix("output of a health check", `[{"State":{"Health":{"Log":[{"ExitCode":1,"Output":%s}]}}}]`, "[{up}] "),
	jsonPrefix("journal record of a unit", `{"MESSAGE":%s,"_SYSTEMD_UNIT":"db.service","_PID":"42","PRIORITY":"3"}`, ""),
	jsonPrefix("slog", `{"time":"{iso}","level":"ERROR","msg":%s,"source":{"function":"main.run","file":"/src/run.go","line":12}}`, ""),
}

// indented spreads JSON over lines as jq and the clouds' tools do.
func indented(t *testing.T, log []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	for l := range bytes.Lines(log) {
		if err := json.Indent(&b, bytes.TrimSpace(l), "", "  "); err != nil {
			t.Fatal(err)
		}
		b.WriteByte('\n')
	}
	return b.Bytes()
}

// TestForeignPrefix holds every case behind what marks a container's or a program's
// words: no kill of it is told.
func TestForeignPrefix(t *testing.T) {
	names := caseFiles(t)
	for _, p := range foreignPrefixes {
		t.Run(p.name, func(t *testing.T) {
			for _, name := range names {
				_, log, _ := readCase(t, name)
				at := time.Date(2025, 12, 11, 10, 33, 2, 0, time.UTC)
				var b bytes.Buffer
				for i, text := range bareTexts(log) {
					b.WriteString(p.line(i+1, at, text))
					b.WriteByte('\n')
					at = at.Add(11 * time.Microsecond)
				}
				logs := [][]byte{b.Bytes()}
				if first := b.Bytes(); len(first) > 0 && (first[0] == '{' || first[0] == '[' && first[1] == '{') {
					logs = append(logs, indented(t, first))
				}
				for _, log := range logs {
					if kills, _, _ := toldOf(t, log); len(kills) > 0 {
						t.Errorf("%s: told %v\n%s", filepath.Base(name), kills, firstLines(string(log)))
					}
				}
			}
		})
	}
}

// TestForeignList: in a large log that is one list of a container's, the words that
// tell so stand megabytes before the line that is searched for.
func TestForeignList(t *testing.T) {
	line := func(text string) string {
		return "          [\n            \"17\",\n            \"[ 4711.500000] " + text + "\"\n          ],\n"
	}
	log := "{\n  \"data\": {\n    \"result\": [\n      {\n        \"stream\": {\n          \"pod\": \"etl-1\"\n        },\n        \"values\": [\n" +
		strings.Repeat(line("eth0: link becomes ready"), wholeUpTo/50) +
		line("Memory cgroup out of memory: Killed process 4711 (java) total-vm:100kB, anon-rss:80kB, file-rss:8kB, shmem-rss:0kB, UID:0 pgtables:4kB oom_score_adj:0")
	if len(log) <= wholeUpTo {
		t.Fatal("the log is small")
	}
	for _, c := range []struct {
		log  string
		want int
	}{{log, 0}, {strings.Replace(log, `"pod"`, `"host"`, 1), 1}} {
		if kills, _, spoken := toldOf(t, []byte(c.log)); len(kills) != c.want || c.want == 0 && spoken == 0 {
			t.Errorf("told %v, %d lines said not to be understood", kills, spoken)
		}
	}
}
