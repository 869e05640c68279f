package main

import (
	"fmt"
	"os"
	"strings"
)

// takeLogs makes --log kern.log* work as a shell expands it: beside --log,
// arguments that are files are logs too. What is left is returned, at most most
// of it.
func takeLogs(logs *[]string, args []string, most int) ([]string, error) {
	if len(*logs) == 0 {
		return args, nil
	}
	var rest []string
	for _, a := range args {
		if st, err := os.Stat(a); err == nil && !st.IsDir() {
			*logs = append(*logs, a)
		} else {
			rest = append(rest, a)
		}
	}
	if len(rest) > most {
		return nil, usageError{fmt.Errorf("%s: no such file; more logs follow --log FILE, each a file that exists", strings.Join(rest[most:], ", "))}
	}
	return rest, nil
}
