package main

import (
	"io"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/internal/terminal"
	"github.com/oomwatch/oomwatch/render"
)

// writeStory tells one incident to a person. w is the buffer or stream to write
// to, screen what it ends up on.
func writeStory(w, screen io.Writer, inc *incident.Incident) error {
	return render.WriteText(w, inc, render.TextOptions{Width: terminal.Screen(screen), Color: terminal.Colour(screen)})
}

// writeTable tells incidents to a person, one a line.
func writeTable(w, screen io.Writer, list []*incident.Incident) error {
	return render.WriteTable(w, list, render.TextOptions{Width: terminal.Screen(screen), Color: terminal.Colour(screen)})
}
