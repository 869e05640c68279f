package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/oomwatch/oomwatch/config"
	"github.com/oomwatch/oomwatch/daemon"
	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/internal/terminal"
	"github.com/oomwatch/oomwatch/render"
	"github.com/oomwatch/oomwatch/web"
)

// sinceTime is what --since takes: how long ago, or a date.
type sinceTime struct {
	ago time.Duration
	at  time.Time
}

func (s *sinceTime) UnmarshalText(b []byte) error {
	if d, err := config.ParseDuration(string(b)); err == nil {
		s.ago = d
		return nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02"} {
		if t, err := time.ParseInLocation(layout, string(b), time.Local); err == nil {
			s.at = t
			return nil
		}
	}
	return fmt.Errorf("%q is not a time: write how long ago (90m, 24h, 7d), a date (2026-11-21) or a time (2026-11-21T07:56:40Z)", b)
}

func (s sinceTime) String() string { return "" }

func (s sinceTime) from(now time.Time) time.Time {
	if s.ago > 0 {
		return now.Add(-s.ago)
	}
	return s.at
}

func newHistory() *cobra.Command {
	var (
		out   outputFormat
		where places
		since sinceTime
		limit config.Count
		code  config.Cause
		kind  config.IncidentKind
		name  string
		more  bool
	)
	cmd := &cobra.Command{
		Use:   "history",
		Short: "Print the incidents that are kept, oldest first",
		Long: `History prints the incidents that are kept: from the running daemon, or from its
store where no daemon runs. Nothing kept is no error; what a damaged store does not
give is left out, said, and exit status 1.`,
		Example: `  oomwatch history --since 24h
  oomwatch history --container web --cause oom.container
  oomwatch history --since 2026-11-01 -o json | jq -r .summary`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			q := web.Query{Since: since.from(time.Now()), Container: name, Cause: incident.Cause(code), Kind: incident.Kind(kind), Limit: int(limit)}
			if more {
				return where.follow(cmd, q, out)
			}
			list, left := where.incidents(cmd.Context(), q, cmd.ErrOrStderr())
			if left != nil && !errors.As(left, new(*daemon.LeftOutError)) {
				return left
			}
			switch {
			case out.json():
				return errors.Join(writeLines(cmd.OutOrStdout(), list), left)
			case len(list) > 0:
				return errors.Join(writeTable(cmd.OutOrStdout(), cmd.OutOrStdout(), list), left)
			case left != nil:
				return left
			}
			_, err := fmt.Fprintln(cmd.OutOrStdout(), "no incident that matches is kept")
			return err
		},
	}
	flags := cmd.Flags()
	where.add(cmd)
	addText(flags, &since, "since", "", "TIME", "only what happened since: 24h, 7d, 2026-11-21, 2026-11-21T07:56:40Z")
	flags.StringVar(&name, "container", "", "only of this container: `NAME`, compose service, or the beginning of its id")
	addText(flags, &code, "cause", "", "CODE", "only of this cause, such as oom.container")
	addText(flags, &kind, "kind", "", "KIND", "only of this kind: "+config.List(config.Kinds))
	addText(flags, &limit, "limit", "", "N", "only the newest N (default all)")
	flags.BoolVarP(&more, "follow", "f", false, "keep printing new and changed incidents, until Ctrl-C")
	addOutput(cmd, &out)
	complete(cmd, "cause", config.CauseCodes()...)
	complete(cmd, "kind", config.Kinds...)
	where.completeContainer(cmd, "container")
	return cmd
}

const (
	// followEvery lies between two looks for what is new, followLate is how long after it
	// happened an incident may become known.
	followEvery = time.Second
	followLate  = 15 * time.Minute
)

