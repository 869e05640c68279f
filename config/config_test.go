package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oomwatch/oomwatch/incident"
)

func writeFile(t *testing.T, name, content string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

const goodSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

func TestConfigReadsEverything(t *testing.T) {
	url := writeFile(t, "url", "https://hooks.example/T0/canary-url\n", 0o600)
	t.Setenv("OOMWATCH_TEST_SECRET", goodSecret)
	path := writeFile(t, "c.yaml", `
# a comment
store: {path: /x/y.db, retention: 14d}
history: {retention: 7d, max_size: 256MiB}
listen: "[::1]:80"
allowed_hosts: [watch.example.org]
socket: /x/s
docker:
  host: tcp://127.0.0.1:2375
  log_lines: 0
cri:
  sockets: [unix:///x/c.sock]
  log_lines: 7
podman: {sockets: [off], log_lines: 9}
receivers:
  - name: ops
    type: webhook
    url_file: `+url+`
    secret_env: OOMWATCH_TEST_SECRET
    allow_http: true
    causes: [oom.container, "oom.host"]
    min_severity: warning
  - {name: out, type: stdout, default: true, kinds: [death], containers: ["web-*"], labels: [team=pay*, tier], projects: [shop], hosts: ["node-?"]}
alerts:
  info: true
  group_window: 1h30m
  pause: 2m
  longest_pause: 30m
  storm_per_minute: 5
  budget: 7
  heartbeat_url: https://beat.example/canary-ping
  heartbeat_every: 30s
warnings:
  enabled: true
  memory_percent: 80
  host_memory_percent: 0
  time_to_limit: 0s
  pressure_percent: 100
  throttled: false
  limit_hits: false
  restarts: 0
  restart_window: 1h
  unhealthy: false
  pids_percent: 75
  disk_percent: 80
  inodes_percent: 0
  log_per_hour: 512MiB
  leaks: false
  zombies: 50
  files_percent: 0
  tasks_percent: 80
  startup: 0s
  resolve_after: 1m
  on_warning: {exec: [/bin/cat, "-"], timeout: 5s, per_minute: 2}
audit:
  every: 0s
  ignore: [{rule: sec.root_user}, {rule: "memory.*", containers: ["ci-*"]}]
metrics: {max_containers: 10}
log: {level: debug, format: json}
`, 0o600)
	got, warnings, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	want := &Config{
		Store: Store{Path: "/x/y.db", Retention: Duration(14 * 24 * time.Hour), MaxSize: defaultStoreSize}, Listen: "[::1]:80",
		History:      History{Retention: Duration(7 * 24 * time.Hour), MaxSize: 256 << 20},
		AllowedHosts: []string{"watch.example.org"}, Socket: "/x/s", Docker: Docker{Host: "tcp://127.0.0.1:2375"}, CRI: CRI{Sockets: []EngineSocket{"unix:///x/c.sock"}, LogLines: 7}, Podman: Podman{Sockets: []EngineSocket{"off"}, LogLines: 9},
		Receivers: []Receiver{
			{Name: "ops", Type: "webhook", URL: "https://hooks.example/T0/canary-url", URLFile: url, Secret: goodSecret,
				SecretEnv: "OOMWATCH_TEST_SECRET", AllowHTTP: true, Causes: []Cause{"oom.container", "oom.host"}, MinSeverity: "warning"},
			{Name: "out", Type: "stdout", Default: true, Kinds: []IncidentKind{"death"}, Containers: []Pattern{"web-*"}, Labels: []LabelPattern{"team=pay*", "tier"},
				Projects: []Pattern{"shop"}, Hosts: []Pattern{"node-?"}},
		},
		Alerts: Alerts{Info: true, GroupWindow: window(90 * time.Minute), Pause: window(2 * time.Minute), LongestPause: Duration(30 * time.Minute), StormPerMinute: 5, Budget: 7,
			HeartbeatURL: "https://beat.example/canary-ping", HeartbeatEvery: Duration(30 * time.Second)},
		Warnings: Warnings{Enabled: true, MemoryPercent: 80, PressurePercent: 100, RestartWindow: Duration(time.Hour), PIDsPercent: 75, DiskPercent: 80, LogPerHour: 512 << 20, Zombies: 50, TasksPercent: 80,
			ResolveAfter: Duration(time.Minute), OnWarning: OnWarning{Exec: []string{"/bin/cat", "-"}, Timeout: Duration(5 * time.Second), PerMinute: 2}},
		Audit:   Audit{Ignore: []Ignore{{Rule: "sec.root_user"}, {Rule: "memory.*", Containers: []Pattern{"ci-*"}}}},
		Metrics: Metrics{MaxContainers: 10},
		Log:     Log{Level: "debug", Format: "json"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if len(warnings) != 0 {
		t.Errorf("warnings: %q", warnings)
	}
	r := &got.Receivers[0]
	for _, tt := range []struct {
		s    incident.Severity
		c    incident.Cause
		want bool
	}{
		{incident.Critical, incident.OOMContainer, true}, {incident.Warning, incident.OOMHost, true},
		{incident.Info, incident.OOMHost, false}, {incident.Critical, incident.ExitError, false},
	} {
		if got := r.Wants(&incident.Incident{Severity: tt.s, Cause: tt.c}); got != tt.want {
			t.Errorf("wants(%s, %s) = %v", tt.s, tt.c, got)
		}
	}
}

func TestEmptyConfigIsTheDefault(t *testing.T) {
	for _, src := range []string{"", "\n", "# nothing\n", "---\n"} {
		got, _, err := Load(writeFile(t, "c.yaml", src, 0o600))
		if err != nil {
			t.Errorf("%q: %v", src, err)
			continue
		}
		if diff := cmp.Diff(Default(), got); diff != "" {
			t.Errorf("%q: -want +got:\n%s", src, diff)
		}
	}
}

// TestConfigRefuses holds each mistake against where it is said to be and what
// the reader is told to do.
func TestConfigRefuses(t *testing.T) {
	const hook = "receivers:\n  - name: a\n    type: webhook\n    "
	tests := []struct{ name, src, at, want string }{
		{"a rule that is none", "audit: {ignore: [{rule: memory.nolimit}]}\n", "1:", `"memory.nolimit" is not a rule, did you mean "memory.no_limit"?`},
		{"an exclusion of nothing", "audit: {ignore: [{containers: [a]}]}\n", "1:", "it needs a rule"},
		{"a warning's percentage", "warnings: {memory_percent: 101}\n", "1:", `"101" is not a percentage: write a number from 1 to 100, or 0 for off`},
		{"one death is no loop", "warnings: {restarts: 1}\n", "1:", `"1" is not from 2 to 1000 deaths, or 0 for off`},
		{"a command without its path", "warnings: {on_warning: {exec: [dump]}}\n", "1:", "program, by its full path"},
		{"a command that is not there", "warnings: {on_warning: {exec: [/no/such/dump]}}\n", "1:", "no such file"},
		{"a time without a command", "warnings: {on_warning: {timeout: 1s}}\n", "1:", "work only with exec"},
		{"unknown key", "listn: x\n", "1:1", `unknown key "listn", did you mean "listen"? Known here: store, history, listen, allowed_hosts, external_url, socket, docker, cri, podman, receivers, alerts, warnings, audit, web, metrics, log`},
		{"unknown key below", "store:\n  pth: x\n", "2:3", `unknown key "pth", did you mean "path"? Known here: path, retention`},
		{"unknown key far off", "store:\n  zzzzzzzz: x\n", "2:3", `unknown key "zzzzzzzz". Known here: path, retention`},
		{"unknown receiver key", hook + "urll: https://h/CANARY\n", "4:5", `did you mean "url"?`},
		{"key twice", "listen: :1\nlisten: :2\n", "2:1", `listen`},
		{"syntax", "store: [\n", "", ``},
		{"tab", "store:\n\tpath: x\n", "", ``},
		{"scalar for keys", "store: 5\n", "1:8", "keys are wanted here: path, retention"},
		{"list for keys", "store: [path]\n", "1:8", "keys are wanted here"},
		{"scalar document", "hello\n", "1:1", "keys are wanted here"},
		{"keys for list", "receivers: {name: a}\n", "1:", "a list is wanted here"},
		{"keys for value", "socket: {a: b}\n", "1:", "a text is wanted here"},
		{"no value", "store:\n", "1:1", "no value"},
		{"second document", "listen: :1\n---\nlisten: :2\n", "3:", "a second document"},
		{"anchor", "store: &a\n  path: x\n", "1:", "anchors"},
		{"bool", "alerts:\n  info: maybe\n", "2:9", "true or false is wanted here"},
		{"duration", "store: {retention: soon}\n", "1:20", `"soon" is not a duration: write 30s, 10m, 12h or 90d`},
		{"duration zero", "store: {retention: 0s}\n", "1:20", "is not a duration"},
		{"duration negative", "alerts: {group_window: -5m}\n", "1:24", "90d, or 0s for none"},
		{"storm", "alerts: {storm_per_minute: 0}\n", "1:28", "1 to 1000000"},
		{"log lines", "docker: {log_lines: 9999}\n", "1:21", "0 (no log lines) to 200"},
		{"level", "log: {level: warning}\n", "1:14", `did you mean "warn"? Known: debug, info, warn, error`},
		{"format", "log: {format: xml}\n", "1:15", "Known: console, json"},
		{"listen", "listen: localhost\n", "1:9", "HOST:PORT"},
		{"listen port", "listen: localhost:99999\n", "1:9", "HOST:PORT"},
		{"runtime's socket", "cri: {sockets: [/run/x.sock]}\n", "1:17", "unix:///run/containerd/containerd.sock"},
		{"docker host", "docker: {host: ssh://x}\n", "1:16", "unix:///run/docker.sock"},
		{"engine twice", "docker: {host: unix:///a.sock, more: [unix:///b.sock, unix:///b.sock]}\n", "1:55", `the engine "unix:///b.sock" is docker.more[0] already`},
		{"engine as the first", "docker: {host: unix:///a.sock, more: [unix:///a.sock]}\n", "1:39", `the engine "unix:///a.sock" is docker.host already`},
		{"type", "receivers: [{name: a, type: pigeon}]\n", "1:29", "Known: slack, slack_bot, webhook, pagerduty, alertmanager, discord, teams, email, telegram, ntfy, gotify, matrix, mattermost, google_chat, opsgenie, kubernetes, exec, syslog, journal, stdout"},
		{"no type", "receivers: [{name: a}]\n", "1:", "a receiver needs a type: slack, slack_bot, webhook"},
		{"no name", "receivers: [{type: stdout}]\n", "1:", "a receiver needs a name"},
		{"bad name", "receivers: [{name: a/b, type: stdout}]\n", "1:20", "is not a name"},
		{"name twice", "receivers:\n  - {name: a, type: stdout}\n  - {name: a, type: stdout}\n", "3:12", `the name "a" is taken by receivers[0]`},
		{"cause", "receivers: [{name: a, type: stdout, causes: [oom.contaner]}]\n", "1:46", `did you mean "oom.container"?`},
		{"severity", "receivers: [{name: a, type: stdout, min_severity: high}]\n", "1:51", "Known: info, warning, critical"},
		{"no url", "receivers: [{name: a, type: slack}]\n", "1:", "exactly one of url, url_file and url_env"},
		{"two urls", hook + "url: https://h/CANARY\n    url_env: X\n", "2:5", "exactly one of url, url_file and url_env"},
		{"url for stdout", "receivers: [{name: a, type: stdout, url: 'https://h/CANARY'}]\n", "1:", "takes no url"},
		{"url scheme", hook + "url: ftp://h/CANARY\n", "4:10", "https is accepted"},
		{"url host", hook + "url: https:///CANARY\n", "4:10", "names no host"},
		{"url bytes", hook + "url: \"https://h/CANARY\\x01\"\n", "4:10", "cannot be parsed"},
		{"url env unset", hook + "url_env: OOMWATCH_TEST_UNSET\n", "4:14", "OOMWATCH_TEST_UNSET is not set"},
		{"url file missing", hook + "url_file: /nonexistent/f\n", "4:15", "no such file"},
		{"secret", hook + "url: https://h/\n    secret: CANARY\n", "5:13", "shorter than 16 characters"},
		{"url plain", hook + "url: http://h.example/CANARY\n", "4:10", "plain http"},
		{"url file bad", hook + "url_file: /dev/null\n", "4:15", "/dev/null is empty"},
		{"key of another type", hook + "url: https://h/CANARY\n    channel: c\n", "5:14", "a receiver of type webhook takes no channel; of its own it takes allow_http, ca_file, cloudevents, headers, secret, template, url"},
		{"env of another type", hook + "url: https://h/CANARY\n    token_env: T\n", "5:16", "a receiver of type webhook takes no token"},
		{"no token", "receivers: [{name: a, type: pagerduty}]\n", "1:", "exactly one of token, token_file and token_env"},
		{"no channel", "receivers: [{name: a, type: slack_bot, token: CANARY}]\n", "1:", "a receiver of type slack_bot needs a channel"},
		{"mail without TLS", "receivers: [{name: a, type: email, url: 'https://CANARY', from: a@b.c, to: [a@b.c]}]\n", "1:", "write smtp://HOST:587"},
		{"mail to nobody", "receivers: [{name: a, type: email, url: 'smtp://h', from: a@b.c}]\n", "1:", "a receiver of type email needs a to"},
		{"own header", "receivers: [{name: a, type: webhook, url: 'https://h/x', headers: ['Host: CANARY']}]\n", "1:", "Host cannot be set"},
		{"bad chat", "receivers: [{name: a, type: telegram, token: '123:abcdefghijkl', channel: CANARY x}]\n", "1:", "is not a Telegram chat"},
		{"no token of the page", "web: {token_file: /nonexistent/token}\n", "1:", "no such file"},
		{"bad external_url", "external_url: ftp://h\n", "1:", "is not a page's address"},
		{"bad token", "receivers: [{name: a, type: pagerduty, token: CANARY}]\n", "1:47", "not 32 letters and digits"},
		{"no command", "receivers: [{name: a, type: exec}]\n", "1:", "needs a command"},
		{"command by name", "receivers: [{name: a, type: exec, command: [page]}]\n", "1:44", "by its full path"},
		{"command missing", "receivers: [{name: a, type: exec, command: [/nonexistent/page]}]\n", "1:44", "no such file"},
		{"command no program", "receivers: [{name: a, type: exec, command: [/etc/passwd]}]\n", "1:44", "chmod +x"},
		{"timeout", "receivers: [{name: a, type: exec, command: [/bin/true], timeout: soon}]\n", "1:66", "is not a duration"},
		{"ca file", hook + "url: https://h/CANARY\n    ca_file: /etc/passwd\n", "5:14", "holds no certificate in PEM"},
		{"ca file missing", hook + "url: https://h/CANARY\n    ca_file: /nonexistent/ca\n", "5:14", "no such file"},
		{"heartbeat's ca file", "alerts: {heartbeat_url: 'https://h/CANARY', heartbeat_ca_file: /etc/passwd}\n", "1:", "holds no certificate in PEM"},
		{"heartbeat's ca file for none", "alerts: {heartbeat_ca_file: /etc/passwd}\n", "1:29", "works only with a heartbeat_url"},
		{"socket", "receivers: [{name: a, type: syslog, socket: log}]\n", "1:45", "is not the full path"},
		{"template", "receivers: [{name: a, type: stdout, template: '{{.Nme}}'}]\n", "1:47", "can't evaluate field Nme"},
		{"template file", "receivers: [{name: a, type: stdout, template_file: /nonexistent/t}]\n", "1:52", "no such file"},
		{"two templates", "receivers: [{name: a, type: stdout, template: x, template_file: /y}]\n", "1:", "at most one of template and template_file"},
		{"template for exec", "receivers: [{name: a, type: exec, command: [/bin/true], template: x}]\n", "1:", "takes no template"},
		{"template and cloudevents", hook + "url: https://h/CANARY\n    template: x\n    cloudevents: true\n", "5:15", "take one of the two"},
		{"token in excerpt", "receivers: [{name: a, type: stdout, token: CANARY, topic: x}]\n", "1:52", "unknown key"},
		{"secret for slack", "receivers:\n  - name: a\n    type: slack\n    url: https://h/\n    secret: CANARY\n", "", "takes no secret"},
		{"two secrets", hook + "url: https://h/\n    secret: CANARY\n    secret_env: X\n", "", "at most one of secret"},
	}
	where := regexp.MustCompile(`^(.+):(\d+):(\d+): `)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := writeFile(t, "c.yaml", tt.src, 0o600)
			_, _, err := Load(path)
			if err == nil {
				t.Fatal("it was taken")
			}
			m := where.FindStringSubmatch(err.Error())
			if m == nil || m[1] != path {
				t.Fatalf("no place: %v", err)
			}
			if !strings.HasPrefix(m[2]+":"+m[3], tt.at) {
				t.Errorf("place %s:%s, want %s: %v", m[2], m[3], tt.at, err)
			}
			if n, _ := strconv.Atoi(m[2]); n < 1 || n > strings.Count(tt.src, "\n")+1 {
				t.Errorf("line %d is not in the file", n)
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %q does not say %q", err, tt.want)
			}
			if strings.Contains(err.Error(), "CANARY") {
				t.Errorf("a secret is in the error: %v", err)
			}
		})
	}
}

