package main

import (
	"os"
	"os/signal"
	"syscall"

	"github.com/oomwatch/oomwatch/daemon"
	"github.com/spf13/cobra"
)

func newRun() *cobra.Command {
	var flags daemonFlags
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Follow every source, keep incidents, alert",
		Long: `Run is the daemon. It follows the container engine, the kernel's log and the
control groups, joins what they say into incidents, keeps them, and alerts the
receivers. Without any configuration it prints each alert to standard output.
It logs to standard error.

A source that is missing or denied does not stop the others. See what can be seen
from here with: oomwatch doctor

SIGHUP reads the configuration file again; a bad one is refused and changes
nothing. SIGTERM ends it in order, within 5 seconds; a second one at once.

Exit status 75: another daemon runs on this store.`,
		Example: `  oomwatch run
  oomwatch run --webhook https://alerts.example.org/oomwatch
  oomwatch run --config /etc/oomwatch/config.yaml
  oomwatch run --store ./oomwatch.db --listen off --log-level debug`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			// A reader of standard output that goes away takes alerts with it, not the
			// daemon: what cannot be printed stays owed.
			signal.Ignore(syscall.SIGPIPE)
			hup := make(chan os.Signal, 1)
			signal.Notify(hup, syscall.SIGHUP)
			defer signal.Stop(hup)
			cfg, warnings, err := flags.config()
			if err != nil {
				return err
			}
			return daemon.New(cfg, daemon.Options{Warnings: warnings, Load: flags.config, Hangups: hup,
				Stdout: cmd.OutOrStdout(), Stderr: cmd.ErrOrStderr()}).Run(cmd.Context())
		},
	}
	flags.add(cmd)
	flags.addReceivers(cmd)
	flags.addLog(cmd)
	return cmd
}
