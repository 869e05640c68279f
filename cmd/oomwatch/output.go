package main

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"

	"github.com/oomwatch/oomwatch/config"
	"github.com/oomwatch/oomwatch/redact"
	"github.com/spf13/cobra"
)

// outputFormat is what -o takes.
type outputFormat string

var outputFormats = []string{"text", "json"}

func (f *outputFormat) UnmarshalText(b []byte) error {
	*f = outputFormat(b)
	return config.Choice(string(b), outputFormats)
}

func (f outputFormat) json() bool { return f == "json" }

// addOutput adds -o to a command that prints data.
func addOutput(cmd *cobra.Command, f *outputFormat) {
	*f = "text"
	addText(cmd.Flags(), f, "output", "o", "text|json", "how to print: text, or json with one object per line")
	complete(cmd, "output", outputFormats...)
}

// complete offers words for a flag to the shell.
func complete(cmd *cobra.Command, flag string, words ...string) {
	err := cmd.RegisterFlagCompletionFunc(flag, func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return words, cobra.ShellCompDirectiveNoFileComp
	})
	if err != nil {
		panic(err) // the flag is not there: a mistake in this program
	}
}

// writeLines writes each item as one line of JSON, in which nothing can turn text around.
func writeLines[T any](w io.Writer, items []T) error {
	var line bytes.Buffer
	enc := json.NewEncoder(&line)
	enc.SetEscapeHTML(false)
	for _, it := range items {
		line.Reset()
		if err := enc.Encode(it); err != nil {
			return err
		}
		if _, err := w.Write(redact.JSON(line.Bytes())); err != nil {
			return err
		}
	}
	return nil
}

// wrap breaks text into lines of at most width runes; a longer word stands alone.
func wrap(text string, width int) []string {
	var lines []string
	line, n := "", 0
	for _, word := range strings.Fields(text) {
		l := len([]rune(word))
		if n > 0 && n+1+l > width {
			lines = append(lines, line)
			line, n = "", 0
		}
		if n > 0 {
			line += " "
			n++
		}
		line += word
		n += l
	}
	if n > 0 {
		lines = append(lines, line)
	}
	return lines
}
