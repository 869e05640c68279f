package recorder

import (
	"testing"

	"github.com/oomwatch/oomwatch/cgroup"
)

// TestHeld: what the kernel drops when memory is needed is not held.
func TestHeld(t *testing.T) {
	const mib = 1 << 20
	take := func(s cgroup.Stat) Reading {
		r := Unknown()
		r.Take(&cgroup.Sample{Current: 300 * mib, Limit: 400 * mib, Swap: -1, OOMKills: -1, Stat: &s})
		return r
	}
	tests := []struct {
		name          string
		stat          cgroup.Stat
		held, unsplit int64 // in MiB
	}{
		{"v2", cgroup.Stat{Anon: 100 * mib, File: 120 * mib, Shmem: 20 * mib, Kernel: 80 * mib, Slab: 75 * mib, SlabReclaimable: 70*mib + 4096, Lazy: 30 * mib}, 70 + 20 + 10, 0},
		{"v2 without reclaimable slab", cgroup.Stat{Anon: 100 * mib, File: 0, Shmem: 0, Kernel: 80 * mib, SlabReclaimable: 4096, Lazy: -1}, 180, 0},
		{"v1", cgroup.Stat{Anon: 100 * mib, File: 120 * mib, Shmem: 20 * mib, Kernel: 80 * mib, SlabReclaimable: -1, Lazy: 30 * mib}, 170, 80},
		{"v1 without kernel memory", cgroup.Stat{Anon: 100 * mib, File: 0, Shmem: 0, Kernel: -1, SlabReclaimable: -1, Lazy: -1}, 100, 0},
	}
	for _, tt := range tests {
		r := take(tt.stat)
		if r.Held() != tt.held*mib || r.Unsplit() != tt.unsplit*mib {
			t.Errorf("%s: held %d, unsplit %d MiB; want %d, %d", tt.name, r.Held()/mib, r.Unsplit()/mib, tt.held, tt.unsplit)
		}
	}
	r := Unknown()
	if r.Held() != Absent || r.Unsplit() != 0 {
		t.Errorf("of nothing: %d, %d", r.Held(), r.Unsplit())
	}
}
