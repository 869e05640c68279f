package docker

import (
	"slices"
	"strings"
	"testing"

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
