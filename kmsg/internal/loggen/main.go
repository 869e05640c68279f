// Loggen writes a made-up kern.log of a container host: OOM episodes of
// several kernels' shapes among ordinary kernel noise. The same seed gives the
// same file. It feeds the benchmarks.
//
//	go run ./kmsg/internal/loggen -size 1GiB > kern.log
package main

import (
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/oomwatch/oomwatch/kmsg/internal/makelog"
)

func main() {
	size := flag.String("size", "64MiB", "bytes to write, with KiB, MiB or GiB")
	episodes := flag.Int("episodes", 0, "OOM episodes; 0 for 12,800 in each GiB")
	seed := flag.Uint64("seed", 1, "seed of what is made up")
	flag.Parse()
	n, err := parseSize(*size)
	if err == nil {
		if *episodes == 0 {
			*episodes = int(n * 12800 >> 30)
		}
		err = makelog.Write(os.Stdout, n, *episodes, *seed)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "loggen:", err)
		os.Exit(1)
	}
}

func parseSize(s string) (int64, error) {
	unit := int64(1)
	for _, u := range []struct {
		name string
		n    int64
	}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}} {
		if t, ok := strings.CutSuffix(s, u.name); ok {
			s, unit = t, u.n
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n <= 0 || n > 1<<50/unit {
		return 0, fmt.Errorf("size %q: want a number with KiB, MiB or GiB", s)
	}
	return n * unit, nil
}
