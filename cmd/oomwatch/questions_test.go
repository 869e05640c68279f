package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// TestQuestions asks what people ask of saved files. A file of testdata/questions holds
// those files, "args" with their names after @, and "want", a line each:
//
//	cause oom.container|kill.unknown   a field of one line of -o json, or of either value
//	victim.pid -                       it is absent
//	has RE, hasnt RE                   in the text that is printed, as one line
//	count N, exit N                    incidents told, exit status
func TestQuestions(t *testing.T) {
	names, err := filepath.Glob("testdata/questions/*.txtar")
	if err != nil || len(names) == 0 {
		t.Fatalf("no questions: %v", err)
	}
	t.Setenv("TZ", "UTC")
	t.Setenv("DOCKER_HOST", "unix:///nonexistent")
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			var args, want []string
			for _, f := range a.Files {
				switch f.Name {
				case "args":
					args = strings.Fields(string(f.Data))
				case "want":
					want = strings.Split(strings.TrimSpace(string(f.Data)), "\n")
				default:
					if err := os.WriteFile(filepath.Join(dir, f.Name), f.Data, 0o600); err != nil {
						t.Fatal(err)
					}
				}
			}
			for i, arg := range args {
				if file, ok := strings.CutPrefix(arg, "@"); ok {
					args[i] = filepath.Join(dir, file)
				}
			}
			told, text, status := ask(t, args)
			for _, line := range want {
				if wrong := missed(line, told, text, status); wrong != "" {
					t.Errorf("%s: %s\n%s", line, wrong, text)
				}
			}
		})
	}
}

// ask runs the command for JSON and for text.
func ask(t *testing.T, args []string) (told []any, text string, status int) {
	t.Helper()
	var out, errs bytes.Buffer
	status = execute(context.Background(), append(args, "-o", "json"), &streams{in: strings.NewReader(""), out: &out, err: &errs})
	for line := range bytes.Lines(out.Bytes()) {
		var doc any
		if err := json.Unmarshal(line, &doc); err != nil {
			t.Fatalf("not JSON: %v: %s", err, line)
		}
		told = append(told, doc)
	}
	out.Reset()
	errs.Reset()
	execute(context.Background(), args, &streams{in: strings.NewReader(""), out: &out, err: &errs})
	return told, strings.Join(strings.Fields(out.String()+" "+errs.String()), " "), status
}

// missed says what of one line of want is not so; "" where it is.
func missed(line string, told []any, text string, status int) string {
	key, value, _ := strings.Cut(line, " ")
	switch key {
	case "has", "hasnt":
		if found := regexp.MustCompile(value).FindString(text); (found != "") != (key == "has") {
			return fmt.Sprintf("found %q", found)
		}
		return ""
	case "count":
		if fmt.Sprint(len(told)) != value {
			return fmt.Sprintf("%d told", len(told))
		}
		return ""
	case "exit":
		if fmt.Sprint(status) != value {
			return fmt.Sprintf("exit status %d", status)
		}
		return ""
	}
	var is []string
	for _, doc := range told {
		have := "-"
		for name := range strings.SplitSeq(key, ".") {
			m, _ := doc.(map[string]any)
			doc = m[name]
		}
		if doc != nil {
			have = fmt.Sprint(doc)
		}
		for one := range strings.SplitSeq(value, "|") {
			if have == one {
				return ""
			}
		}
		is = append(is, have)
	}
	return fmt.Sprintf("is %s", strings.Join(is, ", "))
}

// TestPrefixes has one kill behind every prefix, and in every shipper's JSON, that
// testdata/prefixes.txt lists, a line each: KILL stands for
// the kernel's line.
func TestPrefixes(t *testing.T) {
	const kill = "Memory cgroup out of memory: Killed process 23 (api) total-vm:148800kB, anon-rss:49600kB, file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:464kB oom_score_adj:0"
	raw, err := os.ReadFile("testdata/prefixes.txt")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(raw)) {
		if strings.HasPrefix(line, "#") || !strings.Contains(line, "KILL") {
			continue
		}
		n++
		name := filepath.Join(t.TempDir(), "log")
		if err := os.WriteFile(name, []byte(strings.Replace(line, "KILL", kill, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		told, text, _ := ask(t, []string{"explain", "--log", name})
		for _, want := range []string{"count 1", "victim.pid 23", "victim.comm api"} {
			if wrong := missed(want, told, text, 0); wrong != "" {
				t.Errorf("%s%s: %s", line, want, wrong)
			}
		}
	}
	if n < 50 {
		t.Errorf("only %d prefixes", n)
	}
}
