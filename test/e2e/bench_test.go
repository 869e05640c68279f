package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/cgroup"
	"github.com/oomwatch/oomwatch/test/lab"
)

// BenchmarkDieToWebhook measures from the engine's "die" event, as `docker
// events` prints it, to the finished alert at a local webhook.
func BenchmarkDieToWebhook(b *testing.B) {
	e := lab.Start(b, lab.Options{})
	var mu sync.Mutex
	arrived := map[string]time.Time{}
	died := map[string]time.Time{}
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		now := time.Now()
		var got struct {
			Container struct{ ID string }
		}
		if err := json.NewDecoder(r.Body).Decode(&got); err == nil {
			mu.Lock()
			arrived[got.Container.ID] = now
			mu.Unlock()
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	defer hook.Close()
	startDaemon(b, e.Host, &receiver{Server: hook})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	events := e.Command(ctx, "events", "--filter", "event=die", "--format", "{{json .}}")
	out, err := events.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := events.Start(); err != nil {
		b.Fatal(err)
	}
	go func() {
		for sc := bufio.NewScanner(out); sc.Scan(); {
			var ev struct {
				ID       string `json:"id"`
				TimeNano int64  `json:"timeNano"`
			}
			if json.Unmarshal(sc.Bytes(), &ev) == nil {
				mu.Lock()
				died[ev.ID] = time.Unix(0, ev.TimeNano)
				mu.Unlock()
			}
		}
	}()
	const deaths = 40
	for b.Loop() {
		for i := range deaths {
			id, err := e.Run(ctx, "-m", "32m", lab.Image, "tail", "/dev/zero")
			if err != nil {
				b.Fatal(err)
			}
			if _, err := e.Wait(ctx, id); err != nil {
				b.Fatal(err)
			}
			for wait := 0; ; wait++ {
				mu.Lock()
				_, a := arrived[id]
				_, d := died[id]
				mu.Unlock()
				if a && d {
					break
				}
				if wait > 1000 {
					b.Fatalf("death %d: no alert after 10 s", i)
				}
				time.Sleep(10 * time.Millisecond)
			}
			e.MustDocker(b, "rm", "-f", id)
		}
	}
	var ms []float64
	for id, at := range arrived {
		if d, ok := died[id]; ok {
			ms = append(ms, float64(at.Sub(d).Microseconds())/1000)
		}
	}
	slices.Sort(ms)
	b.ReportMetric(ms[len(ms)/2], "ms-median")
	b.ReportMetric(ms[len(ms)*95/100], "ms-p95")
	b.ReportMetric(ms[len(ms)-1], "ms-max")
	b.ReportMetric(0, "ns/op")
	_ = events.Process.Kill()
	_ = events.Wait()
}

// The costs: share of one core, resident memory (of it anonymous), descriptors, and
// what the kernel holds for them, of the daemon while it watches so many running
// containers, each at one second. With none it is what doing nothing costs; beside
// it stands what the engine itself takes meanwhile. Of a thousand,
// OOMWATCH_BENCH_REAL are the engine's own (300 without it), the rest real
// processes in control groups of their own.
func BenchmarkNoContainers(b *testing.B)      { cost(b, 0, 0) }
func BenchmarkHundredContainers(b *testing.B) { cost(b, 100, 100) }
func BenchmarkThousandContainers(b *testing.B) {
	real := 300
	if s := os.Getenv("OOMWATCH_BENCH_REAL"); s != "" {
		var err error
		if real, err = strconv.Atoi(s); err != nil || real < 1 || real > 1000 {
			b.Fatalf("OOMWATCH_BENCH_REAL=%q is not from 1 to 1000", s)
		}
	}
	cost(b, 1000, real)
}

func cost(b *testing.B, containers, real int) {
	e := lab.Start(b, lab.Options{})
	hook := newReceiver(b)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Minute)
	defer cancel()
	sem := make(chan struct{}, 4)
	var wg sync.WaitGroup
	for i := range real {
		sem <- struct{}{}
		wg.Go(func() {
			defer func() { <-sem }()
			if _, err := e.Run(ctx, "--name", fmt.Sprintf("idle-%d", i), "-m", "64m", lab.Image, "sleep", "100000"); err != nil {
				b.Error(err)
			}
		})
	}
	wg.Wait()
	if b.Failed() {
		b.FailNow()
	}
	host := e.Host
	if containers > real {
		crowd, err := lab.NewCrowd(ctx, e, "idle-0", containers-real)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() {
			if err := crowd.Close(); err != nil {
				b.Error(err)
			}
		})
		host = crowd.Host
	}
	own, remove, err := lab.Parent("oomwatch-lab-cost", 1<<30)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(remove)
	// As it is run: with warnings.
	d := newDaemon(b, host, hook, "")
	d.in(b, own)
	d.start(b)
	// The first minute is the start's; then comes what it costs day by day.
	time.Sleep(70 * time.Second)
	for b.Loop() {
		before, engine := usage(b, d.Process.Pid), usage(b, e.PID())
		began := time.Now()
		time.Sleep(60 * time.Second)
		after, engineAfter := usage(b, d.Process.Pid), usage(b, e.PID())
		took := time.Since(began)
		b.ReportMetric(after.share(before, took), "%core")
		b.ReportMetric(after.rss, "MiB-RSS")
		b.ReportMetric(after.anon, "MiB-anon")
		b.ReportMetric(kernelMemory(b, own), "MiB-kernel")
		b.ReportMetric(descriptors(b, d.Process.Pid), "descriptors")
		b.ReportMetric(engineAfter.share(engine, took), "%core-dockerd")
		b.ReportMetric(engineAfter.rss, "MiB-dockerd")
		b.ReportMetric(d.metric(b, "oomwatch_recorded_containers"), "containers")
		b.ReportMetric(d.metric(b, "oomwatch_sample_period_seconds"), "s-period")
		b.ReportMetric(1e3*d.metric(b, "oomwatch_sample_round_cpu_seconds"), "ms-round")
	}
	b.ReportMetric(0, "ns/op")
}

