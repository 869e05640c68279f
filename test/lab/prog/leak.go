package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// paced calls one again and again, so that size bytes each make rate bytes a second; for
// ever, or until it fails.
func paced(rate, size int64, one func(n int) error) error {
	begin := time.Now()
	for n := 0; ; n++ {
		if err := one(n); err != nil {
			return err
		}
		if n%16 == 0 {
			time.Sleep(time.Until(begin.Add(time.Duration(float64(int64(n)*size) / float64(rate) * float64(time.Second)))))
		}
	}
}

// rateOf reads the one flag that leaks have.
func rateOf(name string, args []string) (int64, error) {
	fs := flag.NewFlagSet(name, flag.ExitOnError)
	rate := fs.Int64("rate", 1<<20, "bytes per second, about")
	err := fs.Parse(args)
	return *rate, err
}

// goroutines leaks goroutines that wait for what never comes.
func goroutines(args []string) error {
	rate, err := rateOf("goroutines", args)
	if err != nil {
		return err
	}
	never := make(chan int)
	return paced(rate, 10<<10, func(int) error {
		go func() {
			var deep [4 << 10]byte // its stack
			deep[0] = byte(<-never)
			_ = deep
		}()
		return nil
	})
}

// sockets leaks pairs of unix sockets with what nobody reads from them: kernel memory.
func sockets(args []string) error {
	rate, err := rateOf("sockets", args)
	if err != nil {
		return err
	}
	full := make([]byte, 128<<10)
	return paced(rate, int64(len(full)), func(int) error {
		p, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
		if err != nil {
			return err
		}
		_, err = syscall.Write(p[0], full)
		return err
	})
}

// madvFree is MADV_FREE, which package syscall does not name.
const madvFree = 8

// lazy takes memory and frees it with MADV_FREE, again and again: the kernel leaves it
// where it is until it needs it.
func lazy(args []string) error {
	fs := flag.NewFlagSet("lazy", flag.ExitOnError)
	size := fs.Int("size", 48<<20, "bytes")
	every := fs.Duration("every", time.Second, "time between two rounds")
	if err := fs.Parse(args); err != nil {
		return err
	}
	b, err := syscall.Mmap(-1, 0, *size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		return err
	}
	for {
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
		if err := syscall.Madvise(b, madvFree); err != nil {
			return err
		}
		time.Sleep(*every)
	}
}

// dentries looks for files that are not there: the kernel remembers each.
func dentries(args []string) error {
	rate, err := rateOf("dentries", args)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "dentries")
	if err != nil {
		return err
	}
	return paced(rate, 256, func(n int) error {
		if _, err := os.Stat(filepath.Join(dir, "nothing-of-that-name-"+strconv.Itoa(n))); err == nil {
			return fmt.Errorf("%d is there", n)
		}
		return nil
	})
}
