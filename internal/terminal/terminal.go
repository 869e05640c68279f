// Package terminal asks how text may look where it is written.
package terminal

import (
	"io"
	"os"

	"golang.org/x/term"
)

// Is reports whether w is a terminal.
func Is(w any) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Colour reports whether text on w may be coloured (no-color.org).
func Colour(w io.Writer) bool {
	return Is(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

// Screen is how wide text on w may be where w is a terminal, within reason; 0 where it is
// none: then nothing is cut.
func Screen(w io.Writer) int {
	if !Is(w) {
		return 0
	}
	return Width(w)
}

// Width is how wide text on w may be: the terminal, within reason, or 80.
func Width(w io.Writer) int {
	if f, ok := w.(*os.File); ok {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil {
			return min(max(width, 40), 120)
		}
	}
	return 80
}
