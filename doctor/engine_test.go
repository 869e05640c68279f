package doctor

import (
	"slices"
	"testing"

	"github.com/oomwatch/oomwatch/config"
)

// TestEachEngineIsTried looks that the engines after the first are tried, and none that is off.
func TestEachEngineIsTried(t *testing.T) {
	dir := "unix://" + t.TempDir()
	for _, tt := range []struct {
		docker config.Docker
		want   int
	}{
		{config.Docker{Host: config.DockerHost(dir + "/a.sock"), More: []config.DockerHost{config.DockerHost(dir + "/b.sock")}}, 2},
		{config.Docker{Host: config.EngineOff, More: []config.DockerHost{config.DockerHost(dir + "/b.sock")}}, 1},
		{config.Docker{Host: config.EngineOff}, 0},
	} {
		cfg := config.Default()
		cfg.Docker, cfg.CRI.Sockets, cfg.Podman.Sockets = tt.docker, []config.EngineSocket{config.EngineOff}, []config.EngineSocket{config.EngineOff}
		found := slices.DeleteFunc(checkEngines(t.Context(), cfg), func(f Finding) bool { return f.Capability != "docker engine" })
		if len(found) != tt.want {
			t.Errorf("%+v: %d engines were tried, want %d: %+v", tt.docker, len(found), tt.want, found)
		}
		for _, f := range found {
			if f.State != Missing || f.Fix == "" {
				t.Errorf("%+v", f)
			}
		}
	}
}
