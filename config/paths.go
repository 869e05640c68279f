package config

import (
	"os"
	"path/filepath"
)

// defaultStorePath is in root's state folder, else in the user's own. A user
// without a home gets root's place, and with it a refusal that says what to do:
// a folder that anybody could have made is no place for it.
func DefaultStorePath() string {
	if dir := userState(); dir != "" {
		return filepath.Join(dir, "oomwatch.db")
	}
	return "/var/lib/oomwatch/oomwatch.db"
}

// defaultSocketPath is in root's runtime folder, else in the user's own, else
// beside the user's store.
func DefaultSocketPath() string {
	if os.Geteuid() != 0 {
		if dir := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
			return filepath.Join(dir, "oomwatch", "oomwatch.sock")
		}
		if dir := userState(); dir != "" {
			return filepath.Join(dir, "oomwatch.sock")
		}
	}
	return "/run/oomwatch/oomwatch.sock"
}

// userState is the user's own folder for state; "" for root, and for a user who
// has no home.
func userState() string {
	if os.Geteuid() == 0 {
		return ""
	}
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "oomwatch")
	}
	if home, err := os.UserHomeDir(); err == nil && filepath.IsAbs(home) {
		return filepath.Join(home, ".local/state/oomwatch")
	}
	return ""
}