func TestConfigNamesEveryMistakeAtOnce(t *testing.T) {
	_, _, err := Load(writeFile(t, "c.yaml", "listen: nowhere\nlog: {level: loud}\nstor: 1\n", 0o600))
	var ps problems
	if !errors.As(err, &ps) || len(ps) != 3 {
		t.Fatalf("%d problems: %v", len(ps), err)
	}
	for i, p := range ps {
		if p.line != i+1 {
			t.Errorf("problem %d is at line %d", i, p.line)
		}
	}
}

func TestConfigWarnsOfOpenSecretFiles(t *testing.T) {
	url := writeFile(t, "url", "https://h/CANARY", 0o644)
	src := "receivers: [{name: a, type: slack, url_file: " + url + "}]\n"
	_, warnings, err := Load(writeFile(t, "c.yaml", src, 0o600))
	if err != nil {
		t.Fatal(err)
	}
	if len(warnings) != 1 || !strings.Contains(warnings[0], "chmod 600 "+url) || strings.Contains(warnings[0], "CANARY") {
		t.Errorf("warnings: %q", warnings)
	}
}

func TestSecretsNeverPrint(t *testing.T) {
	r := Receiver{Name: "a", URL: "https://h/CANARY", Secret: "CANARY"}
	for _, s := range []string{fmt.Sprint(r), fmt.Sprintf("%+v", r), fmt.Sprintf("%#v", r), fmt.Sprintf("%s %v %q", r.URL, r.URL, r.URL)} {
		if strings.Contains(s, "CANARY") {
			t.Errorf("printed: %s", s)
		}
	}
}

