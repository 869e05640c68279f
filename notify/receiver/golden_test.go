package receiver

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/redact"
	"github.com/oomwatch/oomwatch/render"
	"github.com/oomwatch/oomwatch/test/race"
	rules "github.com/oomwatch/oomwatch/verdict"
)

var update = flag.Bool("update", false, "write the golden files anew")

const mib = 1 << 20

// init sets the zone in which times are written for people.
func init() { time.Local = time.UTC }

func at(s string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		panic(err)
	}
	return t
}

func base(name string, cause incident.Cause, conf incident.Confidence, summary string) *incident.Incident {
	return &incident.Incident{Schema: incident.Schema, ID: "d-5f3a9c-" + name, Kind: incident.KindDeath, Time: at("2026-11-21T07:56:40.848Z"),
		Cause: cause, Confidence: conf, Severity: cause.Info().Severity, Summary: summary, Count: 1, SeenLive: new(true),
		Host: &incident.Host{Name: "node-7", Kernel: "6.12.107", Cgroup: "v2", Engine: "docker 26.1.5"},
		Container: &incident.Container{ID: strings.Repeat("4fd21a9b", 8), Name: "web", Image: "shop/web:1.4", Runtime: "docker",
			Compose: &incident.Compose{Project: "shop", Service: "web"}, StartedAt: at("2026-11-21T07:41:02Z"), FinishedAt: at("2026-11-21T07:56:40.84Z"),
			RestartCount: new(3), RestartPolicy: "on-failure:5", Running: new(false)}}
}

