package journal

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/observe"
)

// TestPodman follows Podman by the journal: what runs since before, a start, an end with
// its last words, once though it is repeated; nothing of a user whose socket is there, and
// nothing that another user says of a container.
func TestPodman(t *testing.T) {
	old, web, theirs, made := strings.Repeat("aa", 32), strings.Repeat("bb", 32), strings.Repeat("cc", 32), strings.Repeat("dd", 32)
	entry := func(uid, at, event, id, more string) string {
		return `{"_UID":"` + uid + `","PODMAN_TIME":"` + at + `","PODMAN_EVENT":"` + event + `","PODMAN_ID":"` + id + `","PODMAN_NAME":"c-` + id[:2] + `","PODMAN_IMAGE":"localhost/shop:1"` + more + `}`
	}
	died := entry("0", "2026-01-02T03:00:03.5Z", "died", web, `,"PODMAN_EXIT_CODE":"137","PODMAN_LABELS":"{\"app\":\"shop\"}"`)
	script := `#!/bin/sh
case "$*" in
*--boot*_COMM=podman*PODMAN_TYPE=container*)
cat <<'X'
` + strings.Join([]string{
		entry("0", "2026-01-02T02:00:00Z", "start", old, ""),
		entry("0", "2026-01-02T02:00:01Z", "start", made, ""), entry("0", "2026-01-02T02:00:02Z", "died", made, ""),
	}, "\n") + `
X
;;
*--follow*_COMM=podman*PODMAN_TYPE=container*)
cat <<'X'
{garbage
` + strings.Join([]string{
		entry("0", "2026-01-02T03:00:01Z", "create", web, ""), entry("0", "2026-01-02T03:00:02Z", "start", web, ""),
		entry("1000", "2026-01-02T03:00:03Z", "died", web, `,"PODMAN_EXIT_CODE":"1"`), // not its user
		entry("1001", "2026-01-02T03:00:03Z", "died", theirs, `,"PODMAN_EXIT_CODE":"1"`),
		died, died, entry("0", "2026-01-02T03:00:03.4Z", "died", old, ""),
	}, "\n") + `
X
exec sleep 60;;
*--output=cat*CONTAINER_ID_FULL=` + web + `*_UID=0*) echo starting; echo "out of heap password=hunter2secret" ;;
*) exit 9;;
esac
`
	name := filepath.Join(t.TempDir(), "journalctl")
	if err := os.WriteFile(name, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	got := make(chan observe.Observation, 64)
	done := make(chan error, 1)
	s := &Podman{Command: name, Since: time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC), LogLines: 20, Followed: func(uid int) bool { return uid == 1001 }}
	go func() { done <- s.Run(ctx, func(o observe.Observation) { got <- o }) }()
	var said []string
	for !slices.Contains(said, "end of aa: 0") {
		o := <-got
		switch {
		case o.Container != nil:
			said = append(said, "runs: "+o.Container.ID[:2]+" "+o.Container.Name+" "+o.Container.Runtime)
		case o.Event != nil:
			said = append(said, "event of "+o.Event.ID[:2])
		case o.Exit != nil && o.Exit.ID == old:
			said = append(said, "end of aa: 0")
		case o.Exit != nil:
			said = append(said, "end of "+o.Exit.ID[:2])
			if o.Exit.ExitCode != 137 || o.Exit.Labels["app"] != "shop" || !o.Exit.DetailPending || o.Exit.Image != "localhost/shop:1" {
				t.Errorf("%+v", o.Exit)
			}
		case o.Detail != nil:
			said = append(said, "words of "+o.Detail.ID[:2])
			if len(o.Detail.LogTail) != 2 || o.Detail.LogTail[0] != "starting" || strings.Contains(o.Detail.LogTail[1], "hunter2") {
				t.Errorf("%+v", o.Detail)
			}
		case o.Source != nil:
			said = append(said, "up")
		}
	}
	want := []string{"up", "runs: aa c-aa podman", "event of bb", "event of bb", "runs: bb c-bb podman", "end of bb", "words of bb", "end of aa: 0"}
	if !slices.Equal(said, want) {
		t.Errorf("said %q\nwant %q", said, want)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
