package receiver

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// commandOf makes a command of a shell script.
func commandOf(t *testing.T, text string, timeout time.Duration) *Exec {
	t.Helper()
	path := filepath.Join(t.TempDir(), "command")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	e, err := NewExec(ExecOptions{Command: []string{path, "one", "two words"}, Timeout: timeout})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestExecOutcomes(t *testing.T) {
	big := alertOf("i-1")
	for range 2000 {
		big.Incident.LogTail = append(big.Incident.LogTail, strings.Repeat("x", 200))
	}
	for _, tt := range []struct{ name, text, want, says string }{
		{"told", "cat >/dev/null", "told", ""},
		{"reads nothing", "exit 0", "told", ""},
		{"reads a little", "head -c 10 >/dev/null", "told", ""},
		{"arguments", `[ "$1" = one ] && [ "$2" = "two words" ] && [ $# = 2 ]`, "told", ""},
		{"leaves a child behind", "sleep 3 & exit 0", "told", ""},
		{"fails", "echo no route to pager >&2; exit 1", "again", "exit status 1: no route to pager"},
		{"refuses", "echo not this one; exit 65", "never", "exit status 65: not this one"},
		{"is killed", "kill -9 $$", "again", "signal: killed"},
		{"prints a secret", "echo password=" + canary + "; exit 1", "again", "password=[redacted]"},
		{"prints control characters", `printf '\033[2J\nred\033[31m'; exit 1`, "again", `: \nred`},
		{"prints without end", "yes " + canary[:6] + " | head -c 5000000; exit 1", "again", "exit status 1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := commandOf(t, tt.text, time.Minute).Notify(t.Context(), big)
			hide(t, err)
			if got := verdict(err); got != tt.want || err != nil && (!strings.Contains(err.Error(), tt.says) || len(err.Error()) > 500 || strings.ContainsAny(err.Error(), "\x1b\n")) {
				t.Errorf("%s (%v), want %s and %q", got, err, tt.want, tt.says)
			}
		})
	}
}

// TestExecIsBounded: what takes too long ends, with all that it started.
func TestExecIsBounded(t *testing.T) {
	pidFile := filepath.Join(t.TempDir(), "pid")
	e := commandOf(t, "sleep 600 & echo $! >"+pidFile+"\nsleep 600", 300*time.Millisecond)
	err := e.Notify(t.Context(), alertOf("i-1"))
	if verdict(err) != "unsure" || !strings.Contains(err.Error(), "killed after 300 ms") {
		t.Errorf("%s: %v", verdict(err), err)
	}
	b, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	pid := strings.TrimSpace(string(b))
	for range 100 {
		st, err := os.ReadFile("/proc/" + pid + "/stat")
		if err != nil || strings.Contains(string(st), ") Z ") {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Errorf("the child %s lives on", pid)
}

func TestExecCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	err := commandOf(t, "sleep 600", time.Minute).Notify(ctx, alertOf("i-1"))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// TestExecSeesNoSecret: of our environment nothing goes along.
func TestExecSeesNoSecret(t *testing.T) {
	t.Setenv("OOMWATCH_PAGER_URL", "https://h/"+canary)
	out := filepath.Join(t.TempDir(), "env")
	a := alertOf("i-1")
	a.Update = true
	if err := commandOf(t, "env >"+out, time.Minute).Notify(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"OOMWATCH_ID=i-1\n", "OOMWATCH_KIND=death\n", "OOMWATCH_CAUSE=oom.container\n", "OOMWATCH_SEVERITY=critical\n", "OOMWATCH_ATTEMPT=1\n",
		"OOMWATCH_UPDATE=1\n", "OOMWATCH_DELIVERY=" + a.DeliveryID + "\n"} {
		if !strings.Contains(string(b), want) {
			t.Errorf("no %q in\n%s", want, b)
		}
	}
	if strings.Contains(string(b), canary) || strings.Contains(string(b), "HOME=") {
		t.Errorf("the environment holds\n%s", b)
	}
}
