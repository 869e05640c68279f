package main

import (
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/oomwatch/oomwatch/internal/build"
	"github.com/oomwatch/oomwatch/kmsg"
	"github.com/oomwatch/oomwatch/redact"
	"github.com/oomwatch/oomwatch/units"
)

// sayUnread says which lines of a log were not believed, or not understood.
func sayUnread(notes io.Writer, stats *kmsg.ScanStats) {
	if stats.Foreign > 0 {
		fmt.Fprintf(notes, "note: ignored %s like the kernel's, which a program wrote\n", units.Count(int(stats.Foreign), "line"))
	}
	if stats.Unrecognised > 0 {
		fmt.Fprintf(notes, "note: unrecognised OOM text: %s of an OOM report in a form that this version does not know, or behind text that it does not know.\nPlease report the first, with the ten lines around it, at %s:\n", units.Count(int(stats.Unrecognised), "line"), build.ReportAt)
		for _, l := range stats.UnrecognisedLines {
			fmt.Fprintf(notes, "  %s\n", redact.Sanitize(l))
		}
	}
	for _, l := range stats.NotKernel {
		sayNotKernel(notes, l)
	}
}

// sayNotKernel says what a file is that is no kernel log, and what would help.
func sayNotKernel(notes io.Writer, l kmsg.Look) {
	name := redact.Sanitize(l.Name)
	fmt.Fprintf(notes, "note: no line of %s looks like a kernel log's: it looks like %s.\n", name, l.What)
	if l.Read == "" {
		fmt.Fprintln(notes, "The kernel's log is what journalctl -k -o json or dmesg prints, or /var/log/kern.log of the host.")
		return
	}
	quoted := name
	if strings.ContainsFunc(name, func(r rune) bool {
		return r >= 0x80 || r != '/' && r != '.' && r != '-' && r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r)
	}) {
		quoted = "'" + strings.ReplaceAll(name, "'", `'\''`) + "'"
	}
	fmt.Fprintf(notes, "Read it with: %s\n", strings.ReplaceAll(l.Read, "FILE", quoted))
}
