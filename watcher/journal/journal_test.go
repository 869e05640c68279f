package journal

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/observe"
)

// A journalctl that prints two lines and then waits, as with --follow: what it says of an
// end arrives while it still runs.
func TestFollows(t *testing.T) {
	const script = `#!/bin/sh
case "$*" in *--follow*SYSLOG_IDENTIFIER=systemd-oomd*) ;; *) exit 9;; esac
echo '{"__REALTIME_TIMESTAMP":"1767322800000000","SYSLOG_IDENTIFIER":"dockerd","_SYSTEMD_UNIT":"docker.service","MESSAGE":"an ordinary line"}'
echo '{"__REALTIME_TIMESTAMP":"1767322801000000","SYSLOG_IDENTIFIER":"earlyoom","_SYSTEMD_UNIT":"earlyoom.service","MESSAGE":"sending SIGKILL to process 4711 uid 0 \"java\": badness 800"}'
exec sleep 60
`
	name := filepath.Join(t.TempDir(), "journalctl")
	if err := os.WriteFile(name, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	got := make(chan observe.Observation, 4)
	done := make(chan error, 1)
	go func() {
		done <- (&Source{Command: name, Since: time.Unix(1767322000, 0)}).Run(ctx, func(o observe.Observation) { got <- o })
	}()
	o := <-got
	if v := o.Voice; v == nil || v.Who != "earlyoom" || v.PID != 4711 || !v.Trusted || !o.At.Equal(time.Unix(1767322801, 0)) {
		t.Errorf("said %+v", o)
	}
	cancel()
	if err := <-done; err != nil || len(got) > 0 {
		t.Errorf("ended with %v, and said %d more", err, len(got))
	}
}

// What is cut short, or no JSON, is passed over.
func TestReadsOn(t *testing.T) {
	in := "{\x00garbage\n\n" + `{"__REALTIME_TIMESTAMP":"1767322801000000","SYSLOG_IDENTIFIER":"systemd-oomd","_SYSTEMD_UNIT":"systemd-oomd.service","MESSAGE":"Marked /system.slice/a.service for killing due to memory pressure"}`
	n := 0
	last := read(strings.NewReader(in), func(observe.Observation) { n++ })
	if n != 1 || !last.Equal(time.Unix(1767322801, 0)) {
		t.Errorf("%d voices, the last line at %v", n, last)
	}
}
