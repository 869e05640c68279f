package proc

import (
	"os"
	"runtime"
	"testing"
)

func TestRuntimeOf(t *testing.T) {
	for program, want := range map[string]string{
		"java": "JVM", "python3": "Python", "python3.11": "Python", "node": "Node.js", "nodejs": "Node.js", "php-fpm8.2": "PHP",
		"dotnet": ".NET", "beam.smp": "Erlang", "ruby3.1": "Ruby",
		"javascriptd": "", "nodelet": "", "sh": "", "": "", "perlite": "",
	} {
		if got := RuntimeOf(program); got != want {
			t.Errorf("%q is of %q, want %q", program, got, want)
		}
	}
	// This test is a Go program.
	if got, want := Runtime(DefaultRoot, os.Getpid()), "Go "+runtime.Version()[2:]; got != want {
		t.Errorf("this one is of %q, want %q", got, want)
	}
	if got := Runtime(t.TempDir(), 1); got != "" {
		t.Errorf("a process that is not there is of %q", got)
	}
}
