package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"github.com/oomwatch/oomwatch/cgroup"
)

// version and commit are set by the linker (see the Makefile).
var version, commit string

// build is what `version` prints.
type build struct {
	Version string `json:"version"`
	Commit  string `json:"commit,omitempty"`
	Go      string `json:"go"`
	Kernel  string `json:"kernel,omitempty"`
	Cgroup  string `json:"cgroup"`
}

// thisBuild gathers what this program is and where it runs.
func thisBuild() build {
	b := build{Version: programVersion(), Commit: commit, Go: runtime.Version(), Cgroup: string(cgroup.Unknown), Kernel: kernelRelease()}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" && b.Commit == "" {
				b.Commit = s.Value[:min(12, len(s.Value))]
			}
		}
	}
	if fs, err := cgroup.Open(cgroup.DefaultRoot, cgroup.DefaultProc); err == nil {
		b.Cgroup = string(fs.Mode())
		_ = fs.Close() // it was only read
	}
	return b
}

// programVersion is what the linker was told, the module's version where it was installed by
// version, or "devel".
func programVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}

func (b build) String() string {
	s := "oomwatch " + b.Version
	if b.Commit != "" {
		s += " (" + b.Commit + ")"
	}
	s += ", " + b.Go
	if b.Kernel != "" {
		s += ", kernel " + b.Kernel
	}
	return s + ", cgroup " + b.Cgroup
}

// kernelRelease is the running kernel's, "" where /proc does not tell.
func kernelRelease() string {
	b, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return ""
	}
	return trimmed(b)
}

func trimmed(b []byte) string { return strings.TrimSpace(string(b)) }

func newVersion() *cobra.Command {
	var out outputFormat
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Print version, commit, Go, kernel and cgroup mode",
		Example: "  oomwatch version\n  oomwatch version -o json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if out.json() {
				return writeLines(cmd.OutOrStdout(), []build{thisBuild()})
			}
			_, err := fmt.Fprintln(cmd.OutOrStdout(), thisBuild())
			return err
		},
	}
	addOutput(cmd, &out)
	return cmd
}
