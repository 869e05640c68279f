package warn

import (
	"fmt"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/redact"
	"github.com/oomwatch/oomwatch/units"
)

// Zombies takes a count of a container's zombies, or of the host's.
func (w *Warner) Zombies(z *incident.Zombies, at time.Time) []Alert {
	return w.counted(z.Container, at, func(st *state) {
		st.zombies = z
		st.judgeZombies(&w.opt.Rules, at)
	})
}

// OpenFiles takes a count of a process's open files.
func (w *Warner) OpenFiles(f *incident.OpenFiles, at time.Time) []Alert {
	return w.counted(f.Container, at, func(st *state) {
		st.files = f
		st.judgeFiles(&w.opt.Rules, at)
	})
}

// HostCounts takes a count of all that the host has.
func (w *Warner) HostCounts(c *incident.HostCounts, at time.Time) []Alert {
	return w.counted(HostID, at, func(st *state) {
		st.host = c
		st.judgeTasks(&w.opt.Rules, at)
		st.judgeHostFiles(&w.opt.Rules, at)
	})
}

// counted looks at a container, or the host, of which something was counted.
func (w *Warner) counted(id string, at time.Time, look func(*state)) []Alert {
	w.tick(at)
	var run Run
	if id != HostID {
		var ok bool
		if run, ok = w.opt.Run(id); !ok || run.Silent {
			return nil
		}
	}
	st := w.state(id)
	if st.start.IsZero() {
		st.start = run.Start
	}
	st.name = run.Name
	look(st)
	return w.settle(st)
}

// What nobody has counted is calm: so a warning that an earlier program left ends.

func (st *state) judgeZombies(r *Rules, at time.Time) {
	l := calm
	if z := st.zombies; z != nil && r.Zombies > 0 {
		l = over(float64(z.N), float64(r.Zombies), float64(r.Zombies)/2)
	}
	st.see(Zombies, l, at, 0, r.ResolveAfter)
}

func (st *state) judgeFiles(r *Rules, at time.Time) {
	l := calm
	if f := st.files; f != nil {
		l = nearing(f.Open, f.Limit, r.FilesPercent)
	}
	st.see(OpenFiles, l, at, 0, r.ResolveAfter)
}

func (st *state) judgeTasks(r *Rules, at time.Time) {
	l := calm
	if h := st.host; h != nil {
		l = nearing(h.Tasks, h.TasksMax, r.TasksPercent)
	}
	st.see(HostTasks, l, at, 0, r.ResolveAfter)
}

func (st *state) judgeHostFiles(r *Rules, at time.Time) {
	l := calm
	if h := st.host; h != nil {
		l = nearing(h.Files, h.FilesMax, r.FilesPercent)
	}
	st.see(HostFiles, l, at, 0, r.ResolveAfter)
}

// nearing is how a count stands of which there may be most, 0 for any number; a percent of
// 0 turns it off.
func nearing(n, most int64, percent float64) level {
	if percent == 0 || most <= 0 {
		return calm
	}
	return over(100*float64(n)/float64(most), percent, percent-hysteresis)
}

func zombiesWords(st *state, who string) told {
	z := st.zombies
	parent := fmt.Sprintf("%s (pid %d)", redact.Sanitize(z.ParentComm), z.Parent)
	t := told{
		confidence: incident.Likely, source: "proc",
		text:    fmt.Sprintf("%s; most of them are children of %s", units.Count(z.N, "zombie"), parent),
		means:   "a process that has ended keeps its pid until its parent waits for it",
		summary: fmt.Sprintf("%s has %s: %s does not wait for its children", who, units.Count(z.N, "zombie"), parent),
		advice:  fmt.Sprintf("Each zombie keeps a pid: end %s, or have it wait for its children. An init would not help: only the parent itself can wait.", parent),
	}
	if z.Main {
		t.summary = fmt.Sprintf("%s has %s: its main process %s does not wait for its children", who, units.Count(z.N, "zombie"), parent)
		how := "--init (compose: init: true)"
		if st.about != nil && st.about.Pod != nil {
			how = "tini before it in the image, or shareProcessNamespace: true in the pod"
		}
		t.advice = "Give it an init, which waits for orphans: " + how + ". For children that it starts itself, the program must wait."
	}
	if st.last.PIDsLimit > 0 {
		t.text += fmt.Sprintf("; its pids limit is %d", st.last.PIDsLimit)
	}
	return t
}

func tasksWords(st *state, who string) told {
	h := st.host
	return told{
		confidence: incident.Likely, source: "proc",
		text:    fmt.Sprintf("%d of %d processes and threads (%s)", h.Tasks, h.TasksMax, h.TasksOf),
		means:   "at that number no process and no thread can be started on the host",
		summary: fmt.Sprintf("%s has %d of the %d processes and threads that %s allows", who, h.Tasks, h.TasksMax, h.TasksOf),
		advice:  "See which container has the most pids (oomwatch top) and bound it: --pids-limit. Zombies count too.",
	}
}

func filesWords(st *state, who string) told {
	f := st.files
	name := fmt.Sprintf("%s (pid %d)", redact.Sanitize(f.Comm), f.PID)
	return told{
		confidence: incident.Likely, source: "proc",
		text:    fmt.Sprintf("%s has %d of %d files open", name, f.Open, f.Limit),
		means:   "at its limit every open, accept and socket fails with EMFILE (too many open files)",
		summary: fmt.Sprintf("%s: its process %s has %d of the %d files open that its limit allows", who, name, f.Open, f.Limit),
		advice:  fmt.Sprintf("See what they are: ls -l /proc/%d/fd. If they only ever grow, it does not close them; if it needs them, raise --ulimit nofile.", f.PID),
	}
}

func hostFilesWords(st *state, who string) told {
	h := st.host
	return told{
		confidence: incident.Likely, source: "proc",
		text:    fmt.Sprintf("%d of %d files open (fs.file-max)", h.Files, h.FilesMax),
		means:   "at that number no program on the host can open a file",
		summary: fmt.Sprintf("%s has %d of the %d files open that fs.file-max allows", who, h.Files, h.FilesMax),
		advice:  "Find who holds them: for p in /proc/[0-9]*; do echo $(ls $p/fd | wc -l) $p $(cat $p/comm); done | sort -n | tail. If they are needed: sysctl fs.file-max.",
	}
}
