// Package explain gathers what saved files or this host's sources say of a death, and
// answers with incidents. It prints nothing but the notes it is given a writer for.
package explain

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oomwatch/oomwatch/correlate"
	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/internal/input"
	"github.com/oomwatch/oomwatch/kmsg"
	"github.com/oomwatch/oomwatch/observe"
	"github.com/oomwatch/oomwatch/redact"
	"github.com/oomwatch/oomwatch/verdict"
)

// Files are what somebody saved: kernel logs, and what an engine printed. "-" is Stdin
// for an engine's output, and the process's standard input for a log.
type Files struct {
	Logs, Inspect, Events []string
	Stdin                 io.Reader
	// Progress, if not nil, is called with the bytes read and the bytes in all.
	Progress func(done, total int64)
	// Bad gathers the logs that cannot be read.
	Bad BadLogs
	// Spared are OOMs without a kill, as the log says them; the first of them.
	Spared []string
	spared sync.Mutex
	// Stats is what the logs held, once they were read.
	Stats kmsg.ScanStats
}

// Check finds what is wrong with the names before anything is read.
func (f *Files) Check() error {
	stdin := 0
	for _, list := range [][]string{f.Logs, f.Inspect, f.Events} {
		for _, name := range list {
			switch name {
			case "":
				return errors.New("a file has no name: give a path, or - for standard input")
			case "-":
				stdin++
			}
		}
	}
	if stdin > 1 {
		return errors.New("standard input can be read once: give - for one file only")
	}
	return nil
}

// FromEngine is true where an engine's output is among the files, so that there is
// something to join.
func (f *Files) FromEngine() bool { return len(f.Inspect)+len(f.Events) > 0 }

func (f *Files) scanOptions() kmsg.ScanOptions {
	return kmsg.ScanOptions{Location: time.Local, Progress: f.Progress, Bad: f.Bad.Add}
}

// KillsJSON writes each kill of the logs that is about what, in their order, as a JSON
// line while they are read, by all processors. It returns how many there were.
func (f *Files) KillsJSON(ctx context.Context, what string, w io.Writer) (int, error) {
	var count atomic.Int64
	explainers := sync.Pool{New: func() any { return new(verdict.LogExplainer) }}
	var err error
	f.Stats, err = kmsg.ScanRender(ctx, f.Logs, f.scanOptions(), func(dst []byte, ev *kmsg.Event) []byte {
		f.spare(ev)
		x := explainers.Get().(*verdict.LogExplainer)
		for i := range KillsOf(ev) {
			if inc := x.Explain(ev.Episode, i, ""); About(inc, what) {
				count.Add(1)
				from := len(dst)
				dst = inc.AppendJSON(dst)
				dst = append(append(dst[:from], redact.JSON(dst[from:])...), '\n')
			}
		}
		explainers.Put(x)
		return dst
	}, w)
	return int(count.Load()), err
}

// Kills gives each kill of the logs that is about what, in their order.
func (f *Files) Kills(ctx context.Context, what string, yield func(*incident.Incident)) (err error) {
	f.Stats, err = kmsg.ScanFiles(ctx, f.Logs, f.scanOptions(), func(ev *kmsg.Event) error {
		f.spare(ev)
		for i := range KillsOf(ev) {
			if inc := verdict.Explain(verdict.FromLog(ev.Episode, i, "")); About(inc, what) {
				yield(inc)
			}
		}
		return nil
	})
	return err
}

// maxSpared is how many OOMs without a kill are kept.
const maxSpared = 16

// spare keeps an OOM without a kill.
func (f *Files) spare(ev *kmsg.Event) {
	e := ev.Episode
	if e == nil || len(e.Kills) > 0 || e.NoKill == "" {
		return
	}
	s := e.NoKill
	if e.Trigger.Comm != "" {
		s += ", when " + e.Trigger.Comm + " triggered it (its allocation failed)"
	}
	if !e.Time.IsZero() {
		s += " at " + e.Time.UTC().Format(time.RFC3339)
	}
	f.spared.Lock()
	defer f.spared.Unlock()
	if len(f.Spared) < maxSpared {
		f.Spared = append(f.Spared, strings.Clone(s))
	}
}

// KillsOf is how many kills an event of a log has.
func KillsOf(ev *kmsg.Event) int {
	if ev.Episode == nil {
		return 0
	}
	return len(ev.Episode.Kills)
}

