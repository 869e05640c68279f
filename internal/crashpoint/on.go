//go:build fault

// Package crashpoint names the moments at which the fault tests kill the program.
package crashpoint

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

// passed counts how often the program came by the point it is to die at.
var passed atomic.Int64

// At kills the program, as kill -9 would, when OOMWATCH_CRASH is "NAME:N" and this
// is the N-th time that it comes by NAME.
func At(name string) {
	point, nth, ok := strings.Cut(os.Getenv("OOMWATCH_CRASH"), ":")
	if !ok || point != name {
		return
	}
	if n, err := strconv.ParseInt(nth, 10, 64); err == nil && passed.Add(1) == n {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // until the signal has done it
	}
}