// cases are incidents to show, one for each class of cause.
func cases() map[string]*incident.Incident {
	out := map[string]*incident.Incident{}

	own := base("own", incident.OOMContainer, incident.Certain, "web was OOM-killed at its own 32 MiB limit: tail held 31.6 MiB of anonymous memory")
	own.Container.ExitCode, own.Container.Signal, own.Container.OOMKilledFlag = new(137), "SIGKILL", new(true)
	own.Container.MemoryLimit = new(int64(32 * mib))
	own.Victim = &incident.Process{PID: 5300, Comm: "tail", UID: new(0), Main: new(true), AnonRSS: new(int64(33161216)), FileRSS: new(int64(1327104)), ShmemRSS: new(int64(0)), OOMScoreAdj: new(0)}
	own.Trigger = &incident.Process{PID: 5300, Comm: "tail"}
	own.Killer = &incident.Killer{Kind: "kernel", Name: "OOM killer"}
	own.OOM = &incident.OOM{Constraint: "memcg", OOMMemcg: "/docker/4fd2", TaskMemcg: "/docker/4fd2", Usage: new(int64(32 * mib)), Limit: new(int64(32 * mib)), Failcnt: new(int64(144)), Complete: true, Kills: 1}
	own.Memory = &incident.Memory{Anon: new(int64(33161216)), File: new(int64(0)), Shmem: new(int64(0)), Kernel: new(int64(344064)), Slab: new(int64(118784))}
	own.Hog = &incident.Hog{Container: "web", Comm: "tail", PID: 5300, RSS: new(int64(34488320))}
	for i := range 12 {
		own.Processes = append(own.Processes, incident.Process{PID: 5300 + i, Comm: []string{"tail", "sh", "nginx"}[i%3], RSS: new(int64(34488320 / (i + 1))), Swap: new(int64(0)), OOMScoreAdj: new(0), Container: "web"})
	}
	own.History = &incident.History{Trend: "spike", Slope: new(500000.0)}
	for i := range 30 {
		b := int64(4 * mib)
		if i > 24 {
			b += int64(i-24) * 5 * mib
		}
		own.History.Points = append(own.History.Points, incident.Point{T: float64(i-30) * 2, Bytes: b})
	}
	own.Pressure = &incident.Pressure{SomeAvg10: new(12.4), FullAvg10: new(8.1), SomeTotal: new(3.2), Scope: "cgroup"}
	own.Evidence = []incident.Evidence{
		{Source: "kmsg", Time: at("2026-11-21T07:56:40.812Z"), Text: "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/docker/4fd2,task_memcg=/docker/4fd2,task=tail,pid=5300,uid=0", Means: "the kernel reached the container's own limit"},
		{Source: "docker", Time: at("2026-11-21T07:56:40.848Z"), Text: "die (exitCode=137)", Means: "the engine saw it end with SIGKILL"},
	}
	own.Advice = []string{"tail alone held 31.6 MiB of anonymous memory. " + rules.LimitAdvice(32*mib, "set mem_limit: 48m (or deploy.resources.limits.memory) for service web in the compose file, then docker compose up -d") + " oomwatch triage shows whether it leaks."}
	own.LogTail = []string{"listening on :8080", "GET /export 200 18ms", "loading the whole table into memory"}
	out["oom_container"] = own

	child := base("child", incident.OOMContainer, incident.Certain, "web is still running; its child worker (pid 812) was OOM-killed at its own 64 MiB limit (14th time today)")
	child.Kind, child.Container.Running, child.Container.FinishedAt = incident.KindKill, new(true), time.Time{}
	child.Victim = &incident.Process{PID: 812, Comm: "worker", Main: new(false), AnonRSS: new(int64(50 * mib))}
	child.OOM = &incident.OOM{Constraint: "memcg", Usage: new(int64(64 * mib)), Limit: new(int64(64 * mib)), Complete: true, Kills: 1}
	child.Count = 14
	out["oom_child"] = child

	parent := base("parent", incident.OOMAncestor, incident.Certain, "web was OOM-killed because its parent cgroup /shop.slice reached its 512 MiB limit: postgres (pid 77) held the most, 400 MiB, in db")
	parent.Victim = &incident.Process{PID: 5300, Comm: "node", Main: new(true), AnonRSS: new(int64(90 * mib))}
	parent.Trigger = &incident.Process{PID: 91, Comm: "postgres"}
	parent.OOM = &incident.OOM{Constraint: "memcg", OOMMemcg: "/shop.slice", TaskMemcg: "/shop.slice/web", Usage: new(int64(512 * mib)), Limit: new(int64(512 * mib)), Complete: true, Kills: 1}
	parent.Hog = &incident.Hog{Container: "db", Comm: "postgres", PID: 77, RSS: new(int64(400 * mib))}
	out["oom_ancestor"] = parent

	host := base("host", incident.OOMHost, incident.Certain, "java (pid 991) was OOM-killed because the host ran out of memory: chrome (pid 40) held the most, 6.2 GiB")
	host.Kind, host.Container, host.Unit = incident.KindHost, nil, "ci-runner.service"
	host.Victim = &incident.Process{PID: 991, Comm: "java", AnonRSS: new(int64(3 << 30)), OOMScoreAdj: new(500)}
	host.OOM = &incident.OOM{Constraint: "none", Complete: true, Kills: 1}
	host.Gaps = []incident.Gap{{Source: "kmsg", From: at("2026-11-21T07:56:39Z"), To: at("2026-11-21T07:56:40Z"), Lost: 120, Reason: "the ring was overrun"}}
	out["oom_host"] = host

	stop := base("stop", incident.KillStopTimeout, incident.Certain, "web was asked to stop, had not stopped after 10 s, and was killed with SIGKILL (not OOM)")
	stop.Container.ExitCode, stop.Container.Signal, stop.Killer = new(137), "SIGKILL", &incident.Killer{Kind: "engine", Name: "docker"}
	out["kill_stop_timeout"] = stop

	unknown := base("unknown", incident.KillUnknown, incident.Possible, "web ended with 137 (SIGKILL) and no source saw who sent it; nothing points to OOM")
	unknown.Container.ExitCode, unknown.Container.Signal, unknown.SeenLive = new(137), "SIGKILL", new(false)
	unknown.Gaps = []incident.Gap{{Source: "docker", From: at("2026-11-21T07:50:00Z"), To: at("2026-11-21T07:57:00Z"), Reason: "the engine was down"}}
	out["kill_unknown"] = unknown

	crash := base("crash", incident.CrashSignal, incident.Certain, "web crashed with SIGSEGV: it made a bad memory access in libssl.so.3")
	crash.Container.ExitCode, crash.Container.Signal = new(139), "SIGSEGV"
	crash.LogTail = []string{"panic: nil pointer"}
	out["crash_signal"] = crash

	exec := base("exec", incident.ExecFailed, incident.Certain, `web did not start (exit code 127): exec: "serve": executable file not found in $PATH`)
	exec.Container.ExitCode = new(127)
	out["exec_failed"] = exec

	exit := base("exit", incident.ExitError, incident.Certain, "web exited with code 3: KeyError: 'DATABASE_URL'")
	exit.Container.ExitCode = new(3)
	exit.LogTail = []string{"Traceback (most recent call last):", "  File \"/app/main.py\", line 12, in <module>", "KeyError: 'DATABASE_URL'"}
	out["exit_error"] = exit

	out["bare"] = &incident.Incident{Schema: incident.Schema, ID: "x", Kind: incident.KindHost, UptimeSeconds: new(812.5), Cause: incident.UnknownCause,
		Confidence: incident.Possible, Severity: incident.Critical, Summary: "something ended", Unverified: true, Count: 1}

	out["hostile"] = hostile()
	return out
}

