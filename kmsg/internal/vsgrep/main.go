// Vsgrep measures what a whole answer about a large kernel log costs: it makes up logs,
// runs grep, ripgrep (where it is installed) and oomwatch explain on each in turn, and
// prints the medians and what oomwatch takes of the others' time. A dense log and a sparse
// one are searched with all that the processor has, with AVX2 alone, with 16 places at a
// time (as on arm64) and without vectors;
// then come one small file, many rotated ones, and compressed ones beside zcat and zstdcat.
//
//	go run ./kmsg/internal/vsgrep -oomwatch bin/oomwatch
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/oomwatch/oomwatch/kmsg/internal/makelog"
)

// log is what is looked through: files of one size, made up.
type log struct {
	name     string
	kib      int64 // of each file, in each MiB that is asked for
	files    int
	episodes int64  // in each GiB; a quarter of them kill two
	packer   string // compresses the files; "" for plain ones
	forms    int    // how many of the forms are measured
}

var logs = []log{
	{name: "dense", kib: 1024, files: 1, episodes: 12800, forms: 4},
	{name: "sparse", kib: 1024, files: 1, episodes: 13, forms: 4},
	{name: "small", kib: 64, files: 1, episodes: 12800, forms: 1},
	{name: "rotated", kib: 256, files: 20, episodes: 130, forms: 1},
	{name: "gzip", kib: 256, files: 1, episodes: 1300, packer: "gzip", forms: 1},
	{name: "zstd", kib: 256, files: 1, episodes: 1300, packer: "zstd", forms: 1},
}

func main() {
	binary := flag.String("oomwatch", "bin/oomwatch", "the program to measure")
	mib := flag.Int64("mib", 1024, "size of the dense and the sparse log in MiB; the dense one holds 16,000 kills in each GiB, the sparse one 16. The small one has a 16th of it, the 20 rotated and the compressed ones a quarter each")
	runs := flag.Int("runs", 7, "runs of each program")
	only := flag.String("only", "", "measure this log alone: dense, sparse, small, rotated, gzip or zstd")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	var err error
	for i := range logs {
		if *only == "" || logs[i].name == *only {
			err = errors.Join(err, compare(ctx, os.Stdout, *binary, &logs[i], *mib, *runs))
		}
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "vsgrep:", err)
		os.Exit(1)
	}
}

// program is one way to look through the log, and what its runs cost.
type program struct {
	name string
	args []string
	env  string // GODEBUG, to keep it from what the processor has
	null bool   // what it prints is thrown away unread

	wall, cpu []time.Duration
	peak      int64 // bytes
}

// forms are the ways in which oomwatch can search, the fastest first. One that the
// processor does not have costs what the next one does.
var forms = []struct{ name, env string }{
	{"all the processor has", ""},
	{"AVX2 alone", "cpu.avx512vbmi=off"},
	{"16 places, as arm64", "cpu.avx512vbmi=off,cpu.avx2=off"},
	{"no vectors", "cpu.avx512vbmi=off,cpu.avx2=off,cpu.ssse3=off"},
}

