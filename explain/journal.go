package explain

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/kmsg"
	"github.com/oomwatch/oomwatch/observe"
)

// journal is the kernel's log as the host has kept it: what the ring has overwritten
// since, and what was before the last boot. Run reads it once. Where the host keeps
// none it tells nothing: the ring is the witness, and says itself when it is blind.
type journal struct {
	since time.Time
	// files are read where there is no journalctl, the older ones first.
	files []string
}

// syslogFiles are where syslog daemons keep the kernel's messages.
var syslogFiles = []string{"/var/log/kern.log.1", "/var/log/kern.log", "/var/log/messages.1", "/var/log/messages"}

// journalWait bounds the reading of a journal of many gigabytes; what came is used.
const journalWait = 10 * time.Second

func (journal) Name() string { return "journal" }

func (j journal) Run(ctx context.Context, emit func(observe.Observation)) error {
	ctx, cancel := context.WithTimeout(ctx, journalWait)
	defer cancel()
	yield := func(ev *kmsg.Event) error {
		switch {
		case ev.Episode != nil && ev.Episode.Time.After(j.since):
			emit(observe.Observation{At: ev.Episode.Time, Episode: ev.Episode})
		case ev.Fault != nil && ev.Fault.Time.After(j.since):
			emit(observe.Observation{At: ev.Fault.Time, Fault: ev.Fault})
		}
		return nil
	}
	opt := kmsg.ScanOptions{Location: time.Local}
	path, err := exec.LookPath("journalctl")
	if err != nil {
		for _, name := range j.files {
			if _, err := kmsg.ScanFiles(ctx, []string{name}, opt, yield); err != nil && !errors.Is(err, os.ErrNotExist) {
				return fmt.Errorf("read the kernel's messages: %w", err)
			}
		}
		return nil
	}
	cmd := exec.CommandContext(ctx, path, "--quiet", "--no-pager", "--output=json", fmt.Sprintf("--since=@%d", j.since.Unix()), "_TRANSPORT=kernel")
	out, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("read the journal: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("read the journal: %w", err)
	}
	_, err = kmsg.Scan(ctx, out, "journal", opt, yield)
	cancel() // what is left unread after an error is of no use
	_ = cmd.Wait()
	if err != nil {
		return fmt.Errorf("read the journal: %w", err)
	}
	return nil
}

// sameRecord is how far apart the ring's and a log's stamps of one record may be.
const sameRecord = 5 * time.Second

// withoutRepeats leaves out what a log on disk repeats of the ring. Of a report whose
// beginning the ring has lost the one on disk takes the place.
func withoutRepeats(obs []observe.Observation) []observe.Observation {
	reports := map[int][]int{} // of the ring, by the pid of each victim
	faults := map[int][]int{}
	for i, o := range obs {
		switch {
		case o.Episode != nil && o.Episode.Seq != 0:
			for _, k := range o.Episode.Kills {
				reports[k.PID] = append(reports[k.PID], i)
			}
		case o.Fault != nil && o.Fault.Seq != 0:
			faults[o.Fault.PID] = append(faults[o.Fault.PID], i)
		}
	}
	again := func(in []int, at time.Time) int {
		return slices.IndexFunc(in, func(i int) bool { return obs[i].At.Sub(at).Abs() < sameRecord })
	}
	drop := map[int]bool{}
	for i, o := range obs {
		switch {
		case o.Episode != nil && o.Episode.Seq == 0:
			for _, k := range o.Episode.Kills {
				n := again(reports[k.PID], o.At)
				if n < 0 {
					continue
				}
				if part := &obs[reports[k.PID][n]]; o.Episode.Complete && !part.Episode.Complete {
					whole := *o.Episode
					whole.Seq, part.Episode = part.Episode.Seq, &whole
				}
				drop[i] = true
			}
		case o.Fault != nil && o.Fault.Seq == 0:
			drop[i] = again(faults[o.Fault.PID], o.At) >= 0
		}
	}
	var kept []observe.Observation
	for i, o := range obs {
		if !drop[i] {
			kept = append(kept, o)
		}
	}
	return kept
}

// sameKill is true where two incidents are of one kill: what was read from a log on
// disk has another id than what the ring told.
func sameKill(a, b *incident.Incident) bool {
	return a.Kind != incident.KindDeath && b.Kind != incident.KindDeath && a.Victim != nil && b.Victim != nil &&
		a.Victim.PID == b.Victim.PID && a.Victim.Comm == b.Victim.Comm && a.Time.Sub(b.Time).Abs() < sameRecord
}