// Joined joins the logs with what an engine said, and gives all incidents, oldest
// first. Where err is of the logs alone the incidents are there all the same.
func (f *Files) Joined(ctx context.Context) ([]*incident.Incident, error) {
	obs, alone, err := f.readEngine(ctx)
	if err != nil {
		return nil, err
	}
	logs := slices.Clone(f.Logs)
	if i := slices.Index(logs, "-"); i >= 0 {
		name, remove, err := spool(os.Stdin)
		if err != nil {
			return nil, err
		}
		defer remove()
		logs[i] = name
	}
	var faults []kmsg.Fault
	f.Stats, err = kmsg.ScanFiles(ctx, logs, f.scanOptions(), func(ev *kmsg.Event) error {
		f.spare(ev)
		switch {
		case ev.Episode != nil:
			obs = append(obs, observe.Observation{At: ev.Episode.Time, Episode: ev.Episode})
		case ev.Fault != nil:
			faults = append(faults, *ev.Fault)
			obs = append(obs, observe.Observation{At: ev.Fault.Time, Fault: ev.Fault})
		}
		return nil
	})
	opt := joinOptions{logUnread: "no log of the container was given"}
	var spoken []incident.Voice
	spoken, opt.horizons = readLines(ctx, logs, time.Local, time.Now())
	opt.voices = spoken
	if len(logs) == 0 {
		opt.horizons = append(opt.horizons, incident.Horizon{Source: "kmsg", Reason: "no kernel log was given; --log FILE takes one"})
	}
	opt.horizons = append(opt.horizons, f.eventsHorizon(obs), incident.Horizon{Source: "log", Reason: opt.logUnread})
	var out []*incident.Incident
	if len(obs) == 0 && len(alone) > 0 {
		opt.horizons = horizonsOf(opt.horizons, alone[0].Runtime)
	}
	for i := range alone {
		if s := &alone[i]; s.whole() && s.voice == nil {
			obs = append(obs, s.observation())
		} else if s.exit != nil || s.voice != nil {
			out = append(out, s.incident(&opt))
		}
	}
	corr, cerr := correlate.New(correlate.Options{Offline: true, Horizons: opt.horizons, Voices: opt.voices, LogUnread: opt.logUnread, Faults: faults}, nil)
	if cerr != nil {
		return nil, cerr
	}
	return append(out, latest(correlate.Replay(corr, obs))...), err
}

// eventsHorizon is what the saved events reach: an engine's events say who asked it for
// what, which its inspect output does not.
func (f *Files) eventsHorizon(obs []observe.Observation) incident.Horizon {
	h := incident.Horizon{Source: "docker", Read: len(f.Events) > 0}
	if !h.Read {
		h.Reason = "no events were given; --events FILE takes those of docker events"
		return h
	}
	for i := range obs {
		o := &obs[i]
		if o.Event == nil && o.Signal == nil && o.Exit == nil {
			continue
		}
		if h.From.IsZero() || o.At.Before(h.From) {
			h.From = o.At
		}
		if o.At.After(h.To) {
			h.To = o.At
		}
	}
	return h
}

// readEngine reads what was saved of an engine: inspect output and events. alone are
// ends that no list of an engine's gave.
func (f *Files) readEngine(ctx context.Context) (all []observe.Observation, alone []saved, err error) {
	for _, name := range f.Inspect {
		err := f.readOne(ctx, name, func(r io.Reader) error {
			obs, more, err := readInspect(r)
			all, alone = append(all, obs...), append(alone, more...)
			return err
		})
		if err != nil {
			return nil, nil, fmt.Errorf("read inspect output %q: %w", name, err)
		}
	}
	for _, name := range f.Events {
		err := f.readOne(ctx, name, func(r io.Reader) error {
			obs, err := readEvents(r)
			all = append(all, obs...)
			return err
		})
		if err != nil {
			return nil, nil, fmt.Errorf("read events %q: %w", name, err)
		}
	}
	return all, alone, nil
}

func (f *Files) readOne(ctx context.Context, name string, read func(io.Reader) error) error {
	if name == "-" {
		return read(f.Stdin)
	}
	file, err := input.Open(ctx, name)
	if err != nil {
		return err
	}
	defer file.Close()
	return read(file)
}