func TestParseDuration(t *testing.T) {
	for s, want := range map[string]time.Duration{"90s": 90 * time.Second, "7d": 168 * time.Hour, "1d12h": 36 * time.Hour, "1h30m": 90 * time.Minute} {
		if got, err := ParseDuration(s); err != nil || got != want {
			t.Errorf("%q: %v, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "d", "-1d", "1", "1w", "0", "1d-2h", "999999d", "1.5d"} {
		if got, err := ParseDuration(s); err == nil {
			t.Errorf("%q was taken as %v", s, got)
		}
	}
}

func TestNearest(t *testing.T) {
	for in, want := range map[string]string{"urll": "url", "recievers": "receivers", "STORE": "store", "xyz": "", "lisen": "listen"} {
		if got := Nearest(in, []string{"store", "listen", "receivers", "url"}); got != want {
			t.Errorf("nearest(%q) = %q, want %q", in, got, want)
		}
	}
}

// TestAllFaultsAtOnce: what hangs on several values is judged beside values that are
// refused by themselves, and nothing is said of a receiver that a refused value is in.
func TestAllFaultsAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.yaml")
	text := "listen: nowhere\nreceivers:\n  - {name: a, type: slak}\n  - {name: a, type: webhook}\n  - {type: webhook, url: 'https://x.example'}\nalerts: {pause: soon}\nwarnings: {restarts: many}\nweb: {token_file: /nonexistent}\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	_, _, err := Load(path)
	if err == nil {
		t.Fatal("it is taken")
	}
	for _, want := range []string{":1:9: ", ":3:21: ", `the name "a" is taken`, "exactly one of url", "a receiver needs a name", ":6:17: ", ":7:22: ", ":8:19: "} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("it does not say %q:\n%v", want, err)
		}
	}
	if strings.Contains(err.Error(), "needs a type") {
		t.Errorf("a refused type is called missing:\n%v", err)
	}
}
