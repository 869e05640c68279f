package correlate

import (
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/cgroup"
)

func TestInsertReading(t *testing.T) {
	t0 := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	var all []cgroup.Sample
	for _, s := range []float64{5, 1, 3, 3.01, 9, 2, 5} {
		all = insertReading(all, cgroup.Sample{At: t0.Add(time.Duration(s * float64(time.Second)))})
	}
	all = insertReading(all, cgroup.Sample{At: t0.Add(9010 * time.Millisecond), Stat: &cgroup.Stat{}})
	if len(all) != 5 || all[4].Stat == nil {
		t.Errorf("%d readings: %+v", len(all), all)
	}
	for i := range 3 * maxReadings {
		all = insertReading(all, cgroup.Sample{At: t0.Add(time.Duration((i*7919)%500) * time.Second)})
		for j := 1; j < len(all); j++ {
			if !all[j].At.After(all[j-1].At) {
				t.Fatalf("reading %d is not after the one before", j)
			}
		}
	}
	if len(all) != maxReadings {
		t.Errorf("%d readings, want %d", len(all), maxReadings)
	}
}