// evil tries everything at once: mentions, links, formatting, code fences,
// terminal sequences, bidi, newlines, a byte that is no UTF-8.
const evil = "<!channel> <@U123> <https://evil.example|click> @here *b* _i_ ~s~ `c` ```fence``` &amp; \x1b[2J\x1b]0;t\x07 \u202egnp.exe \u200b\r\nnew line \xff end"

func hostile() *incident.Incident {
	h := base("hostile", incident.OOMContainer, incident.Likely, "web "+redact.Sanitize(evil)+" was OOM-killed")
	h.Container.Name, h.Container.Image, h.Container.RestartPolicy = evil, evil, evil
	h.Container.Compose = &incident.Compose{Project: evil, Service: evil}
	h.Container.Pod = &incident.Pod{UID: evil, Namespace: evil, Name: evil}
	h.Victim = &incident.Process{PID: 1, Comm: evil, AnonRSS: new(int64(mib))}
	h.Trigger = &incident.Process{PID: 2, Comm: evil}
	h.Killer = &incident.Killer{Kind: "process", PID: 3, Comm: evil, Name: evil}
	h.OOM = &incident.OOM{OOMMemcg: evil, TaskMemcg: evil, Limit: new(int64(mib)), Usage: new(int64(mib))}
	h.Hog = &incident.Hog{Container: evil, Comm: evil, PID: 4, RSS: new(int64(mib))}
	h.Processes = []incident.Process{{PID: 1, Comm: evil, RSS: new(int64(mib)), Container: evil}, {PID: 4, Comm: evil, RSS: new(int64(mib)), Container: evil}}
	h.Evidence = []incident.Evidence{{Source: "kmsg", Text: evil, Means: evil}}
	h.Advice = []string{"Look at " + evil}
	h.Gaps = []incident.Gap{{Source: "kmsg", Reason: evil}}
	h.Host = &incident.Host{Name: evil, Kernel: evil, Engine: evil}
	h.LogTail = []string{evil, "```", strings.Repeat("<", 5000)}
	return h
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Errorf("%s (-want +got):\n%s", name, d)
	}
}

func slackAlert(a incident.Alert) *slackMessage    { return slackMessageOf(render.OutlineOf(a, true)) }
func slackDigest(d *incident.Digest) *slackMessage { return slackMessageOf(render.OutlineOfDigest(d)) }

func TestSlackGolden(t *testing.T) {
	for name, inc := range cases() {
		m := slackAlert(incident.Alert{DeliveryID: "x", Incident: inc, Attempt: 1, Repeat: name == "kill_unknown"})
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		if err := enc.Encode(m); err != nil {
			t.Fatal(err)
		}
		golden(t, name+".slack.json", b.Bytes())
		checkSlack(t, name, m)
	}
}

// checkSlack holds a message against Slack's limits and looks for anything that
// could mention, link, format or break out.
func checkSlack(t *testing.T, name string, m *slackMessage) {
	t.Helper()
	if strings.TrimSpace(m.Text) == "" || len(m.Blocks) == 0 || len(m.Blocks) > 50 || m.Mrkdwn || m.UnfurlLinks {
		t.Errorf("%s: text %q, %d blocks", name, m.Text, len(m.Blocks))
	}
	total := utf8.RuneCountInString(m.Text)
	check := func(kind, s string, limit int) {
		n := utf8.RuneCountInString(s)
		total += n
		if n == 0 || n > limit || !utf8.ValidString(s) {
			t.Errorf("%s: %s of %d characters, at most %d", name, kind, n, limit)
		}
		// The one code span is ours: the log's line.
		s = slackLogLine.ReplaceAllString(s, "")
		if strings.Contains(s, "`") {
			t.Errorf("%s: code can be left: %q", name, s)
		}
		if strings.ContainsAny(s, "<>@~") {
			t.Errorf("%s: %s can mention, link or format: %q", name, kind, s)
		}
		for rest := s; ; {
			i := strings.IndexByte(rest, '&')
			if i < 0 {
				break
			}
			rest = rest[i:]
			if !strings.HasPrefix(rest, "&amp;") && !strings.HasPrefix(rest, "&lt;") && !strings.HasPrefix(rest, "&gt;") {
				t.Errorf("%s: a bare & in %q", name, s)
			}
			rest = rest[1:]
		}
		for _, r := range s {
			if r != '\n' && !unicode.IsPrint(r) {
				t.Errorf("%s: %U in %q", name, r, s)
			}
		}
	}
	check("text", m.Text, maxFallback)
	total -= utf8.RuneCountInString(m.Text)
	for _, b := range m.Blocks {
		switch b.Type {
		case "header":
			check("header", b.Text.Text, 150)
		case "section":
			check("section", b.Text.Text, 3000)
		case "context":
			for _, e := range b.Elements {
				check("context", e.Text, 3000)
			}
		default:
			t.Errorf("%s: block %q", name, b.Type)
		}
	}
	if total > 10_000 {
		t.Errorf("%s: %d characters in all", name, total)
	}
}

