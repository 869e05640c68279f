// Package build holds what is known of this program: its version and commit.
package build

import "runtime/debug"

// version and commit are set by the linker (see the Makefile).
var version, commit string

// commitLength is how many characters of a commit are shown.
const commitLength = 12

// Version is what the linker was told, the module's version where it was installed
// by version, or "devel".
func Version() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}

// Commit is what the linker was told, else what the Go tool recorded; "" for neither.
func Commit() string {
	if commit != "" {
		return commit
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				return s.Value[:min(commitLength, len(s.Value))]
			}
		}
	}
	return ""
}

// ReportAt is where a text that is not understood is reported.
const ReportAt = "https://github.com/oomwatch/oomwatch/issues"
