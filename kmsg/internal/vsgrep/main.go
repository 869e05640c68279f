// Vsgrep measures what a whole answer about a large kernel log costs: it makes up a
// dense log and a sparse one, runs grep, ripgrep (where it is installed) and oomwatch
// explain on each in turn, with all that the processor has, with AVX2 alone and without
// either, and prints the medians and what oomwatch takes of the others' time.
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
	"syscall"
	"time"

	"github.com/oomwatch/oomwatch/kmsg/internal/makelog"
)

func main() {
	binary := flag.String("oomwatch", "bin/oomwatch", "the program to measure")
	mib := flag.Int64("mib", 1024, "size of each log in MiB; the dense one holds 16,000 kills in each GiB, the sparse one 16")
	runs := flag.Int("runs", 7, "runs of each program")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	var err error
	for _, log := range []struct {
		name     string
		episodes int64 // in each GiB; a quarter of them kill two
	}{{"dense", 12800}, {"sparse", 13}} {
		size := *mib << 20
		err = errors.Join(err, compare(ctx, os.Stdout, *binary, log.name, size, int(max(1, size*log.episodes>>30)), *runs))
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
	{"neither", "cpu.avx512vbmi=off,cpu.avx2=off"},
}

// compare makes a log of size bytes in a directory of its own, measures, and
// takes the directory away.
func compare(ctx context.Context, w io.Writer, binary, kind string, size int64, episodes, runs int) error {
	if runs < 1 || size < 1 {
		return errors.New("want at least one run and one MiB")
	}
	dir, err := os.MkdirTemp("", "oomwatch-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	log := filepath.Join(dir, "kern.log")
	if err := write(log, size, episodes); err != nil {
		return err
	}
	// With /dev/null behind it, grep stops at the first match.
	list := []*program{{name: "grep -c", args: []string{"grep", "-c", "Killed process", log}}}
	if _, err := exec.LookPath("rg"); err == nil {
		list = append(list, &program{name: "rg -c", args: []string{"rg", "-c", "Killed process", log}})
	}
	others := len(list)
	for _, form := range forms {
		list = append(list, &program{name: "oomwatch, " + form.name, args: []string{binary, "explain", "--log", log, "-o", "json"}, env: form.env, null: true})
	}
	for run := range runs + 1 {
		for _, p := range list {
			if err := p.run(ctx, filepath.Join(dir, "out"), run > 0); err != nil {
				return err
			}
		}
	}
	fmt.Fprintf(w, "a %s kern.log of %d MiB, %d kills, median of %d runs in turn:\n", kind, size>>20, episodes+(episodes+1)/4, runs)
	for _, p := range list {
		fmt.Fprintf(w, "%-32s %7.3f s  %7.3f s of CPU  peak %3d MiB\n", p.name, median(p.wall).Seconds(), median(p.cpu).Seconds(), p.peak>>20)
	}
	for _, explain := range list[others:] {
		for _, p := range list[:others] {
			ratios := make([]float64, runs)
			for i := range ratios {
				ratios[i] = float64(explain.wall[i]) / float64(p.wall[i])
			}
			fmt.Fprintf(w, "%-32s takes %.2f of the time of %s (median of the pairs)\n", explain.name, median(ratios), p.name)
		}
	}
	return nil
}

// write makes up the log, the same one each time.
func write(name string, size int64, episodes int) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(makelog.Write(f, size, episodes, 1), f.Close())
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

// median returns the middle one, the lower of two.
func median[T ~int64 | ~float64](list []T) T {
	s := slices.Sorted(slices.Values(list))
	return s[(len(s)-1)/2]
}
