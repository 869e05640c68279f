package signals

import (
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/oomwatch/oomwatch/redact"
)

// maxCommand bounds a command line, in bytes, once its secrets are masked.
const maxCommand = 240

// command is a command line as it may leave the host.
func command(line string) string { return redact.Cut(redact.Line(line), maxCommand) }

// userFiles list the host's users: that of the first process, for a daemon in a
// container, else that of this one.
var userFiles = []string{"/proc/1/root/etc/passwd", "/etc/passwd"}

// userName is what the host calls a user; "" for one that its list does not have, as
// where users are kept in a directory.
func userName(uid int, files []string) string {
	if uid == 0 {
		return "root"
	}
	const most = 1 << 20
	for _, path := range files {
		f, err := os.Open(path)
		if err != nil {
			continue
		}
		b, err := io.ReadAll(io.LimitReader(f, most))
		f.Close() //nolint:errcheck // it was only read
		if err == nil {
			return userIn(string(b), strconv.Itoa(uid))
		}
	}
	return ""
}

// userIn finds a user's name in a list (passwd(5)):
//
//	anna:x:1000:1000:Anna,,,:/home/anna:/bin/bash
func userIn(list, uid string) string {
	for line := range strings.Lines(list) {
		if f := strings.Split(line, ":"); len(f) > 3 && f[2] == uid {
			return f[0]
		}
	}
	return ""
}
