package main

import (
	"cmp"
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/oomwatch/oomwatch/cgroup"
	"github.com/oomwatch/oomwatch/internal/build"
	"github.com/oomwatch/oomwatch/internal/host"
)

// thisProgram is what `version` prints.
type thisProgram struct {
	Version string `json:"version"`
	Commit  string `json:"commit,omitempty"`
	Go      string `json:"go"`
	Kernel  string `json:"kernel,omitempty"`
	Cgroup  string `json:"cgroup"`
}

func (p thisProgram) String() string {
	s := "oomwatch " + p.Version
	if p.Commit != "" {
		s += " (" + p.Commit + ")"
	}
	s += ", " + p.Go
	if p.Kernel != "" {
		s += ", kernel " + p.Kernel
	}
	return s + ", cgroup " + p.Cgroup
}

func newVersion() *cobra.Command {
	var out outputFormat
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Print version, commit, Go, kernel and cgroup mode",
		Example: "  oomwatch version\n  oomwatch version -o json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			p := thisProgram{Version: build.Version(), Commit: build.Commit(), Go: runtime.Version(), Kernel: host.Kernel(),
				Cgroup: cmp.Or(host.CgroupMode(), string(cgroup.Unknown))}
			if out.json() {
				return writeLines(cmd.OutOrStdout(), []thisProgram{p})
			}
			_, err := fmt.Fprintln(cmd.OutOrStdout(), p)
			return err
		},
	}
	addOutput(cmd, &out)
	return cmd
}
