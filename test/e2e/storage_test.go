package e2e

import (
	"context"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/test/lab"
	"github.com/oomwatch/oomwatch/warn"
)

// smallVolume makes a volume that is a filesystem of its own.
func smallVolume(t *testing.T, e *lab.Engine, name, options string) {
	t.Helper()
	e.MustDocker(t, "volume", "create", "--driver", "local", "--opt", "type=tmpfs", "--opt", "device=tmpfs", "--opt", "o="+options, name)
}

// sign waits for a warning with a sign; of is its container's id, "" for none.
func (r *receiver) sign(ctx context.Context, t *testing.T, of, sign string) incident.Incident {
	t.Helper()
	for {
		r.mu.Lock()
		for _, inc := range r.got {
			id := ""
			if inc.Container != nil {
				id = inc.Container.ID
			}
			if inc.Warning != nil && slices.Contains(inc.Warning.Signs, sign) && id == of {
				r.mu.Unlock()
				return inc
			}
		}
		r.mu.Unlock()
		select {
		case <-ctx.Done():
			t.Errorf("no warning of %s of %.12s", sign, of)
			return incident.Incident{}
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// TestStorageWarnings fills a volume, uses up the inodes of another, and writes a log
// without end, all at once.
func TestStorageWarnings(t *testing.T) {
	e := lab.Start(t, lab.Options{})
	hook := newReceiver(t)
	startDaemonWith(t, e.Host, hook, "")
	smallVolume(t, e, "fills", "size=8m")
	smallVolume(t, e, "files", "size=8m,nr_inodes=200")
	files := e.MustRun(t, "--name", "files", "-v", "files:/data", lab.Image, "sh", "-c", "i=0; while [ $i -lt 190 ]; do : > /data/$i; i=$((i+1)); done; sleep 1000")
	fills := e.MustRun(t, "--name", "fills", "-v", "fills:/data", lab.Image, "sh", "-c",
		"i=0; while dd if=/dev/zero of=/data/x bs=16k count=1 seek=$i conv=notrunc 2>/dev/null; do i=$((i+1)); usleep 90000; done; echo full; sleep 1000")
	begun := time.Now()
	talks := e.MustRun(t, "--name", "talks", lab.Image, "sh", "-c", "l=$(printf '%01023d' 0); while :; do i=0; while [ $i -lt 64 ]; do echo $l; i=$((i+1)); done; usleep 55000; done")

	ctx := timeout(t, lab.Slow(2*time.Minute))
	if inc := hook.sign(ctx, t, files, warn.Inodes); !strings.Contains(inc.Summary, "of its 200 inodes free") || inc.Cause != incident.LimitDisk {
		t.Errorf("%+v", inc)
	}
	soon := hook.sign(ctx, t, fills, warn.DiskForecast)
	log := hook.sign(ctx, t, talks, warn.LogGrowth)
	if after := log.Time.Sub(begun); after > lab.Slow(time.Minute) {
		t.Errorf("the log was named after %s", after)
	}
	for _, want := range []string{"the log of talks grows", "json-file without max-size", "full in about"} {
		if !strings.Contains(log.Summary, want) {
			t.Errorf("no %q in: %s", want, log.Summary)
		}
	}
	if err := e.WaitLog(ctx, fills, "full"); err != nil {
		t.Fatal(err)
	}
	full := time.Now()
	before := full.Sub(soon.Time).Seconds()
	if soon.Warning == nil || soon.Warning.TimeToLimit == nil {
		t.Fatalf("nothing foretold: %+v", soon)
	}
	said := *soon.Warning.TimeToLimit
	t.Logf("warned %.1f s before it was full, foretold in %.1f s: %s", before, said, soon.Summary)
	t.Logf("log after %s: %s", log.Time.Sub(begun), log.Summary)
	if took := full.Sub(begun).Seconds(); before < min(20, took/3) || math.Abs(said-before) > max(0.25*before, 3) {
		t.Errorf("filled in %.0f s, warned %.1f s before, foretold %.1f s", took, before, said)
	}
	if !strings.HasPrefix(soon.Summary, "the volume at /data of fills is full in about") || len(soon.Filesystems) != 1 || soon.Filesystems[0].Mount != "/data" {
		t.Errorf("%s %+v", soon.Summary, soon.Filesystems)
	}
}
