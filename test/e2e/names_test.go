package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/test/lab"
)

// TestNames asks by the words that people have: a service that stands for two containers, a
// project's service, the beginning of an id, a name that is mistyped.
func TestNames(t *testing.T) {
	e := lab.Start(t, lab.Options{})
	hook := newReceiver(t)
	d := startDaemon(t, e.Host, hook)
	ctx := timeout(t, time.Minute)
	ids := map[string]string{}
	for _, project := range []string{"shop", "blog"} { // blog's dies last
		id, err := e.Run(ctx, "--name", project+"-web-1", "--label", "com.docker.compose.project="+project, "--label", "com.docker.compose.service=web", lab.Image, "prog", "exit", "4")
		if err != nil {
			t.Fatal(err)
		}
		hook.waitFor(t, id, 1, 20*time.Second)
		ids[project] = id
	}
	for _, from := range [][]string{{"--socket", d.socket}, {"--socket", d.socket + ".none", "--docker", e.Host}} {
		for _, q := range []struct {
			word, id, says string
			code           int
		}{
			{"web", ids["blog"], "blog-web-1, shop-web-1", 0},
			{"shop/web", ids["shop"], "", 0},
			{"blog-web-1", ids["blog"], "", 0},
			{ids["shop"][:12], ids["shop"], "", 0},
			{"shop-wbe-1", "", "did you mean shop-web-1", 3},
		} {
			out, errs, code := oomwatch(t, append([]string{"explain", "-o", "json", q.word}, from...)...)
			if code != q.code || !strings.Contains(errs, q.says) {
				t.Errorf("%s: exit status %d, says %q, want %q", q.word, code, errs, q.says)
			}
			if got := parseLines(t, out); q.id != "" && (len(got) != 1 || got[0].Container.ID != q.id) {
				t.Errorf("%s: answers %s", q.word, out)
			}
		}
	}
}