// in has the daemon run in a cgroup.
func (d *daemon) in(b *testing.B, path string) {
	b.Helper()
	root := "/sys/fs/cgroup/memory"
	if !exists(root) {
		root = "/sys/fs/cgroup"
	}
	d.args = append([]string{"sh", "-c", `echo $$ >"$0" && exec "$@"`, filepath.Join(root, path, "cgroup.procs")}, d.args...)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// kernelMemory is what the kernel holds for a cgroup, in MiB.
func kernelMemory(b *testing.B, path string) float64 {
	b.Helper()
	fs, err := cgroup.Open(cgroup.DefaultRoot, cgroup.DefaultProc)
	if err != nil {
		b.Fatal(err)
	}
	h, err := fs.Open(path)
	if err != nil {
		b.Fatal(err)
	}
	defer h.Close()
	var s cgroup.Sample
	if err := h.Read(&s, cgroup.WithStat); err != nil || s.Stat == nil {
		b.Fatalf("%s: no memory.stat, %v", path, err)
	}
	return float64(s.Stat.Kernel) / (1 << 20)
}

// used is what a process has used: CPU time, and memory in MiB.
type used struct {
	cpu       time.Duration
	rss, anon float64
}

// share is the part of one core, in percent, that was used since before.
func (u used) share(before used, took time.Duration) float64 {
	return 100 * (u.cpu - before.cpu).Seconds() / took.Seconds()
}

// usage reads what a process has used from /proc.
func usage(b *testing.B, pid int) (u used) {
	b.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Fatal(err)
	}
	// After the last ')': state is field 3, utime 14, stime 15 (proc_pid_stat(5)).
	f := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	ticks := 0
	for _, i := range []int{14 - 3, 15 - 3} {
		n, err := strconv.Atoi(f[i])
		if err != nil {
			b.Fatal(err)
		}
		ticks += n
	}
	return used{cpu: time.Duration(ticks) * time.Second / 100, rss: resident(b, pid, "VmRSS"), anon: resident(b, pid, "RssAnon")}
}

// resident reads a size from /proc/PID/status (proc_pid_status(5)), in MiB.
func resident(b testing.TB, pid int, field string) float64 {
	b.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if v, ok := strings.CutPrefix(line, field+":"); ok {
			kb, err := strconv.Atoi(strings.Fields(v)[0])
			if err != nil {
				b.Fatal(err)
			}
			return float64(kb) / 1024
		}
	}
	b.Fatalf("/proc/%d/status has no %s", pid, field)
	return 0
}

func descriptors(b testing.TB, pid int) float64 {
	b.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		b.Fatal(err)
	}
	return float64(len(entries))
}

// metric reads one of the daemon's own gauges.
func (d *daemon) metric(b *testing.B, name string) float64 {
	b.Helper()
	text, err := d.get("/metrics")
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if v, ok := strings.CutPrefix(line, name+" "); ok {
			n, err := strconv.ParseFloat(strings.TrimSpace(v), 64)
			if err != nil {
				b.Fatal(err)
			}
			return n
		}
	}
	b.Fatalf("no metric %s", name)
	return 0
}
