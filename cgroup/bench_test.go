package cgroup

import "testing"

func BenchmarkRead(b *testing.B) {
	fs := openHost(b)
	path, dir := liveGroup(b, fs, 64*mib)
	_, run, _ := startIn(b, dir, "hold")
	run()
	h, err := fs.Open(path)
	if err != nil {
		b.Fatal(err)
	}
	defer h.Close()
	for _, bench := range []struct {
		name string
		what What
	}{{"current", 0}, {"current+oom_kill", WithKills}, {"stat", WithStat}, {"psi", WithPSI}, {"limit", WithLimit}, {"pids", WithPIDs}, {"everything", everything}} {
		b.Run(bench.name, func(b *testing.B) {
			var s Sample
			b.ReportAllocs()
			for b.Loop() {
				if err := h.Read(&s, bench.what); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// One round of the sampler over 100 containers: at one round a second, 10 ms
// would be 1 % of a core.
func BenchmarkRound100(b *testing.B) {
	fs := openHost(b)
	handles := make([]*Handle, 100)
	for i := range handles {
		path, _ := liveGroup(b, fs, 64*mib)
		h, err := fs.Open(path)
		if err != nil {
			b.Fatal(err)
		}
		defer h.Close()
		handles[i] = h
	}
	for _, bench := range []struct {
		name string
		what What
	}{{"current", 0}, {"current+oom_kill", WithKills}, {"stat+psi", WithStat | WithPSI}} {
		b.Run(bench.name, func(b *testing.B) {
			samples := make([]Sample, len(handles))
			b.ReportAllocs()
			for b.Loop() {
				for i, h := range handles {
					if err := h.Read(&samples[i], bench.what); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}
