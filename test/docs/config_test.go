package docs

import (
	"encoding/pem"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
)

const example = "examples/config.yaml"

// knownKeys asks the program which keys it reads, by giving it one that no level
// has: "store.path", "receivers.name", "listen"...
func knownKeys(t *testing.T) []string {
	t.Helper()
	ask := func(yaml string) []string {
		path := writeFile(t, "config.yaml", yaml)
		out, err := exec.Command(binary, "config", "check", path).CombinedOutput()
		_, list, ok := strings.Cut(string(out), "Known here: ")
		if err == nil || !ok {
			t.Fatalf("config check of %q: %v\n%s", yaml, err, out)
		}
		list, _, _ = strings.Cut(list, "\n")
		return strings.Split(list, ", ")
	}
	var keys []string
	for _, top := range ask("zzzzzzzz: 1\n") {
		switch top {
		case "warnings":
			for _, k := range ask("warnings: {zzzzzzzz: 1}\n") {
				if k != "on_warning" {
					keys = append(keys, top+"."+k)
				}
			}
			for _, k := range ask("warnings: {on_warning: {zzzzzzzz: 1}}\n") {
				keys = append(keys, top+".on_warning."+k)
			}
		case "audit":
			for _, k := range ask("audit: {zzzzzzzz: 1}\n") {
				if k != "ignore" {
					keys = append(keys, top+"."+k)
				}
			}
			for _, k := range ask("audit: {ignore: [{zzzzzzzz: 1}]}\n") {
				keys = append(keys, top+".ignore."+k)
			}
		case "metrics", "store", "history", "docker", "cri", "podman", "alerts", "log", "web":
			for _, k := range ask(top + ": {zzzzzzzz: 1}\n") {
				keys = append(keys, top+"."+k)
			}
		case "receivers":
			for _, k := range ask("receivers: [{zzzzzzzz: 1}]\n") {
				keys = append(keys, top+"."+k)
			}
		default:
			keys = append(keys, top)
		}
	}
	slices.Sort(keys)
	return keys
}

func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// leaves flattens a configuration; of a list the keys of all its items count.
func leaves(t *testing.T, text string) map[string]any {
	t.Helper()
	var tree map[string]any
	if err := yaml.Unmarshal([]byte(text), &tree); err != nil {
		t.Fatal(err)
	}
	out := map[string]any{}
	var walk func(path string, v any)
	walk = func(path string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for k, below := range v {
				walk(strings.TrimPrefix(path+"."+k, "."), below)
			}
		case []any:
			out[path] = v
			for _, item := range v {
				if m, ok := item.(map[string]any); ok {
					delete(out, path)
					walk(path, m)
				}
			}
		default:
			out[path] = v
		}
	}
	walk("", tree)
	return out
}

// TestExampleConfig takes the example as it is, which must say the defaults, and
// with every line taken into use.
func TestExampleConfig(t *testing.T) {
	asIs := filepath.Join(root, example)
	if out, notes := oomwatch(t, "config", "check", asIs); !strings.HasSuffix(out, ": good\n") || notes != "" {
		t.Errorf("config check: %q %q", out, notes)
	}
	defaults, _ := oomwatch(t, "config", "show")
	if got, _ := oomwatch(t, "config", "show", asIs); got != defaults {
		t.Errorf("the example as it is changes the defaults:\n%s", cmp.Diff(defaults, got))
	}

	dir := t.TempDir()
	for name, text := range map[string]string{
		"slack-url": "https://hooks.example.org/slack", "payments-url": "https://hooks.example.org/pay", "heartbeat-url": "https://beat.example.org/1", "second-url": "https://hooks.example.org/second", "discord-url": "https://hooks.example.org/discord",
		"teams-url": "https://hooks.example.org/teams", "pager-secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "slack-token": "xoxb-1",
		"mail-password": "correct horse", "gotify-token": "Aexample", "matrix-token": "syt_example", "opsgenie-key": "0123-4567", "kubernetes-token": "eyJhbGciOiJSUzI1NiJ9",
		"mattermost-url": "https://chat.example.org/hooks/x", "google-chat-url": "https://chat.googleapis.com/v1/spaces/A/messages?key=k&token=t",
		"page-token": "0123456789abcdef0123", "discord.tmpl": "{{.Summary}}", "ca.pem": testCA(t),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("OOMWATCH_PAGERDUTY_KEY", "0123456789abcdef0123456789abcdef")
	t.Setenv("OOMWATCH_TELEGRAM_TOKEN", "123456:ABC-DEF1234ghIkl")
	t.Setenv("OOMWATCH_PAGER_URL", "https://pager.example.org/in")
	t.Setenv("OOMWATCH_SECOND_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	text := read(t, example)
	text = regexp.MustCompile(`(?m)^##.*\n`).ReplaceAllString(text, "")
	text = regexp.MustCompile(`(?m)^# `).ReplaceAllString(text, "")
	text = strings.ReplaceAll(text, "/etc/oomwatch/", dir+"/")
	full := writeFile(t, "config.yaml", text)
	if _, notes := oomwatch(t, "config", "check", full); notes != "" {
		t.Errorf("config check: %s", notes)
	}
	used := leaves(t, text)
	var keys []string
	for k := range used {
		keys = append(keys, k)
	}
	// Of these only one can be given; the example says so in words.
	keys = append(keys, "alerts.heartbeat_url", "alerts.heartbeat_url_env", "receivers.password", "receivers.password_env")
	slices.Sort(keys)
	if diff := cmp.Diff(knownKeys(t), keys); diff != "" {
		t.Errorf("%s: -keys there are +keys it shows:\n%s", example, diff)
	}
	// What the lines show as the default must be it. These have none.
	all, _ := oomwatch(t, "config", "show", full)
	shown := leaves(t, all)
	for k, v := range leaves(t, defaults) {
		if diff := cmp.Diff(v, shown[k]); diff != "" {
			t.Errorf("%s shows another default for %s:\n%s", example, k, diff)
		}
	}
}

// TestTemplateExample takes the template that the document shows, for every type
// that takes one.
func TestTemplateExample(t *testing.T) {
	tried := 0
	for _, b := range blocks(t, "docs/alerts.md") {
		if !strings.Contains(b.text(), "{{headline .}}") {
			continue
		}
		tmpl := writeFile(t, "alert.tmpl", b.text())
		for _, kind := range []string{"type: stdout", "type: journal", "type: slack, url: 'https://hooks.example.org/x'", "type: discord, url: 'https://hooks.example.org/x'"} {
			conf := writeFile(t, "config.yaml", "receivers: [{name: a, "+kind+", template_file: "+tmpl+"}]\n")
			oomwatch(t, "config", "check", conf)
			tried++
		}
		conf := writeFile(t, "config.yaml", "receivers: [{name: a, type: stdout, template_file: "+tmpl+"}]\n")
		if out, _ := oomwatch(t, "notify", "test", "--config", conf); !strings.Contains(out, "*oomwatch-test: out of memory: own limit* on ") || !strings.Contains(out, "> this is a test") {
			t.Errorf("%s", out)
		}
	}
	if tried == 0 {
		t.Error("docs/alerts.md shows no template")
	}
}

// testCA is a certificate.
func testCA(t *testing.T) string {
	t.Helper()
	srv := httptest.NewTLSServer(nil)
	defer srv.Close()
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}))
}

