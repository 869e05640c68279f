// Package explain gathers what saved files or this host's sources say of a death, and
// answers with incidents. It prints nothing but the notes it is given a writer for.
package explain

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oomwatch/oomwatch/correlate"
	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/kmsg"
	"github.com/oomwatch/oomwatch/observe"
	"github.com/oomwatch/oomwatch/verdict"
	"github.com/oomwatch/oomwatch/watcher/docker"
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
		x := explainers.Get().(*verdict.LogExplainer)
		for i := range KillsOf(ev) {
			if inc := x.Explain(ev.Episode, i, ""); About(inc, what) {
				count.Add(1)
				dst = append(inc.AppendJSON(dst), '\n')
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
		for i := range KillsOf(ev) {
			if inc := verdict.Explain(verdict.FromLog(ev.Episode, i, "")); About(inc, what) {
				yield(inc)
			}
		}
		return nil
	})
	return err
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
	obs, err := f.readEngine()
	if err != nil {
		return nil, err
	}
	f.Stats, err = kmsg.ScanFiles(ctx, f.Logs, f.scanOptions(), func(ev *kmsg.Event) error {
		switch {
		case ev.Episode != nil:
			obs = append(obs, observe.Observation{At: ev.Episode.Time, Episode: ev.Episode})
		case ev.Fault != nil:
			obs = append(obs, observe.Observation{At: ev.Fault.Time, Fault: ev.Fault})
		}
		return nil
	})
	corr, cerr := correlate.New(correlate.Options{Offline: true}, nil)
	if cerr != nil {
		return nil, cerr
	}
	return latest(correlate.Replay(corr, obs)), err
}

// readEngine reads what was saved of an engine: inspect output and events.
func (f *Files) readEngine() ([]observe.Observation, error) {
	var all []observe.Observation
	for _, kind := range []struct {
		what  string
		names []string
		read  func(io.Reader) ([]observe.Observation, error)
	}{{"inspect output", f.Inspect, docker.ReadInspect}, {"events", f.Events, docker.ReadEvents}} {
		for _, name := range kind.names {
			obs, err := f.readOne(name, kind.read)
			if err != nil {
				return nil, fmt.Errorf("read %s %q: %w", kind.what, name, err)
			}
			all = append(all, obs...)
		}
	}
	return all, nil
}

func (f *Files) readOne(name string, read func(io.Reader) ([]observe.Observation, error)) ([]observe.Observation, error) {
	if name == "-" {
		return read(f.Stdin)
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return read(file)
}
