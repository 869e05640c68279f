package e2e

import (
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/test/lab"
)

// TestAccounting holds the identities that the metrics promise: records read
// and lost add up to the span of the kernel log, and what a receiver is owed is
// delivered, pending or parked.
func TestAccounting(t *testing.T) {
	e := lab.Start(t, lab.Options{})
	hook := newReceiver(t)
	d := startDaemon(t, e.Host, hook)
	const deaths = 5
	for range deaths {
		id := e.MustRun(t, "-m", "32m", lab.Image, "tail", "/dev/zero")
		hook.waitFor(t, id, 1, 10*time.Second)
	}
	// The reader's counts are taken when the log is quiet.
	time.Sleep(11 * time.Second)
	body, err := d.get("/metrics")
	if err != nil {
		t.Fatal(err)
	}
	m := map[string]float64{}
	for line := range strings.Lines(string(body)) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		if v, err := strconv.ParseFloat(value, 64); err == nil {
			m[name] = v
		}
	}
	read, lost, span := m[`oomwatch_records_read_total{source="kmsg"}`], m[`oomwatch_records_lost_total{source="kmsg"}`], m[`oomwatch_records_span_total{source="kmsg"}`]
	if read == 0 || read+lost != span {
		t.Errorf("read %v + lost %v != span %v", read, lost, span)
	}
	delivered := m[`oomwatch_deliveries{receiver="webhook",state="delivered"}`]
	pending, parked := m[`oomwatch_deliveries{receiver="webhook",state="pending"}`], m[`oomwatch_deliveries{receiver="webhook",state="parked"}`]
	if delivered < deaths || pending != 0 || parked != 0 {
		t.Errorf("delivered %v, pending %v, parked %v", delivered, pending, parked)
	}
	hook.mu.Lock()
	got := len(hook.got)
	hook.mu.Unlock()
	if float64(got) != delivered {
		t.Errorf("the receiver has %d, delivered are %v", got, delivered)
	}
	for _, s := range []string{"docker", "kmsg", "cgroup"} {
		if m[`oomwatch_source_up{source="`+s+`"}`] != 1 {
			t.Errorf("source %s is not up", s)
		}
	}
	began := time.Now()
	d.stop(syscall.SIGTERM)
	if code := d.ProcessState.ExitCode(); code != 0 || time.Since(began) > 6*time.Second {
		t.Errorf("SIGTERM: exit status %d after %s", code, time.Since(began))
	}
}
