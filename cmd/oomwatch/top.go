package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/oomwatch/oomwatch/cgroup"
	"github.com/oomwatch/oomwatch/config"
	"github.com/oomwatch/oomwatch/correlate"
	"github.com/oomwatch/oomwatch/internal/host"
	"github.com/oomwatch/oomwatch/internal/terminal"
	"github.com/oomwatch/oomwatch/observe"
	"github.com/oomwatch/oomwatch/recorder"
	"github.com/oomwatch/oomwatch/warn"
	"github.com/oomwatch/oomwatch/watcher"
	"github.com/oomwatch/oomwatch/watcher/docker"
	"github.com/oomwatch/oomwatch/watcher/sampler"
)

const (
	defaultRefresh = 2 * time.Second
	// lookWait is how long top reads by itself before it shows anything.
	lookWait = 4 * time.Second
)

// topCommand is the top command.
type topCommand struct {
	socket string
	docker config.DockerHost
	every  config.Duration
	once   bool
	out    outputFormat
	cmd    *cobra.Command
}

func newTop() *cobra.Command {
	t := &topCommand{every: config.Duration(defaultRefresh)}
	cmd := &cobra.Command{
		Use:   "top",
		Short: "Show who is nearest to being killed, live",
		Long: `Top shows every running container, and the host: memory that cannot be reclaimed
against the limit, the room that is left, for how much of the time it stood still
for want of memory, how it grows and when that reaches the limit, hits of the
limit, processes, and what is warned of. The most in danger comes first.

It asks the daemon. Where none runs it reads the control groups itself, and needs a
few seconds before it can say anything of growth.

On a terminal it goes on until q; elsewhere, and with --once, it prints once. With
-o json it prints one object per container at each refresh.`,
		Example: `  oomwatch top
  oomwatch top --once
  oomwatch top --once -o json | jq -r 'select(.danger > 0.8).name'`,
		RunE: func(cmd *cobra.Command, _ []string) error { return t.run(cmd.Context()) },
	}
	t.cmd = cmd
	fs := cmd.Flags()
	fs.StringVar(&t.socket, "socket", "", "`PATH` of the daemon's unix socket (default "+config.DefaultSocketPath()+")")
	addText(fs, &t.docker, "docker", "", "HOST", "Docker engine to ask where no daemon runs (default DOCKER_HOST, else the default socket)")
	addText(fs, &t.every, "every", "", "DURATION", "time between two refreshes")
	fs.BoolVar(&t.once, "once", false, "print once")
	addOutput(cmd, &t.out)
	return cmd
}

// look is where rows come from.
type look func(ctx context.Context) ([]*warn.Row, error)

func (t *topCommand) run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	rows, from, end, err := t.source(ctx)
	if err != nil {
		return err
	}
	defer func() { stop(); end() }()
	w := t.cmd.OutOrStdout()
	switch {
	case !t.out.json() && !t.once && terminal.Is(w) && terminal.Is(t.cmd.InOrStdin()):
		return t.live(ctx, rows, from)
	case t.out.json():
		return t.repeat(ctx, func(list []*warn.Row) error { return writeLines(w, list) }, rows)
	}
	list, err := rows(ctx)
	if err != nil {
		return err
	}
	return writeTop(w, list, topOptions{width: topWidth(w), colour: terminal.Colour(w)})
}

// repeat prints at each refresh, until ctx ends; once where that was asked for.
func (t *topCommand) repeat(ctx context.Context, print func([]*warn.Row) error, rows look) error {
	tick := time.NewTicker(time.Duration(t.every))
	defer tick.Stop()
	for {
		list, err := rows(ctx)
		if err == nil {
			err = print(list)
		}
		if err != nil || t.once {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// source is the daemon, else the control groups as they are read from here. end
// waits for what it started; call it after ctx has ended.
func (t *topCommand) source(ctx context.Context) (rows look, from string, end func(), err error) {
	p := places{socket: t.socket}
	daemon := p.daemon()
	_, err = daemon.Top(ctx)
	switch {
	case err == nil:
		return daemon.Top, "the daemon", func() {}, nil
	case t.socket != "":
		return nil, "", nil, fmt.Errorf("%w; is `oomwatch run` running, and with this socket?", err)
	case !p.noDaemon(err, t.cmd.ErrOrStderr()):
		return nil, "", nil, err
	}
	w, end, err := t.watch(ctx)
	if err != nil {
		return nil, "", nil, err
	}
	return w, "this process", end, nil
}

// forgetful is a Keeper that keeps nothing.
type forgetful struct{}

func (forgetful) Keep(context.Context, watcher.Kept) error { return nil }

// watch follows the engine and the control groups as the daemon does, and keeps
// and tells nothing. It returns once there is something to see.
func (t *topCommand) watch(ctx context.Context) (rows look, end func(), err error) {
	fs, err := cgroup.Open(cgroup.DefaultRoot, cgroup.DefaultProc)
	if err != nil {
		return nil, nil, fmt.Errorf("%w; what would mend it: oomwatch doctor", err)
	}
	engine, err := docker.New(docker.Options{Host: string(t.docker), Since: time.Now()})
	if err != nil {
		return nil, nil, errors.Join(err, fs.Close())
	}
	corr, err := correlate.New(correlate.Options{Host: host.Facts()}, nil)
	if err != nil {
		return nil, nil, errors.Join(err, fs.Close())
	}
	rules := warn.Default()
	cgroups := sampler.New(sampler.Options{FS: fs, Recorder: recorder.New(recorder.Options{})})
	w, err := watcher.NewWatcher(watcher.WatcherOptions{Correlator: corr, Sources: []observe.Source{engine, cgroups}, Keeper: forgetful{}, Logger: zap.NewNop(), Rules: &rules,
		Sampler: cgroups})
	if err != nil {
		return nil, nil, errors.Join(err, fs.Close())
	}
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	end = func() {
		<-ended
		_ = fs.Close() // it was only read
	}
	select {
	case <-ctx.Done():
	case <-time.After(lookWait):
	}
	for _, s := range w.Sources() {
		if !s.Up && s.Reason != "" {
			fmt.Fprintf(t.cmd.ErrOrStderr(), "note: %s cannot be read: %s; what would mend it: oomwatch doctor\n", s.Name, s.Reason)
		}
	}
	rows = func(context.Context) ([]*warn.Row, error) {
		list := w.Top()
		out := make([]*warn.Row, len(list))
		for i := range list {
			out[i] = &list[i]
		}
		return out, nil
	}
	return rows, end, nil
}

// topWidth is how wide a table on w may be: the terminal, or whatever it takes.
func topWidth(w io.Writer) int {
	if terminal.Is(w) {
		return terminal.Width(w)
	}
	return 0
}
