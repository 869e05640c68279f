package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/spf13/cobra"

	"github.com/oomwatch/oomwatch/daemon"
	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/store"
	"github.com/oomwatch/oomwatch/units"
	"github.com/oomwatch/oomwatch/web"
)

func newNotifyStatus() *cobra.Command {
	var where places
	var out outputFormat
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Print what each receiver got, waits for and never got",
		Long: `Status prints the alerts of each receiver: those generated are delivered, given up or
pending. It asks the running daemon, or reads its store where no daemon runs.

Alerts for a receiver that is no longer configured wait for one of its name, and are
given up after 72 hours.

Exit status: 0 when no kept alert was given up or lost, every receiver can be
reached, and none is pending for one that is not configured; 1 otherwise.`,
		Example: `  oomwatch notify status
  oomwatch notify status -o json | jq 'select(.parked > 0)'`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			list, err := where.deliveries(cmd.Context(), cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			if out.json() {
				err = writeLines(cmd.OutOrStdout(), list)
			} else {
				err = writeDeliveries(cmd.OutOrStdout(), list, time.Now())
			}
			if err != nil {
				return err
			}
			bad := 0
			for _, d := range list {
				if needsHand(d) {
					bad++
				}
			}
			if bad > 0 {
				return fmt.Errorf("%d of %d receivers did not get every alert; mend what is named above, then: oomwatch notify retry", bad, len(list))
			}
			return nil
		},
	}
	where.add(cmd)
	addOutput(cmd, &out)
	return cmd
}

func newNotifyRetry() *cobra.Command {
	var where places
	var out outputFormat
	cmd := &cobra.Command{
		Use:   "retry [RECEIVER]",
		Short: "Retry at once what was given up and what waits",
		Long: `Retry sends a receiver's alerts at once: those given up and those that wait for their
next attempt. Without RECEIVER it retries all receivers'. Their 72 hours begin anew.
Where no daemon runs, the next one sends them. Only root and the daemon's own user may.`,
		Example: `  oomwatch notify retry
  oomwatch notify retry slack`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			receiver := ""
			if len(args) > 0 {
				receiver = args[0]
			}
			n, err := where.retry(cmd.Context(), receiver, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			if out.json() {
				return writeLines(cmd.OutOrStdout(), []map[string]int{{"deliveries": n}})
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "retried: %s\n", units.Count(n, "alert"))
			return err
		},
	}
	where.add(cmd)
	addOutput(cmd, &out)
	return cmd
}

// needsHand is true where somebody can still do something for what a receiver did
// not get: not for what is kept no more, nor for what was given up of a receiver
// that is no more.
func needsHand(d web.DeliveryStatus) bool {
	if !d.Configured {
		return d.Pending > 0
	}
	return d.Parked > d.Pruned || d.Lost > 0 || d.Down != ""
}

// deliveries asks the daemon for the receivers' accounts, or reads the store
// without it.
func (p *places) deliveries(ctx context.Context, notes io.Writer) ([]web.DeliveryStatus, error) {
	if p.askFirst() {
		st, err := p.daemon().Status(ctx)
		if err == nil {
			return st.Deliveries, nil
		}
		if !p.noDaemon(err, notes) {
			return nil, err
		}
	}
	st, err := p.openStore(ctx, true)
	if err != nil {
		return nil, err
	}
	defer st.Close()
	accounts, err := st.Accounts(ctx)
	if err != nil {
		return nil, err
	}
	var out []web.DeliveryStatus
	for _, a := range accounts {
		d := daemon.DeliveryStatus(a)
		d.Configured = true // nobody here can say
		out = append(out, d)
	}
	return out, nil
}

// retry asks the daemon, or changes the store without it.
func (p *places) retry(ctx context.Context, receiver string, notes io.Writer) (int, error) {
	if p.askFirst() {
		n, err := p.daemon().Retry(ctx, receiver)
		if err == nil || !p.noDaemon(err, notes) {
			return n, err
		}
	}
	st, err := p.openStore(ctx, false)
	if err != nil {
		return 0, err
	}
	defer st.Close()
	return st.Retry(ctx, receiver)
}

// openStore opens the daemon's store, which must be there.
func (p *places) openStore(ctx context.Context, readOnly bool) (*store.Store, error) {
	ro, err := store.Open(ctx, store.Options{Path: p.storePath(), ReadOnly: true})
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%w at %s; no daemon answered: start one with `oomwatch run`, or name its store with --store PATH", daemon.ErrNoStore, p.storePath())
	case err != nil, readOnly:
		return ro, err
	}
	if err := ro.Close(); err != nil {
		return nil, err
	}
	return store.Open(ctx, store.Options{Path: p.storePath()})
}

func writeDeliveries(w io.Writer, list []web.DeliveryStatus, now time.Time) error {
	if len(list) == 0 {
		_, err := fmt.Fprintln(w, "no alert was due to any receiver yet")
		return err
	}
	for _, d := range list {
		s := fmt.Sprintf("%s: generated %d = delivered %d + given up %d + pending %d", d.Receiver, d.Generated, d.Delivered, d.Parked, d.Pending)
		if d.Lost > 0 {
			s += fmt.Sprintf(" + lost %d", d.Lost)
		}
		if d.Held > 0 {
			s += fmt.Sprintf("\n  %d wait to be sent as one message", d.Held)
		}
		if d.Unstored > 0 {
			s += fmt.Sprintf("\n  %d are in memory only: the store cannot be written", d.Unstored)
		}
		if d.Pending > 0 && !d.OldestAt.IsZero() {
			s += "\n  the oldest has waited for " + incident.FormatDuration(now.Sub(d.OldestAt))
		}
		if d.Pruned > 0 {
			s += fmt.Sprintf("\n  %d of those given up were deleted since: they cannot be tried again", d.Pruned)
		}
		switch {
		case !d.Configured && d.Pending > 0:
			s += "\n  no receiver of this name is configured: what is pending waits for one, and is given up after 72 hours;" +
				"\n  give a receiver this name again to have it delivered, also later with: oomwatch notify retry " + d.Receiver
		case !d.Configured:
			s += "\n  no receiver of this name is configured any more"
		case d.Down != "":
			s += "\n  out of reach: " + d.Down
		}
		if d.Error != "" && d.Error != d.Down {
			s += "\n  last failure: " + d.Error
		}
		if _, err := fmt.Fprintln(w, s); err != nil {
			return err
		}
	}
	return nil
}
