package cri

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"syscall"
	"time"

	"github.com/oomwatch/oomwatch/watcher/logtail"
)

// maxLogRead bounds what is read of a log from its end, in bytes.
const maxLogRead = 1 << 20

// readLog reads the last lines of a log that the runtime writes: "TIME STREAM TAG TEXT",
// the tag F for a line and P for a part of one. Where the file was begun anew a moment
// before, the one before it is read as well: the kubelet renames it, with the time at its
// end.
func readLog(path string, lines int) (logtail.Words, error) {
	t := logtail.New(lines)
	text, whole, err := tailOf(path)
	if err != nil {
		return logtail.Words{}, err
	}
	if whole && bytes.Count(text, []byte("\n")) < logtail.Judged {
		if before := rotated(path); before != "" {
			// What is gone of it is no reason to show nothing.
			if older, _, err := tailOf(before); err == nil {
				text = append(older, text...)
			}
		}
	}
	for len(text) > 0 {
		line, rest, ended := bytes.Cut(text, []byte("\n"))
		text = rest
		stream, content, full := entryOf(line)
		t.Write(stream, content)
		if full && ended || full && len(rest) == 0 {
			t.Write(stream, []byte("\n"))
		}
	}
	return t.Words(lines), nil
}

// entryOf reads one line of the log. One that is not in its form is taken as it is.
func entryOf(line []byte) (stream byte, content []byte, full bool) {
	f := bytes.SplitN(line, []byte(" "), 4)
	if len(f) < 3 {
		return 1, line, true
	}
	if _, err := time.Parse(time.RFC3339Nano, string(f[0])); err != nil {
		return 1, line, true
	}
	stream = 1
	if string(f[1]) == "stderr" {
		stream = 2
	}
	if len(f) == 4 {
		content = f[3]
	}
	tag, _, _ := strings.Cut(string(f[2]), ":")
	return stream, content, tag != "P"
}

// tailOf reads the end of a file, from the beginning of a line; whole is true where that
// is all of it. It waits for nothing: only an ordinary file is read.
func tailOf(path string) (text []byte, whole bool, err error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, false, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, false, err
	}
	if !st.Mode().IsRegular() {
		return nil, false, errors.New(path + " is no ordinary file")
	}
	from := max(0, st.Size()-maxLogRead)
	text, err = io.ReadAll(io.NewSectionReader(f, from, maxLogRead))
	if err != nil {
		return nil, false, err
	}
	if from > 0 {
		_, text, _ = bytes.Cut(text, []byte("\n"))
	}
	return text, from == 0, nil
}

// rotated is the newest file that the log was renamed to; "" for none. Older ones are
// compressed.
func rotated(path string) string {
	names, err := filepath.Glob(escapeGlob(path) + ".*")
	if err != nil {
		return ""
	}
	names = keepPlain(names)
	if len(names) == 0 {
		return ""
	}
	sort.Strings(names) // by the time in the name
	return names[len(names)-1]
}

func keepPlain(names []string) (out []string) {
	for _, n := range names {
		if !strings.HasSuffix(n, ".gz") && !strings.HasSuffix(n, ".tmp") {
			out = append(out, n)
		}
	}
	return out
}

// escapeGlob takes a path's own characters as they are.
func escapeGlob(p string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(p)
}
