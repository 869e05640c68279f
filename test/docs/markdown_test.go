package docs

import (
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// block is one fenced block of a document.
type block struct {
	doc   string // path from the root
	line  int    // of its first line of text
	kind  string // "sh", "console", "json", ...
	lines []string
}

func (b block) text() string { return strings.Join(b.lines, "\n") + "\n" }

// command is one command that a document shows, with the output it shows.
type command struct {
	doc  string
	line int
	text string
	want string // of a console block; "" where none is shown
}

// documents are the paths of all documents, from the root.
func documents(t *testing.T) []string {
	t.Helper()
	var docs []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || d.Name() == ".git" || d.Name() == "bin") {
			return fs.SkipDir
		}
		if filepath.Ext(path) == ".md" {
			rel, err := filepath.Rel(root, path)
			if err != nil {
				return err
			}
			docs = append(docs, filepath.ToSlash(rel))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(docs) < 10 {
		t.Fatalf("only %d documents were found: %q", len(docs), docs)
	}
	return docs
}

// blocks cuts a document into its fenced blocks.
func blocks(t *testing.T, doc string) []block {
	t.Helper()
	var out []block
	var open *block
	for i, line := range strings.Split(read(t, doc), "\n") {
		fence, isFence := strings.CutPrefix(line, "```")
		switch {
		case isFence && open == nil:
			open = &block{doc: doc, line: i + 2, kind: fence}
		case isFence:
			out = append(out, *open)
			open = nil
		case open != nil:
			open.lines = append(open.lines, line)
		}
	}
	if open != nil {
		t.Fatalf("%s:%d: the block has no end", doc, open.line)
	}
	return out
}

// commands are those of the blocks marked sh and console, in order.
func commands(t *testing.T, doc string) []command {
	t.Helper()
	var out []command
	for _, b := range blocks(t, doc) {
		switch b.kind {
		case "sh":
			for i, line := range b.lines {
				if strings.TrimSpace(line) != "" && !strings.HasPrefix(line, "#") {
					out = append(out, command{doc: doc, line: b.line + i, text: line})
				}
			}
		case "console":
			for i, line := range b.lines {
				if text, ok := strings.CutPrefix(line, "$ "); ok {
					out = append(out, command{doc: doc, line: b.line + i, text: text})
				} else if len(out) > 0 {
					out[len(out)-1].want += line + "\n"
				}
			}
		}
	}
	return out
}
