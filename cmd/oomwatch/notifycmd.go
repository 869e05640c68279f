package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/oomwatch/oomwatch/config"
	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/internal/host"
	"github.com/oomwatch/oomwatch/notify"
	"github.com/oomwatch/oomwatch/verdict"
)

func newNotify() *cobra.Command {
	cmd := &cobra.Command{Use: "notify", Short: "Test receivers, show what each waits for, retry it"}
	cmd.AddCommand(newNotifyTest(), newNotifyStatus(), newNotifyRetry())
	return cmd
}

// tried is how the test of one receiver ended.
type tried struct {
	Receiver string  `json:"receiver"`
	Type     string  `json:"type"`
	OK       bool    `json:"ok"`
	Seconds  float64 `json:"seconds"`
	Error    string  `json:"error,omitempty"`
}

func newNotifyTest() *cobra.Command {
	var out outputFormat
	var flags daemonFlags
	cmd := &cobra.Command{
		Use:   "test",
		Short: "Send a sample alert to every configured receiver",
		Long: `Test sends a made-up alert, marked as a test, to every configured receiver,
whatever it is set to receive, and prints how each answered. It sends each
once, and asks neither the daemon nor the store.

Exit status: 0 when every receiver took it, 1 when one did not.`,
		Example: `  oomwatch notify test --config /etc/oomwatch/config.yaml
  oomwatch notify test --webhook https://alerts.example.org/oomwatch`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, warnings, err := flags.config()
			if err != nil {
				return err
			}
			for _, w := range warnings {
				fmt.Fprintf(cmd.ErrOrStderr(), "warning: %s\n", w)
			}
			// As JSON, standard output is for the results: the alert of a
			// stdout receiver goes beside it.
			stdout := cmd.OutOrStdout()
			if out.json() {
				stdout = cmd.ErrOrStderr()
			}
			senders, err := cfg.Senders(stdout)
			if err != nil {
				return err
			}
			defer config.CloseSenders(senders)
			inc := verdict.Sample(time.Now(), host.Facts())
			var results []tried
			bad := 0
			for i, r := range senders {
				res := try(cmd.Context(), r, string(cfg.Receivers[i].Type), inc)
				if !res.OK {
					bad++
				}
				results = append(results, res)
				if !out.json() {
					word := fmt.Sprintf("sent in %s", incident.FormatDuration(time.Duration(res.Seconds*float64(time.Second))))
					if !res.OK {
						word = "FAILED: " + res.Error
					}
					if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%s (%s): %s\n", res.Receiver, res.Type, word); err != nil {
						return err
					}
				}
			}
			if out.json() {
				if err := writeLines(cmd.OutOrStdout(), results); err != nil {
					return err
				}
			}
			if bad > 0 {
				return fmt.Errorf("%d of %d receivers did not take the alert; see above, and mend the url, the secret or the network", bad, len(results))
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&flags.file, "config", "", "configuration `FILE` that names the receivers")
	flags.cmd = cmd
	flags.addReceivers(cmd)
	addOutput(cmd, &out)
	return cmd
}

// try sends the sample to one receiver, once.
func try(ctx context.Context, r notify.Receiver, kind string, inc *incident.Incident) tried {
	began := time.Now()
	err := r.Notifier.Notify(ctx, incident.Alert{DeliveryID: incident.DeliveryID(inc.HostName(), inc.ID, r.Name), Incident: inc, Attempt: 1})
	res := tried{Receiver: r.Name, Type: kind, OK: err == nil, Seconds: time.Since(began).Seconds()}
	if err != nil {
		res.Error = err.Error()
		var never *notify.Rejected
		if errors.As(err, &never) && never.Gone {
			res.Error += " (it is gone for good: make a new one)"
		}
	}
	return res
}
