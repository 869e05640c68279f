package e2e

import (
	"cmp"
	"strings"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/test/lab"
)

// platform names where the deaths of a test happen.
func platform(t testing.TB, e *lab.Engine) string {
	t.Helper()
	p, err := e.Platform(timeout(t, time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// tell logs and keeps what was said of one death.
func tell(t testing.TB, platform, cause, death string, right bool, word string) {
	t.Helper()
	x := lab.Told{Platform: platform, Cause: cmp.Or(cause, "-"), Death: death, Right: right, Word: word}
	t.Log(x)
	if err := x.Keep(); err != nil {
		t.Error(err)
	}
}

// subtest names a death after the test that caused it.
func subtest(t testing.TB) string {
	words := strings.FieldsFunc(t.Name()[strings.LastIndexByte(t.Name(), '/')+1:], func(r rune) bool { return r == '_' || r == ',' })
	return strings.Join(words, "-")
}

// row makes a line of the matrix of a test that is all about one death.
func row(t testing.TB, platform, cause, death string) {
	t.Cleanup(func() {
		if !t.Skipped() {
			tell(t, platform, cause, death, !t.Failed(), "")
		}
	})
}