// compare makes the files of a log in a directory of its own, measures, and takes the
// directory away.
func compare(ctx context.Context, w io.Writer, binary string, l *log, mib int64, runs int) error {
	if runs < 1 || mib < 1 {
		return errors.New("want at least one run and one MiB")
	}
	dir, err := os.MkdirTemp("", "oomwatch-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	size := mib * l.kib << 10
	episodes := int(max(1, size*l.episodes>>30))
	files, err := l.write(ctx, dir, size, episodes)
	if err != nil {
		return err
	}
	list := l.peers(files)
	others := len(list)
	explain := []string{binary, "explain", "-o", "json"}
	for _, f := range files {
		explain = append(explain, "--log", f)
	}
	for _, form := range forms[:l.forms] {
		list = append(list, &program{name: "oomwatch, " + form.name, args: explain, env: form.env, null: true})
	}
	for run := range runs + 1 {
		for _, p := range list {
			if err := p.run(ctx, filepath.Join(dir, "out"), run > 0); err != nil {
				return err
			}
		}
	}
	fmt.Fprintf(w, "%s: %d files of %d MiB, %d kills in each, median of %d runs in turn:\n", l.name, len(files), size>>20, episodes+(episodes+1)/4, runs)
	for _, p := range list {
		fmt.Fprintf(w, "%-32s %7.3f s  %7.3f s of CPU  peak %3d MiB\n", p.name, median(p.wall).Seconds(), median(p.cpu).Seconds(), p.peak>>20)
	}
	for _, explain := range list[others:] {
		for _, p := range list[:others] {
			fmt.Fprintf(w, "%-32s takes %.2f of the time of %s, %.2f of its CPU time (median of the pairs)\n",
				explain.name, ratio(explain.wall, p.wall), p.name, ratio(explain.cpu, p.cpu))
		}
	}
	return nil
}

// peers are the programs that oomwatch is held to, where they are installed.
func (l *log) peers(files []string) (list []*program) {
	const text = "Killed process"
	add := func(name string, args ...string) {
		if _, err := exec.LookPath(args[0]); err == nil {
			list = append(list, &program{name: name, args: args})
		}
	}
	unpack := map[string]string{"gzip": "zcat", "zstd": "zstdcat"}[l.packer]
	if unpack == "" {
		// With /dev/null behind it, grep stops at the first match.
		add("grep -c", append([]string{"grep", "-c", text}, files...)...)
		add("rg -c", append([]string{"rg", "-c", text}, files...)...)
		return list
	}
	quoted := "'" + strings.Join(files, "' '") + "'"
	add(unpack+" | grep -c", "sh", "-c", unpack+" "+quoted+" | grep -c '"+text+"'")
	add(unpack, unpack, files[0])
	return list
}

// write makes up the files of a log, the same ones each time.
func (l *log) write(ctx context.Context, dir string, size int64, episodes int) (names []string, err error) {
	for i := range l.files {
		name := filepath.Join(dir, "kern.log")
		if i > 0 {
			name += fmt.Sprint(".", i)
		}
		f, err := os.Create(name)
		if err != nil {
			return nil, err
		}
		if err := errors.Join(makelog.Write(f, size, episodes, uint64(i+1)), f.Close()); err != nil {
			return nil, err
		}
		if l.packer != "" {
			if err := exec.CommandContext(ctx, l.packer, "-q", name).Run(); err != nil {
				return nil, fmt.Errorf("compress the log with %s: %w", l.packer, err)
			}
			name += map[string]string{"gzip": ".gz", "zstd": ".zst"}[l.packer]
		}
		names = append(names, name)
	}
	return names, nil
}

// run runs the program once and notes what it cost, if that counts.
func (p *program) run(ctx context.Context, out string, counts bool) error {
	if p.null {
		out = os.DevNull
	}
	f, err := os.Create(out)
	if err != nil {
		return err
	}
	defer f.Close()
	cmd := exec.CommandContext(ctx, p.args[0], p.args[1:]...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	cmd.Stdout, cmd.Stderr = f, os.Stderr
	if p.env != "" {
		// The runtime does not know all of these features, and says so.
		cmd.Env, cmd.Stderr = append(cmd.Env, "GODEBUG="+p.env), nil
	}
	began := time.Now()
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("run %s: %w", p.name, err)
	}
	if !counts {
		return nil
	}
	p.wall = append(p.wall, time.Since(began))
	p.cpu = append(p.cpu, cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime())
	if u, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		p.peak = max(p.peak, u.Maxrss<<10)
	}
	return nil
}

// ratio is the median of what a takes of b's time, run by run.
func ratio(a, b []time.Duration) float64 {
	ratios := make([]float64, len(a))
	for i := range ratios {
		ratios[i] = float64(a[i]) / float64(max(1, b[i]))
	}
	return median(ratios)
}

// median returns the middle one, the lower of two.
func median[T ~int64 | ~float64](list []T) T {
	s := slices.Sorted(slices.Values(list))
	return s[(len(s)-1)/2]
}
