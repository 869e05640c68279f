package docs

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oomwatch/oomwatch/test/lab"
)

// notRun are the commands that this test does not run, and why.
var notRun = map[string]string{
	"make test":                                     "it runs this test",
	"make bench":                                    "it takes minutes and proves nothing by ending",
	"systemctl daemon-reload":                       "needs a running systemd; TestUnitVerifies has systemd read the unit",
	"systemctl enable --now oomwatch":               "likewise",
	"systemctl reload oomwatch":                     "likewise; SIGHUP is tried in cmd/oomwatch",
	"docker compose -f examples/compose.yaml up -d": "the compose plugin is not everywhere; TestSidecar starts what the file says",
	"docker compose -f examples/compose.yaml exec oomwatch /oomwatch explain": "likewise; TestSidecar runs it by docker exec",
}

// TestCommands runs every command that a document shows, as it stands, against a
// real engine on which two containers were OOM-killed.
func TestCommands(t *testing.T) {
	e := lab.Start(t, lab.Options{})
	s := newSandbox(t, e.Host)
	config := fmt.Sprintf("receivers:\n  - {name: pager, type: webhook, url: 'http://%[1]s/hook'}\n  - {name: team, type: slack, url: 'http://%[1]s/slack'}\n", receiverAddr)
	s.write(t, "/etc/oomwatch/config.yaml", config, 0o600)
	standing := "exec oomwatch run --config /etc/oomwatch/config.yaml --log-format json"
	s.start(t, standing)
	t.Cleanup(s.stop)
	causeDeaths(t, e)
	saveFiles(t, s)

	unused := map[string]bool{}
	for line := range notRun {
		unused[line] = true
	}
	for _, doc := range documents(t) {
		if strings.HasPrefix(doc, "test/") {
			continue // for those who work on it, inside a virtual machine
		}
		t.Run(doc, func(t *testing.T) {
			// Another document may have put another one there.
			s.write(t, "/etc/oomwatch/config.yaml", config, 0o600)
			for _, c := range commands(t, doc) {
				at := fmt.Sprintf("%s:%d: $ %s", c.doc, c.line, c.text)
				if _, known := notRun[c.text]; known {
					delete(unused, c.text)
					continue
				}
				if missing := missingTool(c.text); missing != "" {
					t.Logf("%s: not run: %s is not installed", at, missing)
					continue
				}
				t.Log(at)
				if c.text == "make run" || strings.HasPrefix(c.text, "oomwatch run") {
					s.start(t, c.text+logFormat(c.text))
					s.stop()
					s.start(t, standing)
					continue
				}
				ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
				out, notes, err := s.sh(ctx, c.text)
				cancel()
				if err != nil {
					t.Errorf("%s: %v\n%s%s", at, err, out, notes)
				}
				checkOutput(t, at, c, out)
			}
		})
	}
	for line := range unused {
		t.Errorf("notRun has %q, which no document shows", line)
	}
	t.Run("alerts", func(t *testing.T) { checkAlerts(t, s) })
}

// logFormat lets the log be read where a command leaves its form open.
func logFormat(line string) string {
	if line == "make run" {
		return "" // no terminal: JSON by itself
	}
	return " --log-format json"
}

// missingTool is a program that a line pipes into and that a machine may lack.
func missingTool(line string) string {
	for _, tool := range []string{"jq", "curl"} {
		if regexp.MustCompile(`(^|\| )` + tool + ` `).MatchString(line) {
			if _, err := exec.LookPath(tool); err != nil {
				return tool
			}
		}
	}
	return ""
}

// causeDeaths has the containers die that the documents ask about: "report" as
// in the demo, and "web".
func causeDeaths(t *testing.T, e *lab.Engine) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var ids []string
	for _, name := range []string{"report", "web"} {
		ids = append(ids, e.MustRun(t, "--name", name, "-m", "64m", "--label", "com.docker.compose.project=shop", "--label", "com.docker.compose.service="+name,
			lab.Image, "sh", "-c", `echo "part 1 of 90"; sleep 1.2; exec prog eat -comm builder -rate 20000000`))
	}
	for _, id := range ids {
		if code, err := e.Wait(ctx, id); err != nil || code != 137 {
			t.Fatalf("container %.12s ended with %d: %v", id, code, err)
		}
	}
}