func TestSlackStaysWithinItsLimits(t *testing.T) {
	huge := hostile()
	huge.Summary = strings.Repeat("<&> ", 10_000)
	huge.Container.Name = strings.Repeat("&", 5000)
	huge.Advice = []string{strings.Repeat("`", 20_000), strings.Repeat("é", 20_000)}
	huge.LogTail = nil
	for range 500 {
		huge.LogTail = append(huge.LogTail, strings.Repeat("&<>", 700))
	}
	for range 500 {
		huge.Gaps = append(huge.Gaps, incident.Gap{Source: "kmsg", Reason: evil})
	}
	checkSlack(t, "huge", slackAlert(incident.Alert{Incident: huge, Repeat: true}))
	var ds []incident.Delivery
	for i := range race.Or(3000, 300) {
		inc := hostile()
		inc.ID = fmt.Sprint(i)
		ds = append(ds, incident.Delivery{Incident: inc})
	}
	checkSlack(t, "digest", slackDigest(incident.NewDigest(ds, "hook", 0)))
}

func TestSlackAnswer(t *testing.T) {
	for body, want := range map[string]string{
		"ok": "told", "ok\n": "told", "": "told", `{"ok":true}`: "told",
		`{"ok":false,"error":"invalid_payload"}`: "never", `{"ok":false,"error":"ratelimited"}`: "later", `{"ok":false,"error":"internal_error"}`: "again",
		"<html>login</html>": "unsure", "o": "unsure",
	} {
		p := &poster{url: "https://hooks.slack.com/services/" + canary, now: time.Now}
		if got := verdict(slackAnswer(p, []byte(body))); got != want {
			t.Errorf("%q: %s, want %s", body, got, want)
		}
	}
}

func TestTextGolden(t *testing.T) {
	for name, inc := range cases() {
		var b bytes.Buffer
		if err := render.WriteText(&b, inc, render.TextOptions{}); err != nil {
			t.Fatal(err)
		}
		golden(t, name+".txt", b.Bytes())
		b.Reset()
		if err := render.WriteAlert(&b, incident.Alert{Incident: inc}, render.TextOptions{}); err != nil {
			t.Fatal(err)
		}
		golden(t, name+".alert.txt", b.Bytes())
	}
	var list []*incident.Incident
	for _, name := range []string{"oom_container", "oom_child", "oom_host", "kill_stop_timeout", "hostile", "bare"} {
		list = append(list, cases()[name])
	}
	var b bytes.Buffer
	if err := render.WriteTable(&b, list, render.TextOptions{}); err != nil {
		t.Fatal(err)
	}
	golden(t, "table.txt", b.Bytes())
}

// TestTextIsSafe: whatever the incident holds, every line fits, and nothing but
// printable characters and our own colours reaches the terminal.
func TestTextIsSafe(t *testing.T) {
	for name, inc := range cases() {
		for _, width := range []int{40, 80, 120} {
			var b bytes.Buffer
			if err := render.WriteText(&b, inc, render.TextOptions{Width: width}); err != nil {
				t.Fatal(err)
			}
			for l := range strings.SplitSeq(b.String(), "\n") {
				if n := utf8.RuneCountInString(l); n > width {
					t.Errorf("%s at %d: %d columns: %q", name, width, n, l)
				}
				for _, r := range l {
					if !unicode.IsPrint(r) {
						t.Errorf("%s: %U in %q", name, r, l)
					}
				}
			}
			b.Reset()
			if err := render.WriteTable(&b, []*incident.Incident{inc}, render.TextOptions{Width: width}); err != nil {
				t.Fatal(err)
			}
			for l := range strings.SplitSeq(b.String(), "\n") {
				if utf8.RuneCountInString(l) > width || strings.ContainsFunc(l, func(r rune) bool { return !unicode.IsPrint(r) }) {
					t.Errorf("%s: table at %d: %q", name, width, l)
				}
			}
		}
	}
}
