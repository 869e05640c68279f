package warn

import (
	"strings"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/incident"
)

func TestZombies(t *testing.T) {
	w := diskWarner(t)
	at := func(s int64) time.Time { return time.Unix(2000+s, 0) }
	if got := w.Zombies(&incident.Zombies{Container: "web", N: 60, Parent: 7, ParentComm: "sh"}, at(0)); len(got) != 0 {
		t.Errorf("%+v", got)
	}
	got := w.Zombies(&incident.Zombies{Container: "web", N: 100, Parent: 7, ParentComm: "x\x1b[31m"}, at(10))
	if len(got) != 1 || got[0].Incident.Cause != incident.LimitPids || !strings.HasPrefix(got[0].Incident.Summary, `web has 100 zombies: x\x1b[31m (pid 7) does not wait`) {
		t.Fatalf("%+v", got)
	}
	if strings.Contains(got[0].Incident.Advice[0], "--init") {
		t.Errorf("an init is advised where the parent is not the main process: %s", got[0].Incident.Advice[0])
	}
	// Gone for as long as a warning stays calm, it is over.
	w.Zombies(&incident.Zombies{Container: "web"}, at(20))
	over := w.Due(at(20 + 301))
	if len(over) != 1 || over[0].Incident.ResolvedAt.IsZero() {
		t.Errorf("%+v", over)
	}
	host := w.Zombies(&incident.Zombies{N: 500, Parent: 9, ParentComm: "cron"}, at(30))
	if len(host) != 1 || host[0].Incident.Container != nil || !strings.HasPrefix(host[0].Incident.Summary, "the host has 500 zombies: cron (pid 9)") {
		t.Errorf("%+v", host)
	}
}

func TestOpenFilesAndTasks(t *testing.T) {
	w := diskWarner(t)
	at := time.Unix(2000, 0)
	if got := w.OpenFiles(&incident.OpenFiles{Container: "web", PID: 3, Comm: "a", Open: 800, Limit: 1024}, at); len(got) != 0 {
		t.Errorf("%+v", got)
	}
	if got := w.OpenFiles(&incident.OpenFiles{Container: "web", PID: 3, Comm: "a", Open: 1000, Limit: 1024}, at); len(got) != 1 {
		t.Errorf("%+v", got)
	}
	got := w.HostCounts(&incident.HostCounts{Tasks: 31000, TasksMax: 32768, TasksOf: "kernel.pid_max", Files: 95, FilesMax: 100}, at)
	if len(got) != 2 || !strings.Contains(got[0].Incident.Summary+got[1].Incident.Summary, "31000 of the 32768 processes and threads that kernel.pid_max allows") {
		t.Errorf("%+v", got)
	}
}

// TestKeptCounts looks that a warning of a count that an earlier daemon opened ends once
// nobody counts so many any more, and not before that can be known.
func TestKeptCounts(t *testing.T) {
	old, at := diskWarner(t), time.Unix(2000, 0)
	old.OpenFiles(&incident.OpenFiles{Container: "web", PID: 3, Comm: "a", Open: 1000, Limit: 1024}, at)
	old.Zombies(&incident.Zombies{N: 500, Parent: 9, ParentComm: "cron"}, at)
	old.Log(&incident.LogFile{Container: "web", Bytes: 1 << 30, PerHour: 8 << 30, Unbounded: true, Free: -1}, at)
	kept, changed, err := old.State()
	if err != nil || !changed {
		t.Fatal(changed, err)
	}
	w, err := New(old.opt, kept)
	if err != nil {
		t.Fatal(err)
	}
	at = at.Add(time.Hour)
	if got := w.Due(at); len(got) != 0 {
		t.Errorf("over before anything was counted: %+v", got)
	}
	if got := w.Zombies(&incident.Zombies{N: 500, Parent: 9, ParentComm: "cron"}, at.Add(20*time.Second)); len(got) != 0 {
		t.Errorf("warned of again: %+v", got)
	}
	over := w.Due(at.Add(w.opt.Rules.ResolveAfter))
	if len(over) != 2 {
		t.Fatalf("%d are over, want that of the files and that of the log", len(over))
	}
	for _, a := range over {
		if a.Incident.ResolvedAt.IsZero() || !a.Update || a.Incident.Container == nil {
			t.Errorf("%+v", a.Incident)
		}
	}
}
