package store

import (
	"bytes"
	"database/sql/driver"
	"strings"

	"modernc.org/sqlite"
)

// headBytes is how much of an incident's JSON a search looks at: its summary and its
// container stand there, and SQLite need not read the pages of the rest.
const headBytes = 4096

// afterContainer are parts that come after the container. Quotes within a text are
// escaped, so that none can stand for the name of a part.
var afterContainer = [][]byte{[]byte(`"victim":`), []byte(`"killer":`), []byte(`"history":`), []byte(`"evidence":`), []byte(`"log_tail":`)}

func init() {
	// SQLite's own LIKE takes ten times as long for several words: it cuts the head anew
	// for each.
	sqlite.MustRegisterDeterministicScalarFunction("oomwatch_may_be", 3, func(_ *sqlite.FunctionContext, args []driver.Value) (driver.Value, error) {
		head, _ := args[0].([]byte)
		words, _ := args[1].(string)
		severity, _ := args[2].(string)
		return mayBe(head, words, severity), nil
	})
}

// mayBe says whether an incident whose JSON begins with head can have all words (in small
// letters, with blanks between) in its summary or container, and the severity.
func mayBe(head []byte, words, severity string) bool {
	if severity != "" && !bytes.Contains(head, []byte(severity)) {
		return false
	}
	for i, c := range head {
		if 'A' <= c && c <= 'Z' {
			head[i] = c + 'a' - 'A'
		}
	}
	for words != "" {
		var word string
		if word, words, _ = strings.Cut(words, " "); bytes.Contains(head, []byte(word)) {
			continue
		}
		if len(head) < headBytes {
			return false
		}
		for _, part := range afterContainer {
			if bytes.Contains(head, part) {
				return false
			}
		}
	}
	return true
}
