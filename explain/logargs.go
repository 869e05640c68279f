package explain

import (
	"fmt"
	"github.com/oomwatch/oomwatch/internal/lazyre"
	"io"
	"os"
	"strings"
)

// TakeLogs makes --log kern.log* work as a shell expands it: beside --log,
// arguments that are files are logs too, and folders among them are passed over.
// What is left is returned, at most most of it.
func TakeLogs(logs *[]string, args []string, most int, notes io.Writer) ([]string, error) {
	if len(*logs) == 0 {
		return args, nil
	}
	var rest []string
	for _, a := range args {
		st, err := os.Stat(a)
		switch {
		case err == nil && !st.IsDir():
			*logs = append(*logs, a)
		case err == nil && (most == 0 || besideLogs(a, *logs)):
			sayFolder(notes, a)
		case err != nil && (strings.Contains(a, "/") || besideLogs(a, *logs)):
			*logs = append(*logs, a) // it is said where the logs are read
		default:
			rest = append(rest, a)
		}
	}
	if len(rest) > most {
		return nil, fmt.Errorf("%s: no such file; more logs follow --log FILE, each a file that exists", strings.Join(rest[most:], ", "))
	}
	return rest, nil
}

var (
	reRotated = lazyre.New(`(?:\.[0-9]+|-[0-9]{8})?(?:\.(?:gz|zst|xz|bz2))?$`)
	reBeside  = lazyre.New(`^(?:\.|-[0-9]{8})`)
)

// besideLogs is true for a name that goes on as that of a log begins: kern.log.d
// beside kern.log.1. What is named like a container may be one.
func besideLogs(name string, logs []string) bool {
	for _, l := range logs {
		family := l[:reRotated.FindStringIndex(l)[0]]
		if rest, ok := strings.CutPrefix(name, family); ok && family != "" && l != "-" && reBeside.MatchString(rest) {
			return true
		}
	}
	return false
}
