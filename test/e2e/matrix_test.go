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

// expect holds what is told of a container against the row of a death, and makes a
// line of the matrix of it at the end of the test.
func expect(t *testing.T, on string, hook *receiver, id string, d lab.Death) {
	t.Helper()
	wrong := "not told"
	t.Cleanup(func() {
		if wrong == "" && t.Failed() {
			wrong = "its test failed"
		}
		tell(t, on, d.Want.Cause(), d.Name, wrong == "", wrong)
	})
	hook.waitFor(t, id, 1, 30*time.Second)
	body := hook.json(id)
	lines := d.Told(true).Wrong(body)
	if wrong = strings.Join(lines, "; "); wrong != "" {
		t.Errorf("%s: %s\n%s", d.Name, strings.Join(lines, "\n"), body)
	}
}

// once wants one telling of each container.
func once(t *testing.T, hook *receiver, ids ...string) {
	t.Helper()
	time.Sleep(settled)
	for _, id := range ids {
		if got := hook.of(id); len(got) != 1 {
			t.Errorf("container %.12s: told %d times", id, len(got))
			for _, i := range got {
				t.Logf("  %s %s %s: %s", i.ID, i.Kind, i.Cause, i.Summary)
			}
		}
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
