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
func expect(t *testing.T, on string, hook *receiver, w *daemon, id string, d lab.Death) {
	t.Helper()
	wrong := "not told"
	t.Cleanup(func() {
		if wrong == "" && t.Failed() {
			wrong = "its test failed"
		}
		tell(t, on, d.Want.Cause(), d.Name, wrong == "", wrong)
	})
	lines := holds(t, hook, w, id, d.Told(true))
	if wrong = strings.Join(lines, "; "); wrong != "" {
		t.Errorf("%s: %s\n%s", d.Name, strings.Join(lines, "\n"), hook.json(id))
	}
}

// holds waits for the alert and says what is wrong with it. Where it went out
// before the engine had told of the end, as it does when the engine is slow, the
// incident that was kept must have the rest.
func holds(t testing.TB, hook *receiver, w *daemon, id string, want lab.Want) []string {
	t.Helper()
	first := hook.waitFor(t, id, 1, 30*time.Second)[0]
	wrong := want.Wrong(hook.json(id))
	for deadline := time.Now().Add(lab.Slow(2 * time.Second)); len(wrong) > 0 && first.Container.ExitCode == nil && time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if line := w.kept(t, first.ID); line != nil {
			wrong = want.Wrong(line)
		}
	}
	return wrong
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
