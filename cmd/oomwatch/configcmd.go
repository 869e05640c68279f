package main

import (
	"fmt"

	"github.com/goccy/go-yaml"
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
				_, warnings, err := loadConfig(args[0])
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
			Short:   "Print what holds, defaults included; secrets are masked",
			Example: "  oomwatch config show\n  oomwatch config show /etc/oomwatch/config.yaml",
			Args:    cobra.MaximumNArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				path := ""
				if len(args) == 1 {
					path = args[0]
				}
				cfg, _, err := loadConfig(path)
				if err != nil {
					return err
				}
				for i := range cfg.Receivers {
					// What was read from elsewhere is not of the file.
					r := &cfg.Receivers[i]
					for _, from := range r.sources() {
						if from.file+from.env != "" {
							*from.value = ""
						}
					}
					if r.TemplateFile != "" {
						r.Template = ""
					}
					r.Command = maskCommand(r.Command)
				}
				cfg.Warnings.OnWarning.Exec = maskCommand(cfg.Warnings.OnWarning.Exec)
				b, err := yaml.Marshal(cfg)
				if err != nil {
					return fmt.Errorf("print the configuration: %w", err)
				}
				_, err = cmd.OutOrStdout().Write(b)
				return err
			},
		},
	)
	return cmd
}
