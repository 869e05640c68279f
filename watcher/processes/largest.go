package processes

import (
	"fmt"
	"sync"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/proc"
	"github.com/oomwatch/oomwatch/redact"
)

// Largest is the process of a container that holds the most memory now; false where none
// can be seen.
func (o *Options) Largest(container string) (largest proc.Task, ok bool) {
	tasks, err := proc.Tasks(o.Proc)
	if err != nil {
		return largest, false
	}
	for _, t := range tasks {
		if t.Resident > largest.Resident && o.Container(t.PID) == container {
			largest, ok = t, true
		}
	}
	return largest, ok
}

// Growers says which process of a container holds the most, and by how much it grew since
// it was seen first.
type Growers struct {
	opt *Options

	mu    sync.Mutex
	first map[string]grower // by container
}

type grower struct {
	pid  int
	held int64
	at   time.Time
}

// mostGrowers is of how many containers the process is remembered.
const mostGrowers = 4096

// NewGrowers returns Growers of the processes that the options name.
func NewGrowers(opt *Options) *Growers { return &Growers{opt: opt, first: map[string]grower{}} }

// Say is the process in words, and its runtime; both "" where none can be seen.
func (g *Growers) Say(container string, now time.Time) (process, runtime string) {
	t, ok := g.opt.Largest(container)
	if !ok {
		return "", ""
	}
	process = fmt.Sprintf("its largest process is %s (pid %d) with %s", redact.Sanitize(t.Comm), t.PID, incident.FormatBytes(t.Resident))
	g.mu.Lock()
	defer g.mu.Unlock()
	switch f, known := g.first[container]; {
	case !known || f.pid != t.PID:
		if len(g.first) >= mostGrowers {
			clear(g.first)
		}
		g.first[container] = grower{t.PID, t.Resident, now}
	case t.Resident-f.held >= max(1<<20, f.held/20):
		process += fmt.Sprintf(", and it grew by %s in %s", incident.FormatBytes(t.Resident-f.held), incident.FormatDuration(now.Sub(f.at)))
	}
	return process, proc.Runtime(g.opt.Proc, t.PID)
}
