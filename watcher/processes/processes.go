// Package processes is the source that counts processes: zombies by the parent that does
// not wait for them, open files against their limits, and all tasks against the host's.
package processes

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/observe"
	"github.com/oomwatch/oomwatch/proc"
)

const (
	// Rounds come roundEvery apart, further where one takes longer than a part in
	// roundShare of that.
	roundEvery, roundMost = 10 * time.Second, time.Minute
	roundShare            = 500
	// All processes are looked at where the host's counts of tasks or open files have
	// risen by so much since, while something is wrong, and once in scanMost.
	tasksRise, filesRise = zombiesFrom, 48
	scanMost             = time.Minute
	// zombiesFrom is how many zombies of one parent are worth a word, filesFrom the part
	// of the limit of open files.
	zombiesFrom = 20
	filesFrom   = 0.5
	// filesAtOnce is how many processes have their open files counted in one round: they
	// take turns.
	filesAtOnce = 200
)

// Options are what New needs.
type Options struct {
	// Proc is where the host's processes are seen.
	Proc string
	// Container is the id of the container that a process is in; "" for none.
	Container func(pid int) string
}

// Source counts processes. It implements observe.Source.
type Source struct {
	opt  Options
	said map[string]bool // containers of whose zombies something was said
	near map[string]int  // by container, the process that was near its limit of open files
	turn int             // the pid after which the next turn begins

	// scanned is when all processes were looked at last; the counts are the lowest since.
	scanned      time.Time
	tasks, files int64
}

// New returns a Source.
func New(opt Options) *Source {
	return &Source{opt: opt, said: map[string]bool{}, near: map[string]int{}}
}

// Name implements observe.Source.
func (s *Source) Name() string { return "processes" }

// Run implements observe.Source: it counts until ctx ends.
func (s *Source) Run(ctx context.Context, emit func(observe.Observation)) error {
	next := time.NewTimer(roundEvery / 2)
	defer next.Stop()
	said := ""
	for first := true; ; first = false {
		select {
		case <-ctx.Done():
			return nil
		case <-next.C:
		}
		began := time.Now()
		counted, err := s.round(began)
		reason := ""
		if err != nil {
			reason = err.Error()
		}
		if first || reason != said {
			said = reason
			emit(observe.Observation{At: began, Source: &observe.SourceState{Name: s.Name(), Kind: observe.KindProc, Up: err == nil, Reason: reason}})
		}
		if err == nil {
			emit(observe.Observation{At: began, Counted: counted})
		}
		next.Reset(min(max(roundEvery, roundShare*time.Since(began)), roundMost))
	}
}

// round counts once. The host's counts cost four reads, a look at all processes two of
// each: that waits until the counts give cause for it.
func (s *Source) round(now time.Time) (*observe.Counted, error) {
	c, err := proc.ReadCounts(s.opt.Proc)
	if err != nil {
		return nil, err
	}
	h := incident.HostCounts{Tasks: c.Tasks, TasksMax: c.PIDMax, TasksOf: "kernel.pid_max", Files: c.Files, FilesMax: c.FilesMax}
	if c.ThreadsMax < c.PIDMax {
		h.TasksMax, h.TasksOf = c.ThreadsMax, "kernel.threads-max"
	}
	out := &observe.Counted{Host: &h}
	s.tasks, s.files = min(s.tasks, c.Tasks), min(s.files, c.Files)
	if len(s.said)+len(s.near) == 0 && c.Tasks-s.tasks < tasksRise && c.Files-s.files < filesRise && now.Sub(s.scanned) < scanMost {
		return out, nil
	}
	s.scanned, s.tasks, s.files = now, c.Tasks, c.Files
	tasks, err := proc.Tasks(s.opt.Proc)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(tasks, func(a, b proc.Task) int { return cmp.Compare(a.PID, b.PID) })
	out.Zombies, out.Files = s.zombiesOf(tasks), s.filesOf(tasks)
	return out, nil
}

