package main

import (
	"fmt"

	"github.com/oomwatch/oomwatch/config"
	"github.com/spf13/cobra"
)

func newConfig() *cobra.Command {
	cmd := &cobra.Command{Use: "config", Short: "Check or show the configuration"}
	cmd.AddCommand(
		&cobra.Command{
			Use:     "check FILE",
			Short:   "Check a configuration file and name everything wrong with it",
			Example: "  oomwatch config check /etc/oomwatch/config.yaml",
			Args:    cobra.ExactArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				_, warnings, err := config.Load(args[0])
				if err != nil {
					return err
				}
				for _, w := range warnings {
					fmt.Fprintf(cmd.ErrOrStderr(), "warning: %s\n", w)
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: good\n", args[0])
				return err
			},
		},
		&cobra.Command{
			Use:     "show [FILE]",
			Short:   "Print the configuration in force, defaults included, secrets masked",
			Example: "  oomwatch config show\n  oomwatch config show /etc/oomwatch/config.yaml",
			Args:    cobra.MaximumNArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				path := ""
				if len(args) == 1 {
					path = args[0]
				}
				cfg, _, err := config.Load(path)
				if err != nil {
					return err
				}
				b, err := cfg.Masked()
				if err != nil {
					return err
				}
				_, err = cmd.OutOrStdout().Write(b)
				return err
			},
		},
	)
	return cmd
}
