package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"

	"github.com/oomwatch/oomwatch/explain"
	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/redact"
	"github.com/oomwatch/oomwatch/units"
)

// offline explains from saved files alone.
func (e *explainer) offline(ctx context.Context, what string) error {
	if err := e.files.Check(); err != nil {
		return usageError{err}
	}
	bar := newProgress(e.cmd.ErrOrStderr())
	e.files.Progress, e.files.Stdin = bar.at, e.cmd.InOrStdin()
	t := &teller{all: e.all}
	if e.files.FromEngine() {
		list, err := e.files.Joined(ctx)
		bar.clear()
		for _, inc := range list {
			if !explain.About(inc, what) {
				continue
			}
			if !e.out.json() {
				t.tell(inc)
				continue
			}
			t.count++
			if err := writeLines(e.cmd.OutOrStdout(), []*incident.Incident{inc}); err != nil {
				return err
			}
		}
		return e.finish(t, what, err)
	}
	// Each kill of the logs, in their order. As JSON they are printed while they are
	// read; a person gets the table first.
	var err error
	if e.out.json() {
		t.count, err = e.files.KillsJSON(ctx, what, e.cmd.OutOrStdout())
	} else {
		err = e.files.Kills(ctx, what, t.tell)
	}
	bar.clear()
	return e.finish(t, what, err)
}

// finish prints what is left to print, says what could not be told, and judges.
func (e *explainer) finish(t *teller, what string, err error) error {
	if len(t.kept) > 0 {
		w := bufio.NewWriter(e.cmd.OutOrStdout())
		if err := errors.Join(e.printText(w, t.newest(), t.count), w.Flush()); err != nil {
			return err
		}
	}
	notes := e.cmd.ErrOrStderr()
	stats := &e.files.Stats
	sayUnread(notes, stats)
	for _, s := range e.files.Spared {
		fmt.Fprintf(notes, "note: an OOM without a kill: %s\n", redact.Sanitize(s))
	}
	if err := errors.Join(err, e.files.Bad.Err(len(e.files.Logs), notes)); err != nil {
		return err
	}
	if t.count == 0 {
		if what != "" {
			fmt.Fprintf(notes, "oomwatch: no kill of %q found (%s read)\n", what, units.Count(int(stats.Lines), "line"))
		} else {
			fmt.Fprintf(notes, "oomwatch: no kill found (%s read)\n", units.Count(int(stats.Lines), "line"))
		}
		if stats.Lines > 0 && e.files.NoKernelLine(e.cmd.Context()) {
			fmt.Fprintln(notes, "no line looks like the kernel's: save the kernel log with journalctl -k or dmesg -T")
		}
		return errNothing
	}
	return nil
}

// maxListed bounds the rows of the table, and with --all the stories: what is kept for
// them is memory, and a log may hold a million kills.
const maxListed = 10_000

// teller keeps the newest incidents for a table and the newest stories.
type teller struct {
	all   bool
	count int
	kept  []*incident.Incident
}

func (t *teller) tell(inc *incident.Incident) {
	t.count++
	if len(t.kept) == 2*maxListed {
		t.kept = append(t.kept[:0], t.kept[maxListed:]...)
		clear(t.kept[maxListed:cap(t.kept)])
	}
	t.kept = append(t.kept, inc)
	if old := len(t.kept) - 1 - maxStories; !t.all && old >= 0 {
		// Only the table will speak of it.
		slim := *t.kept[old]
		slim.Processes, slim.Evidence, slim.Memory, slim.Advice = nil, nil, nil, nil
		t.kept[old] = &slim
	}
}

// newest are those that are told, oldest first.
func (t *teller) newest() []*incident.Incident {
	return t.kept[max(0, len(t.kept)-maxListed):]
}