// zombiesOf are those of each container, with the parent that has the most. One that had
// some, and has none any more, is told with none.
func (s *Source) zombiesOf(tasks []proc.Task) []incident.Zombies {
	of := map[int]int{}
	names := map[int]string{}
	for i := range tasks {
		if t := &tasks[i]; t.Zombie() {
			of[t.Parent]++
		}
	}
	for i := range tasks {
		if of[tasks[i].PID] > 0 {
			names[tasks[i].PID] = tasks[i].Comm
		}
	}
	sums := map[string]*incident.Zombies{}
	most := map[string]int{}
	for parent, n := range of {
		if n < zombiesFrom && len(s.said) == 0 {
			continue // not worth finding out whose it is
		}
		id := s.opt.Container(parent)
		z := sums[id]
		if z == nil {
			z = &incident.Zombies{Container: id}
			sums[id] = z
		}
		if z.N += n; n > most[id] {
			most[id], z.Parent, z.ParentComm = n, parent, names[parent]
		}
	}
	for id := range s.said {
		if sums[id] == nil {
			sums[id] = &incident.Zombies{Container: id}
		}
	}
	var out []incident.Zombies
	for id, z := range sums {
		if z.N < zombiesFrom && !s.said[id] {
			continue
		}
		if z.N >= zombiesFrom {
			s.said[id] = true
		} else {
			delete(s.said, id)
		}
		if st, err := proc.ReadStatus(s.opt.Proc, z.Parent); err == nil && z.Parent > 0 {
			z.Main = id != "" && st.InnerPID == 1
		}
		out = append(out, *z)
	}
	slices.SortFunc(out, func(a, b incident.Zombies) int { return cmp.Compare(a.Container, b.Container) })
	return out
}

// filesOf are the processes that are near their limit of open files, one for each container.
// One that was, and is no more, is told with none.
func (s *Source) filesOf(tasks []proc.Task) []incident.OpenFiles {
	worst := map[string]incident.OpenFiles{}
	look := func(t *proc.Task) {
		f, ok := s.open(t)
		if !ok || float64(f.Open) < filesFrom*float64(f.Limit) {
			return
		}
		f.Container = s.opt.Container(t.PID)
		if w, seen := worst[f.Container]; !seen || f.Open*w.Limit > w.Open*f.Limit {
			worst[f.Container] = f
		}
	}
	from := max(slices.IndexFunc(tasks, func(t proc.Task) bool { return t.PID > s.turn }), 0)
	for n := range min(filesAtOnce, len(tasks)) {
		t := &tasks[(from+n)%len(tasks)]
		s.turn = t.PID
		look(t)
	}
	for _, pid := range s.near { // it may not be their turn
		if i, runs := slices.BinarySearchFunc(tasks, pid, func(t proc.Task, pid int) int { return cmp.Compare(t.PID, pid) }); runs {
			look(&tasks[i])
		}
	}
	var out []incident.OpenFiles
	for id := range s.near {
		if _, still := worst[id]; !still {
			out = append(out, incident.OpenFiles{Container: id})
			delete(s.near, id)
		}
	}
	for id, f := range worst {
		s.near[id] = f.PID
		out = append(out, f)
	}
	slices.SortFunc(out, func(a, b incident.OpenFiles) int { return cmp.Compare(a.Container, b.Container) })
	return out
}

func (s *Source) open(t *proc.Task) (f incident.OpenFiles, ok bool) {
	if t.Zombie() {
		return f, false
	}
	open, err := proc.OpenFiles(s.opt.Proc, t.PID)
	if err != nil || open < 16 {
		return f, false
	}
	limit, err := proc.OpenFilesLimit(s.opt.Proc, t.PID)
	if err != nil || limit <= 0 {
		return f, false
	}
	return incident.OpenFiles{PID: t.PID, Comm: t.Comm, Open: open, Limit: limit}, true
}
