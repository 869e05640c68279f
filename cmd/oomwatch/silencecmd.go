package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/oomwatch/oomwatch/config"
	"github.com/oomwatch/oomwatch/daemon"
	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/redact"
	"github.com/oomwatch/oomwatch/render"
	"github.com/oomwatch/oomwatch/web"
)

func newSilence() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "silence",
		Short: "Hold alerts back for a while",
		Long: `Silence holds alerts back for what matches, until an end and for a reason. Silenced
incidents are kept, and history shows them with the reason. The daemon
keeps silences in its store: they outlive a restart. A container can be silenced
by whoever runs it, too, with the label oomwatch.silence=true.`,
	}
	cmd.AddCommand(newSilenceAdd(), newSilenceList(), newSilenceExpire())
	return cmd
}

// untilTime is what --until takes: a date in the time to come.
type untilTime struct{ at time.Time }

func (u *untilTime) UnmarshalText(b []byte) error {
	var s sinceTime
	if err := s.UnmarshalText(b); err != nil || s.at.IsZero() {
		return fmt.Errorf("%q is not a time: write 2026-11-21T07:56:40Z or \"2026-11-21 07:56\"", b)
	}
	u.at = s.at
	return nil
}

func (u untilTime) String() string { return "" }

func newSilenceAdd() *cobra.Command {
	var (
		where  places
		out    outputFormat
		x      incident.Silence
		length config.Duration
		until  untilTime
	)
	cmd := &cobra.Command{
		Use:   "add",
		Short: "Silence what matches until an end",
		Long: `Add silences what matches, from now on. Every matcher must fit; a matcher given
several times fits if one of its patterns does. In the patterns * stands for any text and
? for one character. Only root and the daemon's own user may.`,
		Example: `  oomwatch silence add --container 'web-*' --for 2h --reason 'deploy of web'
  oomwatch silence add --project shop --cause exit.error --until 2026-12-01T06:00:00Z --reason 'known: shop#42'`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch now := time.Now(); {
			case (length > 0) == !until.at.IsZero():
				return usageError{errors.New("give the end: exactly one of --for and --until")}
			case length > 0:
				x.Until = now.Add(time.Duration(length))
			default:
				x.Until = until.at
			}
			if err := x.Match.Check(); err != nil {
				return usageError{err}
			}
			if x.Match.Empty() || x.Reason == "" {
				return usageError{errors.New("give at least one matcher, such as --container NAME, and a --reason")}
			}
			kept, err := where.daemon().AddSilence(cmd.Context(), x)
			if err != nil {
				return needsDaemon(err)
			}
			return writeSilences(cmd.OutOrStdout(), out, []incident.Silence{kept})
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&x.Match.Containers, "container", nil, "containers or compose services of this name (`PATTERN`)")
	f.StringArrayVar(&x.Match.Causes, "cause", nil, "this cause (`CODE`), such as oom.container")
	f.StringArrayVar(&x.Match.Kinds, "kind", nil, "this `KIND`: "+config.List(config.Kinds))
	f.StringArrayVar(&x.Match.Severities, "severity", nil, "this `SEVERITY`: "+config.List(config.Severities))
	f.StringArrayVar(&x.Match.Labels, "label", nil, "containers with this label (`KEY=PATTERN`, or KEY for any value); all that are given must fit")
	f.StringArrayVar(&x.Match.Projects, "project", nil, "compose projects of this name (`PATTERN`)")
	f.StringArrayVar(&x.Match.Hosts, "host", nil, "hosts of this name (`PATTERN`)")
	addText(f, &length, "for", "", "DURATION", "how long: 90m, 2h, 1d; at most "+config.Duration(daemon.LongestSilence).String())
	addText(f, &until, "until", "", "TIME", "until when: 2026-11-21T07:56:40Z")
	f.StringVar(&x.Reason, "reason", "", "why (`TEXT`); it is shown with what is silenced")
	where.addSocket(cmd)
	where.completeContainer(cmd, "container")
	addOutput(cmd, &out)
	complete(cmd, "cause", config.CauseCodes()...)
	complete(cmd, "kind", config.Kinds...)
	complete(cmd, "severity", config.Severities...)
	return cmd
}

func newSilenceList() *cobra.Command {
	var where places
	var out outputFormat
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Print the silences that have not ended",
		Long: `List prints the silences that have not ended: the running daemon's, or its store's
where no daemon runs.`,
		Example: `  oomwatch silence list
  oomwatch silence list -o json | jq -r .id`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			list, err := where.silences(cmd.Context(), cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			return writeSilences(cmd.OutOrStdout(), out, list)
		},
	}
	where.add(cmd)
	addOutput(cmd, &out)
	return cmd
}

func newSilenceExpire() *cobra.Command {
	var where places
	var out outputFormat
	cmd := &cobra.Command{
		Use:     "expire ID",
		Short:   "End a silence now",
		Long:    "Expire ends a silence now. The beginning of its id is enough.",
		Example: `  oomwatch silence expire 3f2a`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			x, err := where.daemon().ExpireSilence(cmd.Context(), args[0])
			if err != nil {
				return needsDaemon(err)
			}
			return writeSilences(cmd.OutOrStdout(), out, []incident.Silence{x})
		},
	}
	where.addSocket(cmd)
	where.completeSilence(cmd)
	addOutput(cmd, &out)
	return cmd
}

// needsDaemon says what to do where no daemon answers and none can be done without.
func needsDaemon(err error) error {
	if errors.Is(err, web.ErrNoDaemon) {
		return fmt.Errorf("silences are the daemon's: %w", askedSocket(err))
	}
	return err
}

// silences asks the daemon, or reads the store without it.
func (p *places) silences(ctx context.Context, notes io.Writer) ([]incident.Silence, error) {
	if p.askFirst() {
		list, err := p.daemon().Silences(ctx)
		if err == nil || !p.noDaemon(err, notes) {
			return list, err
		}
	}
	st, err := p.openStore(ctx, true)
	if err != nil {
		return nil, err
	}
	defer st.Close()
	return st.Silences(ctx, time.Now())
}

func writeSilences(w io.Writer, out outputFormat, list []incident.Silence) error {
	if out.json() {
		return writeLines(w, list)
	}
	if len(list) == 0 {
		_, err := fmt.Fprintln(w, "nothing is silenced")
		return err
	}
	for _, x := range list {
		word := "until"
		if !x.Until.After(time.Now()) {
			word = "ended"
		}
		by := ""
		if x.By != "" {
			by = ", by " + x.By
		}
		if _, err := fmt.Fprintf(w, "%s  %s %s%s: %s\n          %s\n", x.ID, word, render.Clock(x.Until), by, redact.Sanitize(x.Reason), matchLine(&x.Match)); err != nil {
			return err
		}
	}
	return nil
}

// matchLine says what a silence matches.
func matchLine(m *incident.Match) string {
	var parts []string
	for _, p := range []struct {
		name string
		list []string
	}{{"cause", m.Causes}, {"kind", m.Kinds}, {"severity", m.Severities}, {"container", m.Containers}, {"label", m.Labels}, {"project", m.Projects}, {"host", m.Hosts}} {
		if len(p.list) > 0 {
			parts = append(parts, p.name+" "+redact.Sanitize(strings.Join(p.list, " or ")))
		}
	}
	return strings.Join(parts, ", ")
}