// follow prints what is kept, then what comes, until it is interrupted.
func (p *places) follow(cmd *cobra.Command, q web.Query, out outputFormat) error {
	if !p.askFirst() {
		return errors.New("--follow asks the running daemon: leave --store out")
	}
	w := cmd.OutOrStdout()
	seen := map[string]string{}
	for first := true; ; first = false {
		list, err := p.daemon().Incidents(cmd.Context(), q)
		switch {
		case cmd.Context().Err() != nil:
			return nil
		case err != nil:
			return fmt.Errorf("%w; --follow asks the running daemon: start one with `oomwatch run`", err)
		}
		fresh := list[:0:0]
		now := map[string]string{}
		for _, inc := range list {
			if now[inc.ID] = inc.News(); seen[inc.ID] != now[inc.ID] {
				fresh = append(fresh, inc)
			}
		}
		seen = now
		if out.json() {
			err = writeLines(w, fresh)
		} else {
			err = render.WriteTable(w, fresh, render.TextOptions{Width: terminal.Screen(w), Color: terminal.Colour(w), NoHeader: !first})
		}
		if err != nil {
			return err
		}
		// From the second look on only what can still be new is asked for.
		q.Limit = 0
		if since := time.Now().Add(-followLate); since.After(q.Since) {
			q.Since = since
			if first {
				seen = recent(list, since)
			}
		}
		select {
		case <-cmd.Context().Done():
			return nil
		case <-time.After(followEvery):
		}
	}
}

// recent are the incidents since a time by id, with what each tells.
func recent(list []*incident.Incident, since time.Time) map[string]string {
	out := map[string]string{}
	for _, inc := range list {
		if !inc.Time.Before(since) {
			out[inc.ID] = inc.News()
		}
	}
	return out
}

// places are where a command finds what the daemon knows.
type places struct {
	socket string
	store  string
	cmd    *cobra.Command
}

// addSocket is add for a command that only the daemon can answer.
func (p *places) addSocket(cmd *cobra.Command) {
	p.cmd = cmd
	cmd.Flags().StringVar(&p.socket, "socket", "", "`PATH` of the daemon's unix socket (default "+config.DefaultSocketPath()+")")
}

func (p *places) add(cmd *cobra.Command) {
	p.addSocket(cmd)
	cmd.Flags().StringVar(&p.store, "store", "", "read this store (`PATH`) where no daemon answers (default "+config.DefaultStorePath()+")")
}

// daemon is the client of the daemon to ask.
func (p *places) daemon() *web.Client {
	if p.socket != "" {
		return web.NewClient(p.socket)
	}
	return web.NewClient(config.DefaultSocketPath())
}

// storePath is the store to read.
func (p *places) storePath() string {
	if p.store != "" {
		return p.store
	}
	return config.DefaultStorePath()
}

// askFirst reports whether the daemon is to be asked: not when a store was named
// and no socket.
func (p *places) askFirst() bool { return p.store == "" || p.socket != "" }

// noDaemon reports whether err only means that nobody answers, so that there may
// be another way; a person who may have expected the daemon is told.
func (p *places) noDaemon(err error, notes io.Writer) bool {
	if !errors.Is(err, web.ErrNoDaemon) {
		return false
	}
	usual := errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED)
	if p.socket != "" || !usual {
		fmt.Fprintf(notes, "note: %v; going on without the daemon\n", err)
	}
	return true
}

// askedSocket is the error of a socket that was named.
func askedSocket(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return err // it names the step itself
	}
	return fmt.Errorf("%w; is `oomwatch run` running, and with this socket?", err)
}

// incidents asks the daemon, or reads the store without it.
func (p *places) incidents(ctx context.Context, q web.Query, notes io.Writer) ([]*incident.Incident, error) {
	if p.askFirst() {
		list, err := p.daemon().Incidents(ctx, q)
		if err == nil {
			return list, nil
		}
		if p.socket != "" && p.store == "" {
			return nil, askedSocket(err)
		}
		if !p.noDaemon(err, notes) {
			return nil, err
		}
	}
	list, err := daemon.ReadStore(ctx, p.storePath(), q)
	if errors.As(err, new(*daemon.LeftOutError)) {
		return list, err
	}
	if err != nil {
		return nil, fmt.Errorf("%w; no daemon answered: start one with `oomwatch run`, or name its store with --store PATH", err)
	}
	return list, nil
}
