package explain

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oomwatch/oomwatch/incident"
)

// TestInspectForms reads every form of testdata/inspect. A file is what people paste,
// then "-- CAUSE CONFIDENCE CODE SUBJECT": the summary begins with the subject.
func TestInspectForms(t *testing.T) {
	names, err := filepath.Glob("testdata/inspect/*.txt")
	if err != nil || len(names) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, name := range names {
		t.Run(filepath.Base(name), func(t *testing.T) {
			raw, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			text, want, ok := strings.Cut(string(raw), "\n-- ")
			if !ok {
				t.Fatal("the case has no answer")
			}
			inc := one(t, text+"\n")
			f := strings.SplitN(strings.TrimSpace(want), " ", 4)
			code := "-"
			if c := inc.Container.ExitCode; c != nil {
				code = fmt.Sprint(*c)
			}
			if got := fmt.Sprintf("%s %s %s", inc.Cause, inc.Confidence, code); got != strings.Join(f[:3], " ") {
				t.Errorf("%s, want %s: %s", got, strings.Join(f[:3], " "), inc.Summary)
			}
			if !strings.HasPrefix(inc.Summary, strings.Trim(f[3], `"`)) {
				t.Errorf("summary %q does not begin with %s", inc.Summary, f[3])
			}
			if strings.Contains(inc.Summary, "nothing points to OOM") || !gap(inc, "kmsg") {
				t.Errorf("the kernel log was not read, and is quoted or not in the gaps: %q %v", inc.Summary, inc.Gaps)
			}
		})
	}
}

// one explains the only end that a saved inspect output holds.
func one(t *testing.T, text string) *incident.Incident {
	t.Helper()
	name := filepath.Join(t.TempDir(), "inspect")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	f := Files{Inspect: []string{name}}
	list, err := f.Joined(context.Background())
	if err != nil || len(list) != 1 {
		t.Fatalf("%d incidents, error %v", len(list), err)
	}
	return list[0]
}

func gap(inc *incident.Incident, source string) bool {
	for _, g := range inc.Gaps {
		if g.Source == source {
			return true
		}
	}
	return false
}

// TestInspectRefused: what cannot help is refused, with the outputs that would.
func TestInspectRefused(t *testing.T) {
	for _, in := range []string{"", "hello", `{"a": 1}`, "kind: Pod\nmetadata: &a {x: *a}\n", "ExitCode: many OOMKilled: true"} {
		obs, alone, err := readInspect(strings.NewReader(in))
		if in != "" && (err == nil || !strings.Contains(err.Error(), "crictl inspect")) {
			t.Errorf("%q: %d and %d read, error %v", in, len(obs), len(alone), err)
		}
	}
}

func FuzzReadInspect(f *testing.F) {
	names, _ := filepath.Glob("testdata/inspect/*.txt")
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(b))
	}
	f.Fuzz(func(t *testing.T, in string) {
		_, alone, _ := readInspect(strings.NewReader(in))
		for i := range alone {
			if s := &alone[i]; (s.exit != nil || s.voice != nil) && s.incident(&joinOptions{}).Cause == "" {
				t.Errorf("%q has no cause", in)
			}
		}
	})
}
