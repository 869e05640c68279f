package warn

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/recorder"
)

// hostReading is a host with available memory, that stood still for so many microseconds
// since it was booted.
func hostReading(at time.Time, available, full int64) recorder.Reading {
	r := recorder.Unknown()
	r.At, r.Limit, r.Used, r.PSISome, r.PSIFull = at, 16*gib, 16*gib-available, full, full
	return r
}

// thrashing is a container at its 64 MiB limit, most of it page cache.
func thrashing(at time.Time) recorder.Reading {
	r := recorder.Unknown()
	r.At, r.Limit, r.Used, r.Anon, r.Shmem, r.Kernel, r.File = at, 64*mib, 63*mib, 20*mib, 0, 0, 42*mib
	return r
}

// On cgroup v1 only the host has a pressure file. What stalls for one container that
// thrashes at its limit is that container's, and not the host's; where nobody thrashes, or
// the host is short itself, it is the host's.
func TestThrashIsTheContainers(t *testing.T) {
	for _, tt := range []struct {
		name      string
		refaults  int64 // in a second
		available int64
		want      []string
	}{
		{"one thrashes", 50_000, 12 * gib, []string{Thrash}},
		{"nobody does", 10, 12 * gib, []string{Pressure}},
		{"one thrashes on a host that is short", 50_000, gib, []string{Pressure, Thrash}},
	} {
		w := diskWarner(t)
		var got []string
		for i := range int64(60) {
			at := time.Unix(2000+i, 0)
			alerts := w.Read("web", thrashing(at), Beside{Stalls: -1, Refaults: 1000 + i*tt.refaults})
			alerts = append(alerts, w.Read(HostID, hostReading(at, tt.available, i*400_000), Beside{Stalls: i, Refaults: -1})...)
			for _, a := range alerts {
				if sign := a.Incident.Warning.What; !a.Update && (sign == Thrash || sign == Pressure) {
					got = append(got, sign)
					if sign == Thrash && (!strings.HasPrefix(a.Incident.Summary, "web thrashes at its own 64 MiB limit: it reads 195.3 MiB/s") || a.Incident.Cause != incident.OOMContainer) {
						t.Errorf("%s (%s)", a.Incident.Summary, a.Incident.Cause)
					}
				}
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}