// TestConfigurationIsDocumented holds the tables against what the program reads.
func TestConfigurationIsDocumented(t *testing.T) {
	doc := read(t, "docs/configuration.md")
	tables, _, _ := strings.Cut(doc, "## Reload")
	known := knownKeys(t)
	var documented []string
	for _, m := range regexp.MustCompile("(?m)^\\| (`[^|]+`) \\|").FindAllStringSubmatch(tables, -1) {
		names := strings.Split(strings.ReplaceAll(m[1], "`", ""), ", ")
		for _, name := range names {
			if strings.HasPrefix(name, "_") {
				name = names[0] + name // the same key with another ending
			}
			documented = append(documented, name)
		}
	}
	documented = slices.DeleteFunc(documented, func(k string) bool { return k == "receivers" })
	slices.Sort(documented)
	if diff := cmp.Diff(known, documented); diff != "" {
		t.Errorf("docs/configuration.md: -keys there are +keys documented:\n%s", diff)
	}
	text, _ := oomwatch(t, "config", "show")
	for key, want := range leaves(t, text) {
		row := regexp.MustCompile("(?m)^\\| `" + regexp.QuoteMeta(key) + "` \\| `([^`]+)`").FindStringSubmatch(doc)
		if row == nil {
			t.Errorf("docs/configuration.md gives no default for %s", key)
			continue
		}
		var got any
		if err := yaml.Unmarshal([]byte(row[1]), &got); err != nil {
			t.Fatal(err)
		}
		if same := cmp.Equal(got, want) || sameDuration(got, want); !same {
			t.Errorf("docs/configuration.md: the default of %s is %v, not %v", key, want, got)
		}
	}
	for _, k := range []string{"log.level", "receivers.type", "receivers.min_severity"} {
		top, below, _ := strings.Cut(k, ".")
		src := top + ": {" + below + ": zzz}\n"
		if top == "receivers" {
			src = "receivers: [{" + below + ": zzz}]\n"
		}
		out, _ := exec.Command(binary, "config", "check", writeFile(t, "c.yaml", src)).CombinedOutput() // it fails, and says what is known
		_, list, ok := strings.Cut(string(out), "Known: ")
		list, _, _ = strings.Cut(list, "\n")
		row := regexp.MustCompile("(?m)^\\| `" + regexp.QuoteMeta(k) + "`.*$").FindString(doc)
		for _, word := range strings.Split(list, ", ") {
			if !ok || !strings.Contains(row, "`"+word+"`") {
				t.Errorf("docs/configuration.md: %s accepts %q, which its row does not say: %s", k, word, row)
			}
		}
	}
}

func sameDuration(a, b any) bool {
	x, ok1 := a.(string)
	y, ok2 := b.(string)
	if !ok1 || !ok2 {
		return false
	}
	d, err1 := time.ParseDuration(x)
	e, err2 := time.ParseDuration(y)
	return err1 == nil && err2 == nil && d == e
}
