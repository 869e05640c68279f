package store

import (
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/recorder"
)

// machine makes up containers as a host has them: most do little, some serve and
// follow the day, some leak and are restarted, some work in batches. Memory moves
// by whole pages, and what is dear to read is read every ten seconds.
type machine struct {
	rnd *rand.Rand
	now []recorder.Reading
}

func newMachine(n int) *machine {
	m := &machine{rnd: rand.New(rand.NewPCG(6, 1)), now: make([]recorder.Reading, n)}
	for i := range m.now {
		r := recorder.Unknown()
		r.Limit, r.Anon, r.File, r.Shmem, r.Kernel, r.Swap = 1<<30, 40<<20, 20<<20, 0, 2<<20, 0
		r.Low, r.High, r.LimitHits, r.OOM, r.OOMKill, r.PSISome, r.PSIFull = 0, 0, 0, 0, 0, 0, 0
		r.PIDs, r.PIDsLimit, r.CPUPeriods, r.CPUThrottled, r.CPUThrottledUS = 8, 4096, 0, 0, 0
		m.now[i] = r
	}
	return m
}

// step is the next second of container i.
func (m *machine) step(i int, at time.Time) *recorder.Reading {
	r := &m.now[i]
	page := func(most int64) int64 { return (m.rnd.Int64N(2*most+1) - most) << 12 }
	r.At = at
	dear := (at.Unix()+int64(i))%10 == 0
	move := int64(0)
	switch kind := i % 20; {
	case kind < 8: // idle
		if m.rnd.IntN(30) == 0 {
			move = page(2)
		}
	case kind < 14: // serves
		day := math.Sin(2 * math.Pi * float64(at.Unix()%86400) / 86400)
		move = page(60) + (int64(float64(200<<20)*(1+0.3*day))-r.Used)>>8&^4095
	case kind < 17: // runs a little
		move = page(4)
	case kind < 19: // leaks, and is restarted
		move = page(8) + 4<<12
		if r.Used > 900<<20 {
			move = 60<<20 - r.Used
		}
	default: // works in batches
		if s := at.Unix() % 3600; s < 300 {
			move = page(3000)
		} else if s == 300 {
			move = 80<<20 - r.Used
		}
	}
	r.Used = max(r.Used+move, 1<<20)
	if r.Used < 0 {
		r.Used = 60 << 20
	}
	if dear && i%20 >= 8 {
		r.Anon = max(r.Used-r.File-r.Kernel, 0)
		r.Kernel = max(r.Kernel+page(3), 1<<20)
		if m.rnd.IntN(3) == 0 {
			r.File = max(r.File+page(20), 0)
		}
		r.PIDs = 8 + m.rnd.Int64N(4)
		if i%20 < 12 { // with a quota, and busy
			r.CPUPeriods += 100
			r.CPUThrottled += m.rnd.Int64N(10)
			r.CPUThrottledUS += m.rnd.Int64N(50_000)
			r.PSISome += m.rnd.Int64N(5_000)
			r.PSIFull += m.rnd.Int64N(1_000)
		}
	}
	return r
}

// BenchmarkHistorySize records a generated two days of a hundred containers, a
// second at a time, through the recorder and into the file, and says what a
// thousand take in thirty days. The arithmetic: what one container takes for a day
// of minutes, times thirty; what it takes for the ten seconds that are kept; its
// half hour of seconds; all by how much larger the file is than what is in it;
// times a thousand.
func BenchmarkHistorySize(b *testing.B) {
	const containers, days = 100, 2
	for b.Loop() {
		store := filepath.Join(b.TempDir(), "x.db")
		h, err := OpenHistory(b.Context(), HistoryOptions{Store: store})
		if err != nil {
			b.Fatal(err)
		}
		rec := recorder.New(recorder.Options{Keeper: h})
		from := time.Unix(1_700_000_000, 0).UTC()
		tracks := make([]*recorder.Track, containers)
		for i := range tracks {
			tracks[i] = rec.Begin(fmt.Sprint("id-", i), fmt.Sprintf("project/service-%d", i), from)
		}
		m := newMachine(containers)
		for at := from; at.Before(from.Add(days * 24 * time.Hour)); at = at.Add(time.Second) {
			for i, t := range tracks {
				r := *m.step(i, at)
				t.Add(&r)
			}
			if at.Unix()%30 == 0 {
				if err := rec.Keep(b.Context(), at); err != nil {
					b.Fatal(err)
				}
			}
		}
		// bytes of data: of the half hour as read, of ten seconds, of minutes.
		var data [3]float64
		for i, q := range []string{"SELECT sum(length(data)) FROM recent", "SELECT sum(length(data)) FROM blocks WHERE key >> 34 & 3 = 1", "SELECT sum(length(data)) FROM blocks WHERE key >> 34 & 3 = 2"} {
			if err := h.db.QueryRow(q).Scan(&data[i]); err != nil {
				b.Fatal(err)
			}
		}
		size, err := h.Size(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		over := float64(size) / (data[0] + data[1] + data[2])
		month := (data[0] + data[1] + data[2]/days*30) * over / containers * 1000
		b.Logf("%d containers, %d days: %.2f MiB as read for half an hour, %.2f MiB at 10 s, %.2f MiB at 1 min; the file has %.2f MiB, %.2f times as much",
			containers, days, data[0]/(1<<20), data[1]/(1<<20), data[2]/(1<<20), float64(size)/(1<<20), over)
		b.Logf("1000 containers, 30 days: (%.2f + %.2f + %.2f / %d * 30) MiB * %.2f / %d * 1000 = %.0f MiB",
			data[0]/(1<<20), data[1]/(1<<20), data[2]/(1<<20), days, over, containers, month/(1<<20))
		b.ReportMetric(data[2]/(containers*days*1440), "B/minute")
		b.ReportMetric(month/(1<<20), "MiB/1000x30d")
		b.ReportMetric(0, "ns/op")
		if err := h.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkHistoryMonth reads one service's thirty days, of twenty that are kept.
func BenchmarkHistoryMonth(b *testing.B) {
	store := filepath.Join(b.TempDir(), "x.db")
	h, err := OpenHistory(b.Context(), HistoryOptions{Store: store})
	if err != nil {
		b.Fatal(err)
	}
	defer h.Close()
	rec := recorder.New(recorder.Options{Keeper: h})
	const services, days = 20, 30
	from := time.Unix(1_700_000_000, 0).UTC()
	tracks := make([]*recorder.Track, services)
	for i := range tracks {
		tracks[i] = rec.Begin(fmt.Sprint("id-", i), fmt.Sprintf("project/service-%d", i), from)
	}
	m := newMachine(services)
	end := from.Add(days * 24 * time.Hour)
	for at := from; at.Before(end); at = at.Add(time.Minute) {
		for i, t := range tracks {
			r := *m.step(i, at)
			t.Add(&r)
		}
		if at.Unix()/60%15 == 0 {
			if err := rec.Keep(b.Context(), at); err != nil {
				b.Fatal(err)
			}
		}
	}
	for b.Loop() {
		all, err := h.History(b.Context(), "project/service-9", from, end)
		if err != nil {
			b.Fatal(err)
		}
		if n := len(all[len(all)-1].Readings); n < days*1440-30 {
			b.Fatalf("%d readings of the month", n)
		}
	}
}