// saveFiles puts the files there that the documents name, and a journalctl that
// has a kernel log to print: test machines keep no journal.
func saveFiles(t *testing.T, s *sandbox) {
	t.Helper()
	for _, line := range []string{
		"dmesg -T >kern.log", "docker inspect web >web.json", "docker events --since 1h --until 0s --format '{{json .}}' >events.json",
	} {
		if out, notes, err := s.sh(t.Context(), line); err != nil {
			t.Fatalf("%s: %v\n%s%s", line, err, out, notes)
		}
	}
	var old bytes.Buffer
	z := gzip.NewWriter(&old)
	if _, err := z.Write([]byte(read(t, "examples/logs/container-limit.log"))); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	s.write(t, "kern.log.1.gz", old.String(), 0o644)
	s.write(t, "month.jsonl.gz", readings(t), 0o644)
	journal := filepath.Join(s.repo, "kmsg/testdata/captures/6.12-v2-docker-limit-journal-json.txt")
	s.write(t, filepath.Join(s.dir, "bin/journalctl"), "#!/bin/sh\nexec sed -e '1,/^-- log --$/d' -e '/^-- want --$/,$d' "+journal+"\n", 0o755)
}

// readings are those of one service over three weeks, a reading an hour, compressed.
func readings(t *testing.T) string {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	from := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	for n := range 21 * 24 {
		fmt.Fprintf(z, `{"time":%d,"service":"web","start":%t,"used_bytes":%d,"limit_bytes":%d}`+"\n", from.Add(time.Duration(n)*time.Hour).Unix(), n == 0, 100<<20+n<<18, 512<<20)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// checkOutput holds what a document shows against what came out: word for word
// where it can be known, else part by part.
func checkOutput(t *testing.T, at string, c command, out string) {
	t.Helper()
	switch {
	case c.text == "make demo":
		_, explained, _ := strings.Cut(out, "oomwatch explain report\n") // before it stands the alert
		if got, want := parts(explained), parts(shown(t, "README.md", "oomwatch explain report")); !slices.Equal(got, want) {
			t.Errorf("%s: the README shows %q, the demo tells %q:\n%s", at, want, got, out)
		}
	case c.want == "":
	case strings.Contains(c.text, "--log examples/"):
		if diff := cmp.Diff(c.want, out); diff != "" {
			t.Errorf("%s: -shown +printed:\n%s", at, diff)
		}
	default:
		if got, want := parts(out), parts(c.want); !slices.Equal(got, want) {
			t.Errorf("%s: shown are %q, printed are %q:\n%s", at, want, got, out)
		}
	}
}

// shown is the output that a document shows for a command.
func shown(t *testing.T, doc, line string) string {
	t.Helper()
	for _, c := range commands(t, doc) {
		if c.text == line && c.want != "" {
			return c.want
		}
	}
	t.Fatalf("%s shows no output of %q", doc, line)
	return ""
}

// sometimes are the parts that hang on chance: whose allocation failed, what else died
// that day, and what an alert has room for.
var sometimes = []string{"Trigger", "Held most", "Count", "Status", "Pressure"}

// parts are the labels and headings of an explanation, sorted, each once.
func parts(text string) []string {
	var out []string
	for _, m := range regexp.MustCompile(`(?m)^ *([A-Z][a-z]+(?: [a-z]+)*)(?:  .*)?$`).FindAllStringSubmatch(text, -1) {
		if !slices.Contains(sometimes, m[1]) {
			out = append(out, m[1])
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// checkAlerts holds the alert that the README shows against the real one.
func checkAlerts(t *testing.T, s *sandbox) {
	var real string
	wait(t, 20*time.Second, func() error {
		for _, body := range received(t, s.received(), "slack") {
			if strings.Contains(body, "report was OOM-killed") {
				real = body
				return nil
			}
		}
		return fmt.Errorf("nothing came to Slack of the container report")
	})
	want := labels(regexp.MustCompile(`\*([A-Z][a-z ]+):\*`), real)
	found := false
	for _, b := range blocks(t, "README.md") {
		if b.kind != "text" || !strings.Contains(b.text(), "Held by:") {
			continue
		}
		found = true
		got := labels(regexp.MustCompile(`(?m)^([A-Z][a-z ]+):`), b.text())
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s:%d: -Slack is told +shown:\n%s", b.doc, b.line, diff)
		}
	}
	if !found {
		t.Error("README.md shows no Slack alert")
	}
}

func labels(re *regexp.Regexp, text string) []string {
	var out []string
	for _, m := range re.FindAllStringSubmatch(text, -1) {
		if !slices.Contains(sometimes, m[1]) {
			out = append(out, m[1])
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
