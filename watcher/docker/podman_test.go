package docker

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/events"
)

// TestPodmanWords has Podman's words for an end and a removal be read as Docker's. Podman
// 4.3 tells of no end at all to who does not ask for its own word.
func TestPodmanWords(t *testing.T) {
	if !slices.Contains(actions, podmanDied) {
		t.Errorf("%q is not asked for", podmanDied)
	}
	id := strings.Repeat("ab", 32)
	for _, tt := range []struct {
		action events.Action
		attrs  map[string]string
		code   int
	}{
		{"died", map[string]string{"containerExitCode": "3", "name": "web"}, 3},
		{"die", map[string]string{"containerExitCode": "137", "exitCode": "137", "name": "web"}, 137},
		{"die", map[string]string{"exitCode": "4", "name": "web"}, 4},
		{"died", map[string]string{"name": "web"}, unknownExit},
	} {
		m := asDocker(events.Message{Type: events.ContainerEventType, Action: tt.action, Actor: events.Actor{ID: id, Attributes: tt.attrs}, TimeNano: 1})
		o, ok := observation(m, shadow{})
		if !ok || o.Exit == nil || o.Exit.ExitCode != tt.code || o.Exit.Name != "web" {
			t.Errorf("%s %v: %+v", tt.action, tt.attrs, o.Exit)
		}
	}
	if m := asDocker(events.Message{Action: events.ActionRemove}); m.Action != events.ActionDestroy {
		t.Errorf("remove is %s", m.Action)
	}
}

func TestPodmanName(t *testing.T) {
	for socket, name := range map[string]string{
		"unix:///run/podman/podman.sock": "podman", "unix:///run/user/1000/podman/podman.sock": "podman user 1000", "unix:///tmp/p.sock": "podman unix:///tmp/p.sock",
	} {
		if got := PodmanName(socket); got != name {
			t.Errorf("%s: %s, want %s", socket, got, name)
		}
	}
	if sockets, optional := NamedPodman(nil); !optional || sockets[0] != PodmanSocket {
		t.Errorf("%v %v", sockets, optional)
	}
	if sockets, optional := NamedPodman([]string{"off"}); optional || len(sockets) != 0 {
		t.Errorf("%v %v", sockets, optional)
	}
}

// TestPodmanFailedStart knows a start that failed on Podman 4, which keeps no error and
// no state of it, by the "cleanup" without a start; one that ran and was cleaned up, or
// was removed and never started, is none.
func TestPodmanFailedStart(t *testing.T) {
	now := time.Now().UnixNano()
	document := func(id, status string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			reply(w, 200, fmt.Sprintf(`{"Id":%q,"Name":"/web","Path":"no-such","State":{"Status":%q}}`, id, status))
		}
	}
	f := serve(t, "1.41", map[string]http.HandlerFunc{
		"/events": func(w http.ResponseWriter, r *http.Request) {
			flush(w)
			for i, e := range [][2]string{{"bad", "create"}, {"waits", "create"}, {"ran", "create"}, {"ran", "start"}, {"ran", "cleanup"},
				{"unused", "create"}, {"unused", "remove"}, {"bad", "cleanup"}} {
				_, _ = io.WriteString(w, fakeEvent(e[0], e[1], now+int64(i), nil))
			}
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		},
		"/containers/bad/json": document("bad", "created"), "/containers/waits/json": document("waits", "created"), "/containers/ran/json": document("ran", "exited"),
	})
	rec := follow(t, Options{Host: f.host}, hurry)
	x := rec.wait(t, "end", isExit("bad")).Exit
	if x.ExitCode != startFailed || !strings.Contains(x.Error, `Podman could not start "no-such"`) || !x.FinishedAt.IsZero() {
		t.Errorf("%+v", x)
	}
	time.Sleep(500 * time.Millisecond) // all checks of the first half second
	for _, id := range []string{"bad", "waits", "ran", "unused"} {
		n := 0
		for _, o := range rec.of(id) {
			if o.Exit != nil {
				n++
			}
		}
		if want := map[bool]int{true: 1}[id == "bad"]; n != want {
			t.Errorf("%s has %d ends, want %d", id, n, want)
		}
	}
}
