package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/kmsg"
	"github.com/oomwatch/oomwatch/observe"
	"github.com/oomwatch/oomwatch/redact"
	"github.com/oomwatch/oomwatch/verdict"
	"github.com/oomwatch/oomwatch/watcher"
	"github.com/oomwatch/oomwatch/watcher/docker"
)

// offline explains from saved files alone.
func (e *explainer) offline(ctx context.Context, what string) error {
	for _, list := range [][]string{e.logs, e.inspect, e.events} {
		for _, name := range list {
			if name == "" {
				return usageError{errors.New("a file has no name: give a path, or - for standard input")}
			}
		}
	}
	if n := countStdin(e.logs, e.inspect, e.events); n > 1 {
		return usageError{errors.New("standard input can be read once: give - for one file only")}
	}
	if len(e.inspect)+len(e.events) > 0 {
		return e.offlineJoined(ctx, what)
	}
	return e.offlineLogs(ctx, what)
}

func countStdin(lists ...[]string) (n int) {
	for _, l := range lists {
		for _, name := range l {
			if name == "-" {
				n++
			}
		}
	}
	return n
}

// offlineLogs tells each kill of kernel logs, in their order. As JSON they are
// printed while they are read, by all processors; a person gets the table first.
func (e *explainer) offlineLogs(ctx context.Context, what string) error {
	bar := newProgress(e.cmd.ErrOrStderr())
	t := &teller{all: e.all}
	var stats kmsg.ScanStats
	var err error
	if e.out.json() {
		var count atomic.Int64
		explainers := sync.Pool{New: func() any { return new(verdict.LogExplainer) }}
		stats, err = kmsg.ScanRender(ctx, e.logs, e.scanOptions(bar), func(dst []byte, ev *kmsg.Event) []byte {
			x := explainers.Get().(*verdict.LogExplainer)
			for i := range killsOf(ev) {
				if inc := x.Explain(ev.Episode, i, ""); about(inc, what) {
					count.Add(1)
					dst = append(inc.AppendJSON(dst), '\n')
				}
			}
			explainers.Put(x)
			return dst
		}, e.cmd.OutOrStdout())
		t.count = int(count.Load())
	} else {
		stats, err = kmsg.ScanFiles(ctx, e.logs, e.scanOptions(bar), func(ev *kmsg.Event) error {
			for i := range killsOf(ev) {
				if inc := verdict.Explain(verdict.FromLog(ev.Episode, i, "")); about(inc, what) {
					t.tell(inc)
				}
			}
			return nil
		})
	}
	bar.clear()
	return e.finish(t, what, stats, err)
}

// killsOf is how many kills an event of a log tells.
func killsOf(ev *kmsg.Event) int {
	if ev.Episode == nil {
		return 0
	}
	return len(ev.Episode.Kills)
}

// offlineJoined joins kernel logs with what an engine said.
func (e *explainer) offlineJoined(ctx context.Context, what string) error {
	obs, err := e.readEngine()
	if err != nil {
		return err
	}
	bar := newProgress(e.cmd.ErrOrStderr())
	stats, err := kmsg.ScanFiles(ctx, e.logs, e.scanOptions(bar), func(ev *kmsg.Event) error {
		switch {
		case ev.Episode != nil:
			obs = append(obs, observe.Observation{At: ev.Episode.Time, Episode: ev.Episode})
		case ev.Fault != nil:
			obs = append(obs, observe.Observation{At: ev.Fault.Time, Fault: ev.Fault})
		}
		return nil
	})
	bar.clear()
	corr, cerr := watcher.NewCorrelator(watcher.Options{Offline: true}, nil)
	if cerr != nil {
		return cerr
	}
	t := &teller{all: e.all}
	for _, inc := range latest(watcher.Replay(corr, obs)) {
		if !about(inc, what) {
			continue
		}
		if e.out.json() {
			t.count++
			if err := writeLines(e.cmd.OutOrStdout(), []*incident.Incident{inc}); err != nil {
				return err
			}
			continue
		}
		t.tell(inc)
	}
	return e.finish(t, what, stats, err)
}

func (e *explainer) scanOptions(bar *progress) kmsg.ScanOptions {
	return kmsg.ScanOptions{Location: time.Local, Progress: bar.at, Bad: e.bad.add}
}

// finish prints what is left to print, says what could not be told, and judges.
func (e *explainer) finish(t *teller, what string, stats kmsg.ScanStats, err error) error {
	if len(t.kept) > 0 {
		w := bufio.NewWriter(e.cmd.OutOrStdout())
		if err := errors.Join(e.printText(w, t.kept, t.count), w.Flush()); err != nil {
			return err
		}
	}
	notes := e.cmd.ErrOrStderr()
	sayUnread(notes, &stats)
	if err := errors.Join(err, e.bad.err(len(e.logs), notes)); err != nil {
		return err
	}
	if t.count == 0 {
		if what != "" {
			fmt.Fprintf(notes, "oomwatch: no kill of %q is in what was read (%d lines)\n", what, stats.Lines)
		} else {
			fmt.Fprintf(notes, "oomwatch: no kill is in what was read (%d lines)\n", stats.Lines)
		}
		return errNothing
	}
	return nil
}

// sayUnread says which lines of a log were not believed, or not understood.
func sayUnread(notes io.Writer, stats *kmsg.ScanStats) {
	if stats.Foreign > 0 {
		fmt.Fprintf(notes, "note: %d lines look like the kernel's and were written by a program: not believed\n", stats.Foreign)
	}
	if stats.Unrecognised > 0 {
		fmt.Fprintf(notes, "note: unrecognised OOM text: %d lines are of an OOM report in a form that this version does not know; please report them:\n", stats.Unrecognised)
		for _, l := range stats.UnrecognisedLines {
			fmt.Fprintf(notes, "  %s\n", redact.Sanitize(l))
		}
	}
}

// teller keeps incidents for a table and the newest stories.
type teller struct {
	all   bool
	count int
	kept  []*incident.Incident
}

func (t *teller) tell(inc *incident.Incident) {
	t.count++
	t.kept = append(t.kept, inc)
	if old := len(t.kept) - 1 - maxStories; !t.all && old >= 0 {
		// Only the table will speak of it: a long log may hold many thousands.
		slim := *t.kept[old]
		slim.Processes, slim.Evidence, slim.Memory, slim.Advice = nil, nil, nil, nil
		t.kept[old] = &slim
	}
}

// readEngine reads what was saved of an engine: inspect output and events.
func (e *explainer) readEngine() ([]observe.Observation, error) {
	var all []observe.Observation
	for _, kind := range []struct {
		what  string
		names []string
		read  func(io.Reader) ([]observe.Observation, error)
	}{{"inspect output", e.inspect, docker.ReadInspect}, {"events", e.events, docker.ReadEvents}} {
		for _, name := range kind.names {
			var in io.Reader = e.cmd.InOrStdin()
			if name != "-" {
				f, err := os.Open(name)
				if err != nil {
					return nil, fmt.Errorf("read %s: %w", kind.what, err)
				}
				defer f.Close()
				in = f
			}
			obs, err := kind.read(in)
			if err != nil {
				return nil, fmt.Errorf("read %s %q: %w", kind.what, name, err)
			}
			all = append(all, obs...)
		}
	}
	return all, nil
}
