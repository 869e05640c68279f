package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"unsafe"
)

var signals = map[string]syscall.Signal{
	"SEGV": syscall.SIGSEGV, "BUS": syscall.SIGBUS, "FPE": syscall.SIGFPE, "ILL": syscall.SIGILL,
	"TRAP": syscall.SIGTRAP, "ABRT": syscall.SIGABRT, "SYS": syscall.SIGSYS, "QUIT": syscall.SIGQUIT,
	"KILL": syscall.SIGKILL, "TERM": syscall.SIGTERM,
}

// faults are machine instructions that make the processor fault, so that the
// kernel logs the trap as it does for a real bug.
var faults = map[string]map[syscall.Signal][]byte{
	"amd64": {
		syscall.SIGILL:  {0x0f, 0x0b},             // ud2
		syscall.SIGFPE:  {0x31, 0xc9, 0xf7, 0xf9}, // xor ecx,ecx; idiv ecx
		syscall.SIGTRAP: {0xcc},                   // int3
	},
	"arm64": {
		syscall.SIGILL:  {0, 0, 0, 0},             // udf #0
		syscall.SIGTRAP: {0x00, 0x00, 0x20, 0xd4}, // brk #0
	},
}

// crash ends the process by the signal, as the kernel's default action: Go's
// own handlers are taken away first.
func crash(name string) error {
	sig, ok := signals[strings.TrimPrefix(strings.ToUpper(name), "SIG")]
	if !ok {
		return fmt.Errorf("unknown signal %q", name)
	}
	runtime.LockOSThread()
	if err := defaultAction(sig); err != nil {
		return fmt.Errorf("reset handler: %w", err)
	}
	switch code := faults[runtime.GOARCH][sig]; {
	case sig == syscall.SIGSEGV:
		*nowhere() = 1
	case sig == syscall.SIGBUS:
		return bus()
	case code != nil:
		return jump(code)
	case os.Getpid() == 1:
		// The first process of a pid namespace cannot send itself a fatal
		// signal; a child can, and the parent exits as a shell would.
		return asChild(sig)
	default:
		if err := syscall.Kill(os.Getpid(), sig); err != nil {
			return err
		}
		select {}
	}
	return errors.New("survived the fault")
}

// nowhere is an address that is never mapped.
//
//go:noinline
func nowhere() *int { return nil }

// defaultAction does what signal.Reset does not: it takes the runtime's own
// handler away in the kernel.
func defaultAction(sig syscall.Signal) error {
	var act [4]uint64 // struct kernel_sigaction with SIG_DFL, no flags, no mask
	_, _, e := syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(&act)), 0, 8, 0, 0)
	if e != 0 {
		return e
	}
	return nil
}

// bus reads a mapped page past the end of its file.
func bus() error {
	f, err := os.CreateTemp("/dev/shm", "bus")
	if err != nil {
		return err
	}
	if err := f.Truncate(4096); err != nil {
		return err
	}
	b, err := syscall.Mmap(int(f.Fd()), 0, 4096, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return err
	}
	if err := f.Truncate(0); err != nil {
		return err
	}
	b[0] = 1
	return errors.New("survived the bus error")
}

// jump runs machine code.
func jump(code []byte) error {
	page, err := syscall.Mmap(-1, 0, 4096, syscall.PROT_READ|syscall.PROT_WRITE|syscall.PROT_EXEC, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		return err
	}
	copy(page, code)
	entry := unsafe.Pointer(&page[0])
	closure := unsafe.Pointer(&entry)
	(*(*func())(unsafe.Pointer(&closure)))()
	return errors.New("survived the fault")
}

func asChild(sig syscall.Signal) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	err = exec.Command(self, os.Args[1:]...).Run()
	var ee *exec.ExitError
	if !errors.As(err, &ee) {
		return fmt.Errorf("child did not crash: %w", err)
	}
	if ws := ee.Sys().(syscall.WaitStatus); !ws.Signaled() || ws.Signal() != sig {
		return fmt.Errorf("child ended otherwise: %w", err)
	}
	os.Exit(128 + int(sig))
	return nil
}
