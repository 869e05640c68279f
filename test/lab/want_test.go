package lab

import (
	"strings"
	"testing"
)

func TestWant(t *testing.T) {
	const body = `{"cause": "oom.container", "container": {"exit_code": 137, "name": "web", "running": false},
		"oom": {"limit_bytes": 33554432}, "advice": ["look at the leak"]}`
	right := Want{
		"cause": "oom.container", "container.exit_code": 137, "container.running": false, "container.name": There,
		"killer": Absent, "oom.limit_bytes": AtLeast(33554432), "advice": Has("leak"), "container.image": Absent,
	}
	if wrong := right.Wrong([]byte(body)); len(wrong) > 0 {
		t.Errorf("wrong: %q", wrong)
	}
	if right.Cause() != "oom.container" || Want(nil).Cause() != "-" {
		t.Errorf("causes %q and %q", right.Cause(), Want(nil).Cause())
	}
	for path, want := range map[string]any{
		"cause": "exit.error", "container.exit_code": 1, "container.running": true, "container.nam": There, "container": Absent,
		"oom.limit_bytes": AtLeast(33554433), "oom.limit": AtLeast(0), "advice": Has("raise"), "container.name": Has("db"),
		"cause.code": "oom.container", "killer.pid": 0, "container.exit_code.x": There,
	} {
		w := right.With(Want{path: want})
		if wrong := w.Wrong([]byte(body)); len(wrong) != 1 || !strings.HasPrefix(wrong[0], path+" is ") {
			t.Errorf("%s: %q", path, wrong)
		}
	}
	if _, there := right["killer.pid"]; there {
		t.Error("With changed what it was called on")
	}
	if wrong := right.Wrong([]byte("{")); len(wrong) != 1 {
		t.Errorf("half a document: %q", wrong)
	}
	const wide = `{"victim": {"comm": "tail", "pid": 7}}`
	got := Want{"victim.pid": 8, "victim.comm": "head", "victim.uid": There}.Wrong([]byte(wide))
	if want := []string{`victim.comm is "tail", want head`, "victim.pid is 7, want 8", "victim.uid is absent, want a value"}; strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got %q, want %q", got, want)
	}
}
