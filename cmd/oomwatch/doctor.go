package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/oomwatch/oomwatch/doctor"
	"github.com/oomwatch/oomwatch/internal/terminal"
	"github.com/spf13/cobra"
)

func newDoctor() *cobra.Command {
	var out outputFormat
	var flags daemonFlags
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Show what can be seen from here, what cannot, and the step that fixes each",
		Long: `Doctor tries every source and place that the daemon would use, as the user and
with the flags it is called with. It changes nothing and asks for no rights.

Where a daemon runs it is asked what it sees, keeps and delivers. Exit status: 0 when
at least one source of deaths works and nothing that is needed (store, address,
receivers) is missing, else 1.`,
		Example: `  oomwatch doctor
  sudo oomwatch doctor --config /etc/oomwatch/config.yaml
  oomwatch doctor -o json | jq 'select(.state != "ok")'`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, warnings, err := flags.config()
			if err != nil {
				return err
			}
			found := doctor.Diagnose(cmd.Context(), cfg, warnings)
			if out.json() {
				err = writeLines(cmd.OutOrStdout(), found)
			} else {
				err = writeFindings(cmd.OutOrStdout(), found)
			}
			if err != nil {
				return err
			}
			return enough(found)
		},
	}
	flags.add(cmd)
	flags.addReceivers(cmd)
	addOutput(cmd, &out)
	return cmd
}

// enough returns an error where nothing sees deaths, or something needed is missing.
func enough(found []doctor.Finding) error {
	sees := false
	var missing []string
	for _, f := range found {
		switch {
		case f.SeesDeaths && f.State != doctor.Missing:
			sees = true
		case f.Needed && f.State == doctor.Missing:
			missing = append(missing, f.Capability)
		}
	}
	switch {
	case !sees:
		return fmt.Errorf("no source of deaths can be read from here: fix one of those marked missing above")
	case len(missing) > 0:
		return fmt.Errorf("needed and missing: %s; the step that fixes each stands above", strings.Join(missing, ", "))
	}
	return nil
}

// writeFindings prints a table that is read from the left: state, what, found;
// and below it what it costs and what to do.
func writeFindings(w io.Writer, found []doctor.Finding) error {
	const left = 9 + 22
	width := max(terminal.Width(w)-left, 30)
	paint := painter(w)
	var b strings.Builder
	for _, f := range found {
		for i, line := range wrap(f.Found, width) {
			if i == 0 {
				fmt.Fprintf(&b, "%s %-21s %s\n", paint(f.State), f.Capability, line)
			} else {
				fmt.Fprintf(&b, "%*s%s\n", left, "", line)
			}
		}
		for _, part := range []struct{ head, text string }{{"unseen: ", f.Invisible}, {"next step: ", f.Fix}} {
			if part.text == "" {
				continue
			}
			for i, line := range wrap(part.head+part.text, width-2) {
				fmt.Fprintf(&b, "%*s%s\n", left+min(2*i, 2), "", line)
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// painter pads a state to its column and colours it where that is wanted.
func painter(w io.Writer) func(string) string {
	colour := map[string]string{doctor.OK: "\x1b[32m", doctor.Weak: "\x1b[33m", doctor.Missing: "\x1b[31m"}
	if !terminal.Colour(w) {
		return func(s string) string { return fmt.Sprintf("%-8s", s) }
	}
	return func(s string) string { return colour[s] + fmt.Sprintf("%-8s", s) + "\x1b[0m" }
}
