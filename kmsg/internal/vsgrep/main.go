// Vsgrep measures what a whole answer about a large kernel log costs: it makes
// up a log, runs grep, ripgrep (where it is installed) and oomwatch explain on
// it in turn, and prints the median of each and what oomwatch takes of their time.
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
	mib := flag.Int64("mib", 1024, "size of the log in MiB; it holds 12,800 episodes in each GiB")
	runs := flag.Int("runs", 7, "runs of each program")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := compare(ctx, os.Stdout, *binary, *mib<<20, *runs)
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
	null bool // what it prints is thrown away unread

	wall, cpu []time.Duration
	peak      int64 // bytes
}

// compare makes a log of size bytes in a directory of its own, measures, and
// takes the directory away.
func compare(ctx context.Context, w io.Writer, binary string, size int64, runs int) error {
	if runs < 1 || size < 1 {
		return errors.New("want at least one run and one MiB")
	}
	dir, err := os.MkdirTemp("", "oomwatch-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	log := filepath.Join(dir, "kern.log")
	if err := write(log, size); err != nil {
		return err
	}
	// With /dev/null behind it, grep stops at the first match.
	list := []*program{{name: "grep -c", args: []string{"grep", "-c", "Killed process", log}}}
	if _, err := exec.LookPath("rg"); err == nil {
		list = append(list, &program{name: "rg -c", args: []string{"rg", "-c", "Killed process", log}})
	}
	explain := &program{name: "oomwatch explain -o json", args: []string{binary, "explain", "--log", log, "-o", "json"}, null: true}
	list = append(list, explain)
	for run := range runs + 1 {
		for _, p := range list {
			if err := p.run(ctx, filepath.Join(dir, "out"), run > 0); err != nil {
				return err
			}
		}
	}
	fmt.Fprintf(w, "a kern.log of %d MiB, median of %d runs in turn:\n", size>>20, runs)
	for _, p := range list {
		fmt.Fprintf(w, "%-26s %7.3f s  %7.3f s of CPU  peak %3d MiB\n", p.name, median(p.wall).Seconds(), median(p.cpu).Seconds(), p.peak>>20)
	}
	for _, p := range list[:len(list)-1] {
		ratios := make([]float64, runs)
		for i := range ratios {
			ratios[i] = float64(explain.wall[i]) / float64(p.wall[i])
		}
		fmt.Fprintf(w, "oomwatch takes %.2f of the time of %s (median of the pairs)\n", median(ratios), p.name)
	}
	return nil
}

// write makes up the log, the same one each time.
func write(name string, size int64) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(makelog.Write(f, size, int(size*12800>>30), 1), f.Close())
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
