package verdict

import (
	"fmt"
	"strings"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/redact"
)

// firstWindow is how long before the end a kill may have been of the container's first
// process: that ends the container, and an engine that hangs notes it later.
const firstWindow = 30 * time.Second

// judgeFlag finds an OOM kill by the engine's flag and 137 together, where no kernel
// log covers the end. The flag stays set by a child's kill, so an older kill that is
// known explains it.
func judgeFlag(f *Facts) (judgement, bool) {
	gap := f.kernelGap()
	if !isKillCode(f.Exit.ExitCode) || !f.Exit.Inspected || !f.Exit.OOMKilled || gap == "" || f.Traced || f.Undated > 0 || f.Shift != 0 || olderKill(f) != nil {
		return judgement{}, false
	}
	at := ""
	if f.Container != nil && f.Container.MemoryLimit != nil {
		at = " at its " + incident.FormatBytes(*f.Container.MemoryLimit) + " limit"
	}
	return judgement{cause: incident.OOMContainer, confidence: incident.Possible, flagged: true,
		why: fmt.Sprintf("%s flags an OOM kill in it, and %s: probably OOM%s, not provable", engineName(f.Container), gap, at)}, true
}

// olderKill is the newest kernel kill in this run, which came too long before the end
// to have been of the main process; nil where there is none.
func olderKill(f *Facts) (newest *KernelKill) {
	end := endTime(f)
	for _, kills := range [][]KernelKill{f.ChildKills, f.Kills} {
		for i := range kills {
			at := killTime(&kills[i])
			if !at.IsZero() && end.Sub(at) > firstWindow && (newest == nil || at.After(killTime(newest))) {
				newest = &kills[i]
			}
		}
	}
	return newest
}

// maybeFirst is the pid of MaybeFirst where its kill is near enough to the end.
func maybeFirst(f *Facts) int {
	for _, kills := range [][]KernelKill{f.ChildKills, f.Kills} {
		for i := range kills {
			if k := &kills[i]; k.Kill.PID == f.MaybeFirst && !killTime(k).IsZero() && endTime(f).Sub(killTime(k)) > firstWindow {
				return 0
			}
		}
	}
	return f.MaybeFirst
}

// judgeSigkill judges a SIGKILL that nothing explains.
func judgeSigkill(f *Facts) judgement {
	const leaves = "exit code 137 is what SIGKILL leaves"
	v := judgement{cause: incident.KillUnknown, confidence: incident.Possible, signal: 9}
	switch {
	case f.Undated > 0:
		v.why = leaves + ". The kernel's log has an OOM kill in this container and no time of day (dmesg -T or journalctl -k would print it): whether that was this end is not known"
		return v
	case f.Shift != 0:
		v.why = fmt.Sprintf("%s. The kernel's log has an OOM kill in this container %s: if the log was written in another time zone, that was this end", leaves, shifted(f.Shift))
		return v
	case maybeFirst(f) != 0:
		v.why = fmt.Sprintf("%s. The kernel OOM-killed pid %d in this container before: its main process may have been that one: the main process's pid was not known before it ended", leaves, f.MaybeFirst)
		return v
	}
	v.why = leaves
	if silent := f.silent(); len(silent) > 0 {
		v.why += "; " + andList(silent) + " explains it"
	}
	if unread := f.unread(); len(unread) > 0 {
		v.why += "; " + strings.Join(unread, ", and ")
	} else {
		v.why += ". A process on the host or in the container sent it, or the program itself exited with 137"
	}
	if k := olderKill(f); k != nil {
		v.why += fmt.Sprintf(". The kernel OOM-killed its process %d (%s) %s earlier, which the container outlived: that did not end it",
			k.Kill.PID, redact.Sanitize(k.Kill.Comm), incident.FormatDuration(endTime(f).Sub(killTime(k))))
	}
	if f.Untraced != "" {
		v.why += ". Who sent it is not known: " + f.Untraced
	}
	return v
}

// points says in a clause whether anything points to OOM. It quotes no source as
// silent that does not cover the end.
func points(f *Facts) string {
	switch {
	case f.Shift != 0:
		return "an OOM kill in it is in the kernel's log, " + shifted(f.Shift)
	case f.Undated > 0:
		return "an OOM kill in it is in the kernel's log, without a time of day"
	case maybeFirst(f) != 0:
		return fmt.Sprintf("the kernel OOM-killed pid %d in it before, which may have been its main process", f.MaybeFirst)
	}
	if gap := f.kernelGap(); gap != "" {
		return "whether it was an OOM kill is not known: " + gap
	}
	if f.Exit != nil && f.Exit.OOMKilled {
		return engineName(f.Container) + " flags an OOM kill in it, but the kernel log covers its end and has none"
	}
	return "nothing points to OOM"
}

// andList joins clauses that begin with "no": "no kernel kill, no request and no counter".
func andList(s []string) string {
	if len(s) < 2 {
		return strings.Join(s, "")
	}
	return strings.Join(s[:len(s)-1], ", ") + " and " + s[len(s)-1]
}
