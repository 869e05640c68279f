package docs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oomwatch/oomwatch/audit"
	"github.com/oomwatch/oomwatch/incident"
)

// firstColumn is what stands, quoted, in the first column of a document's tables.
func firstColumn(text string) []string {
	var out []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)`").FindAllStringSubmatch(text, -1) {
		out = append(out, m[1])
	}
	return out
}

func TestCausesAreDocumented(t *testing.T) {
	var want []string
	for _, c := range incident.Causes {
		want = append(want, string(c.Code))
	}
	got := firstColumn(read(t, "docs/causes.md"))
	slices.Sort(want)
	slices.Sort(got)
	got = slices.Compact(got) // the table of what was told of real deaths names them again
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("docs/causes.md: -causes there are +causes documented:\n%s", diff)
	}
}

// TestRulesAreDocumented holds the audit's table to its rules: id, severity and CIS number.
func TestRulesAreDocumented(t *testing.T) {
	var want []string
	for _, r := range audit.Rules() {
		want = append(want, fmt.Sprintf("%s %s %s", r.ID, r.Severity, r.CIS))
	}
	var got []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\| (\\w+) \\| ([0-9.]*) *\\|(?: [^|]*\\|){2}$").FindAllStringSubmatch(read(t, "docs/audit.md"), -1) {
		got = append(got, strings.Join(m[1:], " "))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("docs/audit.md: -rules there are +rules documented:\n%s", diff)
	}
}

// TestCommandsAreDocumented holds the README's table and the manual against the
// program's own list.
func TestCommandsAreDocumented(t *testing.T) {
	help, _ := oomwatch(t, "--help")
	_, list, _ := strings.Cut(help, "Available Commands:\n")
	list, _, _ = strings.Cut(list, "\n\n")
	manual, readme := read(t, "docs/commands.md"), read(t, "README.md")
	n := 0
	for line := range strings.Lines(list) {
		name := strings.Fields(line)[0]
		if name == "help" {
			continue
		}
		n++
		if !regexp.MustCompile(`(?m)^## (.*\W)?` + name + `\b`).MatchString(manual) {
			t.Errorf("docs/commands.md has no heading for %s", name)
		}
		if name != "completion" && !strings.Contains(readme, "| `oomwatch "+name) {
			t.Errorf("README.md's table has no row for %s", name)
		}
	}
	if n < 6 {
		t.Errorf("only %d commands in:\n%s", n, help)
	}
}

// TestMetricsNamed looks that every metric a document names is one.
func TestMetricsNamed(t *testing.T) {
	source, err := exec.Command("git", "-C", root, "grep", "-h", "-o", "-E", `"oomwatch_[a-z_]+"`, "--", "*.go").Output()
	if err != nil {
		t.Fatalf("list the metrics: %v", err)
	}
	for _, doc := range documents(t) {
		for _, m := range regexp.MustCompile("`(oomwatch_[a-z_]+)`").FindAllStringSubmatch(read(t, doc), -1) {
			if !bytes.Contains(source, []byte(`"`+m[1]+`"`)) {
				t.Errorf("%s names %s, which no code registers", doc, m[1])
			}
		}
	}
}

// TestJSONExamples reads the examples as strictly as can be, and writes them again.
func TestJSONExamples(t *testing.T) {
	schemas := map[string]int{}
	for _, b := range blocks(t, "docs/alerts.md") {
		if b.kind != "json" {
			continue
		}
		var head struct{ Schema string }
		if err := json.Unmarshal([]byte(b.text()), &head); err != nil {
			t.Errorf("%s:%d: %v", b.doc, b.line, err)
			continue
		}
		schemas[head.Schema]++
		var into any
		switch head.Schema {
		case incident.Schema:
			into = &incident.Incident{}
		case incident.DigestSchema:
			into = &incident.Digest{}
		default:
			t.Errorf("%s:%d: unknown schema %q", b.doc, b.line, head.Schema)
			continue
		}
		dec := json.NewDecoder(strings.NewReader(b.text()))
		dec.DisallowUnknownFields()
		if err := dec.Decode(into); err != nil {
			t.Errorf("%s:%d: %v", b.doc, b.line, err)
			continue
		}
		again, err := json.Marshal(into)
		if err != nil {
			t.Fatal(err)
		}
		var want, got any
		if err := json.Unmarshal([]byte(b.text()), &want); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(again, &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s:%d: -shown +written again:\n%s", b.doc, b.line, diff)
		}
	}
	if schemas[incident.Schema] != 1 || schemas[incident.DigestSchema] != 1 {
		t.Errorf("examples in docs/alerts.md: %v", schemas)
	}
}

// verifyMain feeds the documented snippet one request: the header and the body
// from standard input, the key from its argument.
const verifyMain = `package main

import (
	"bufio"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

func main() {
	req, err := http.ReadRequest(bufio.NewReader(os.Stdin))
	if err != nil {
		panic(err)
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		panic(err)
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(os.Args[1], "whsec_"))
	if err != nil {
		panic(err)
	}
	fmt.Print(verify(req.Header, body, key))
}

`

// TestVerifySnippet compiles the documented verification and gives it a real
// request, the same with a changed body, and the same with another key.
func TestVerifySnippet(t *testing.T) {
	var snippet string
	for _, b := range blocks(t, "docs/alerts.md") {
		if b.kind == "go" {
			snippet += b.text()
		}
	}
	if !strings.HasPrefix(snippet, "func verify(") {
		t.Fatalf("docs/alerts.md shows no func verify, but: %q", snippet)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(verifyMain+snippet), 0o600); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "verify")
	if out, err := exec.Command("go", "build", "-o", program, filepath.Join(dir, "main.go")).CombinedOutput(); err != nil {
		t.Fatalf("build the snippet: %v\n%s", err, out)
	}
	const key, other = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	raw := signedRequest(t, key)
	for _, tt := range []struct {
		name, key string
		raw       []byte
		want      string
	}{
		{"as sent", key, raw, "<nil>"},
		{"another key", other, raw, "not signed with this key"},
		{"another body", key, bytes.Replace(raw, []byte(`"schema"`), []byte(`"schemA"`), 1), "not signed with this key"},
		{"an old one", key, regexp.MustCompile(`(Webhook-Timestamp: )\d+`).ReplaceAll(raw, []byte("${1}1700000000")), "too old, or the clocks differ"},
	} {
		cmd := exec.Command(program, tt.key)
		cmd.Stdin = bytes.NewReader(tt.raw)
		out, err := cmd.CombinedOutput()
		if err != nil || string(out) != tt.want {
			t.Errorf("%s: %s (%v), want %s", tt.name, out, err, tt.want)
		}
	}
}

// signedRequest is what a receiver gets from "notify test".
func signedRequest(t *testing.T, secret string) []byte {
	t.Helper()
	hook := newHook(t)
	conf := filepath.Join(t.TempDir(), "config.yaml")
	text := fmt.Sprintf("receivers:\n  - {name: hook, type: webhook, url: %q, secret: %q}\n", hook.URL, secret)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	oomwatch(t, "notify", "test", "--config", conf)
	select {
	case raw := <-hook.raw:
		return raw
	default:
		t.Fatal("nothing was sent")
		return nil
	}
}
