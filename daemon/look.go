package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"go.uber.org/zap"

	"github.com/oomwatch/oomwatch/cgroup"
	"github.com/oomwatch/oomwatch/config"
	"github.com/oomwatch/oomwatch/correlate"
	"github.com/oomwatch/oomwatch/internal/host"
	"github.com/oomwatch/oomwatch/observe"
	"github.com/oomwatch/oomwatch/recorder"
	"github.com/oomwatch/oomwatch/warn"
	"github.com/oomwatch/oomwatch/watcher"
	"github.com/oomwatch/oomwatch/watcher/docker"
	"github.com/oomwatch/oomwatch/watcher/sampler"
)

// lookWait is how long a Looker reads before it has something to show.
const lookWait = 4 * time.Second

// Looker follows the engine and the control groups as the daemon does, and keeps and
// tells nothing.
type Looker struct {
	watcher *watcher.Watcher
	ended   chan error
	fs      *cgroup.FS
}

// forgetful is a Keeper that keeps nothing.
type forgetful struct{}

func (forgetful) Keep(context.Context, watcher.Kept) error { return nil }

// Look starts a Looker, which goes on until ctx ends, and returns once there is something
// to see. engine is as docker.Options.Host; what cannot be read is written to notes.
func Look(ctx context.Context, engine string, notes io.Writer) (*Looker, error) {
	fs, err := cgroup.Open(cgroup.DefaultRoot, cgroup.DefaultProc)
	if err != nil {
		return nil, fmt.Errorf("%w; the step that fixes it: oomwatch doctor", err)
	}
	l := &Looker{ended: make(chan error, 1), fs: fs}
	if l.watcher, err = newLooking(fs, engine); err != nil {
		return nil, errors.Join(err, fs.Close())
	}
	go func() { l.ended <- l.watcher.Run(ctx) }()
	select {
	case <-ctx.Done():
	case <-time.After(lookWait):
	}
	for _, s := range l.watcher.Sources() {
		if !s.Up && s.Reason != "" {
			fmt.Fprintf(notes, "note: %s cannot be read: %s; the step that fixes it: oomwatch doctor\n", s.Name, s.Reason)
		}
	}
	return l, nil
}

func newLooking(fs *cgroup.FS, engine string) (*watcher.Watcher, error) {
	groups := sampler.New(sampler.Options{FS: fs, Recorder: recorder.New(recorder.Options{})})
	sources := []observe.Source{groups}
	if engine != config.EngineOff {
		source, err := docker.New(docker.Options{Host: engine, Since: time.Now()})
		if err != nil {
			return nil, err
		}
		sources = append(sources, source)
	}
	facts := host.Facts()
	corr, err := correlate.New(correlate.Options{Host: facts}, nil)
	if err != nil {
		return nil, err
	}
	rules := warn.Default()
	return watcher.NewWatcher(watcher.WatcherOptions{Host: facts.Name, Correlator: corr, Sources: sources, Keeper: forgetful{},
		Logger: zap.NewNop(), Rules: &rules, Sampler: groups})
}

// Rows are the containers as they stand, the most in danger first.
func (l *Looker) Rows(context.Context) ([]*warn.Row, error) {
	list := l.watcher.Top()
	out := make([]*warn.Row, len(list))
	for i := range list {
		out[i] = &list[i]
	}
	return out, nil
}

// End waits for what Look started; call it after ctx has ended.
func (l *Looker) End() {
	<-l.ended
	_ = l.fs.Close() // it was only read
}
