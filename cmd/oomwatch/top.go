package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/oomwatch/oomwatch/config"
	"github.com/oomwatch/oomwatch/daemon"
	"github.com/oomwatch/oomwatch/internal/terminal"
	"github.com/oomwatch/oomwatch/warn"
)

const defaultRefresh = 2 * time.Second

// topCommand is the top command.
type topCommand struct {
	socket string
	docker config.DockerHost
	every  config.Duration
	once   bool
	sort   string
	filter string
	out    outputFormat
	cmd    *cobra.Command
}

func newTop() *cobra.Command {
	t := &topCommand{every: config.Duration(defaultRefresh)}
	cmd := &cobra.Command{
		Use:   "top",
		Short: "Show who is nearest to being killed, live",
		Long: `Top shows every running container and the host: the memory it holds that cannot be
reclaimed, its limit, the room left, how long it waited for memory, its growth, when it
reaches the limit, its processes, restarts, zombies and warnings. ^ marks the limit of a
parent cgroup, where that leaves less room. The most endangered container comes first;
--sort changes the order, --filter shows only some.

Top asks the daemon. If none runs, it reads the cgroups itself and needs a few seconds
to see growth.

On a terminal top runs until q: the arrows choose a container, Enter explains its last
death, s changes the order, / filters. Without a terminal, or with --once, it prints
once. With -o json it prints one object per container at each refresh.`,
		Example: `  oomwatch top
  oomwatch top --once
  oomwatch top --sort growth --filter shop
  oomwatch top --once -o json | jq -r 'select(.danger > 0.8).name'`,
		RunE: func(cmd *cobra.Command, _ []string) error { return t.run(cmd.Context()) },
	}
	t.cmd = cmd
	fs := cmd.Flags()
	fs.StringVar(&t.socket, "socket", "", "`PATH` of the daemon's unix socket (default "+config.DefaultSocketPath()+")")
	addText(fs, &t.docker, "docker", "", "HOST", "Docker engine to ask where no daemon runs (default DOCKER_HOST, else the default socket)")
	addText(fs, &t.every, "every", "", "DURATION", "time between two refreshes")
	fs.BoolVar(&t.once, "once", false, "print once")
	fs.StringVar(&t.sort, "sort", warn.OrderNames()[0], "order by `COLUMN`: "+strings.Join(warn.OrderNames(), ", "))
	fs.StringVar(&t.filter, "filter", "", "show only containers with `TEXT` in their name or id")
	addOutput(cmd, &t.out)
	return cmd
}

// look is where rows come from.
type look func(ctx context.Context) ([]*warn.Row, error)

func (t *topCommand) run(ctx context.Context) error {
	if !slices.Contains(warn.OrderNames(), t.sort) {
		return usageError{fmt.Errorf("--sort %q: want one of %s", t.sort, strings.Join(warn.OrderNames(), ", "))}
	}
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
		return t.repeat(ctx, func(list []*warn.Row) error { return writeLines(w, arrange(list, t.sort, t.filter)) }, rows)
	}
	list, err := rows(ctx)
	if err != nil {
		return err
	}
	return writeTop(w, arrange(list, t.sort, t.filter), topOptions{width: topWidth(w), colour: terminal.Colour(w)})
}

// arrange keeps the rows that match a filter, in an order.
func arrange(list []*warn.Row, order, filter string) []*warn.Row {
	list = slices.DeleteFunc(slices.Clone(list), func(r *warn.Row) bool { return !r.Matches(filter) })
	warn.Sort(list, order)
	return list
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
	client := p.daemon()
	_, err = client.Top(ctx)
	switch {
	case err == nil:
		return client.Top, "the daemon", func() {}, nil
	case t.socket != "":
		return nil, "", nil, askedSocket(err)
	case !p.noDaemon(err, t.cmd.ErrOrStderr()):
		return nil, "", nil, err
	}
	here, err := daemon.Look(ctx, string(t.docker), t.cmd.ErrOrStderr())
	if err != nil {
		return nil, "", nil, err
	}
	return here.Rows, "this process", here.End, nil
}

// topWidth is how wide a table on w may be: the terminal, or whatever it takes.
func topWidth(w io.Writer) int {
	if terminal.Is(w) {
		return terminal.Width(w)
	}
	return 0
}
