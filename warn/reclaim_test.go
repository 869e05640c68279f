package warn

import (
	"strings"
	"testing"
)

// TestReclaimableKernelMemory: directory entries that fill a limit are no want of memory.
// Where the kernel does not tell them from sockets (v1), that is said, and no limit.
func TestReclaimableKernelMemory(t *testing.T) {
	tests := []struct {
		name                string
		kernel, reclaimable int64 // in MiB
		want                string
	}{
		{"v2, dentries", 230, 228, ""},
		{"v2, sockets", 230, 4, LimitHits + " " + Headroom},
		{"v1, either", 230, -1, Headroom},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, Default(), nil)
			for i := range int64(180) {
				r := reading(20 * mib)
				r.Kernel, r.Reclaimable, r.LimitHits, r.Used = tt.kernel*mib, tt.reclaimable*mib, 40*i, 256*mib
				if tt.reclaimable < 0 {
					r.Reclaimable = -1
				}
				b.read(r, -1)
			}
			signs := map[string]bool{}
			for _, a := range b.got {
				for _, s := range a.Incident.Warning.Signs {
					signs[s] = true
				}
			}
			for _, name := range []string{LimitHits, Headroom} {
				if want := strings.Contains(tt.want, name); signs[name] != want {
					t.Errorf("%s: %v, want %v", name, signs[name], want)
				}
			}
			if tt.reclaimable >= 0 || len(b.got) == 0 {
				return
			}
			inc := b.got[0].Incident
			if !strings.Contains(inc.Summary, "230 MiB of it kernel memory, which may be reclaimable") {
				t.Errorf("summary %q", inc.Summary)
			}
			if s := strings.Join(inc.Advice, " "); strings.Contains(s, "a limit of") {
				t.Errorf("advises a limit: %q", s)
			}
		})
	}
}
