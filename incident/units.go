package incident

import (
	"strconv"
	"time"

	"github.com/oomwatch/oomwatch/units"
)

// FormatBytes writes a size with a binary unit: "31.6 MiB".
func FormatBytes(n int64) string { return units.Bytes(n) }

// FormatDuration writes a duration in the two largest units that matter:
// "3 min 20 s".
func FormatDuration(d time.Duration) string { return units.Duration(d) }

// signalNames are the Linux signals (x86, arm) by number; signal(7).
var signalNames = [...]string{
	1: "SIGHUP", 2: "SIGINT", 3: "SIGQUIT", 4: "SIGILL", 5: "SIGTRAP", 6: "SIGABRT", 7: "SIGBUS", 8: "SIGFPE",
	9: "SIGKILL", 10: "SIGUSR1", 11: "SIGSEGV", 12: "SIGUSR2", 13: "SIGPIPE", 14: "SIGALRM", 15: "SIGTERM",
	16: "SIGSTKFLT", 17: "SIGCHLD", 18: "SIGCONT", 19: "SIGSTOP", 20: "SIGTSTP", 21: "SIGTTIN", 22: "SIGTTOU",
	23: "SIGURG", 24: "SIGXCPU", 25: "SIGXFSZ", 26: "SIGVTALRM", 27: "SIGPROF", 28: "SIGWINCH", 29: "SIGIO",
	30: "SIGPWR", 31: "SIGSYS",
}

// SignalName returns the name of signal n ("SIGKILL"), or "signal 34" for one
// that has none.
func SignalName(n int) string {
	if HasSignalName(n) {
		return signalNames[n]
	}
	return "signal " + strconv.Itoa(n)
}

// HasSignalName is true for a signal that SignalName knows by name.
func HasSignalName(n int) bool { return n > 0 && n < len(signalNames) }

// SignalNumber is the reverse of SignalName; it takes names with and without
// "SIG" and decimal numbers, and returns 0 for anything else.
func SignalNumber(s string) int {
	if n, err := strconv.Atoi(s); err == nil && n > 0 && n <= 64 {
		return n
	}
	for n, name := range signalNames {
		if name != "" && (name == s || name[3:] == s) {
			return n
		}
	}
	return 0
}

// ExitSignal returns the signal that an exit code stands for (137 → 9), or 0.
// A program can also choose such a code itself.
func ExitSignal(code int) int {
	if code > 128 && code <= 128+64 {
		return code - 128
	}
	return 0
}
