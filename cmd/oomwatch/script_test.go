package main

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain makes the test binary serve as oomwatch itself, for scripts and for
// tests that need it as a process of its own.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"oomwatch": main})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/script",
		UpdateScripts: os.Getenv("UPDATE_SCRIPTS") != "",
		Setup: func(e *testscript.Env) error {
			// Nothing of this machine's daemon, engine or terminal.
			e.Setenv("XDG_RUNTIME_DIR", e.WorkDir+"/run")
			e.Setenv("XDG_STATE_HOME", e.WorkDir+"/state")
			e.Setenv("DOCKER_HOST", "unix://"+e.WorkDir+"/no-docker.sock")
			e.Setenv("NONE", "--socket="+e.WorkDir+"/none.sock")
			e.Setenv("TZ", "UTC")
			return nil
		},
	})
}
