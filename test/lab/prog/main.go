// Command prog is the program that dies in the lab's containers: static, one
// file, every way of dying a subcommand.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

const usage = `prog eat [-size BYTES] [-rate BYTES/S] [-start BYTES] [-comm NAME] [-file PATH] [-then DURATION]
prog child [-n N] [-comm NAME] [-then DURATION] [-exit CODE] -- ARGS...   run "prog ARGS..." as a child, outlive it
prog crash SEGV|BUS|FPE|ILL|TRAP|ABRT|SYS|...                             end by that signal
prog polite [-exit CODE] [-lag DURATION]                                  run until SIGTERM or SIGHUP, then exit
prog stubborn                                                             run and ignore SIGTERM
prog exit CODE
prog pipes [-comm NAME]                                                   fill pipes, the kernel's memory, without end
prog fork N                                                               start N sleeping children and wait
prog files N                                                              open N files and hold them, until SIGTERM
prog goroutines|sockets|dentries [-rate BYTES/S]                          leak goroutines or unix sockets, or have the kernel cache names
prog lazy [-size BYTES] [-every DURATION]                                 free with MADV_FREE, again and again
prog zombies N                                                            leave N children that ended unwaited for, until SIGTERM
`

func main() {
	if len(os.Args) < 2 {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "prog:", err)
		os.Exit(1)
	}
}

func run(name string, args []string) error {
	switch name {
	case "eat":
		return eat(args)
	case "child":
		return child(args)
	case "crash":
		if len(args) != 1 {
			return errors.New("crash takes one signal")
		}
		return crash(args[0])
	case "polite":
		return polite(args)
	case "stubborn":
		signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
		fmt.Println("ready")
		time.Sleep(time.Hour)
	case "exit":
		if len(args) != 1 {
			return errors.New("exit takes one code")
		}
		code, err := strconv.Atoi(args[0])
		if err != nil {
			return err
		}
		os.Exit(code)
	case "pipes":
		return pipes(args)
	case "fork":
		if len(args) != 1 {
			return errors.New("fork takes one number")
		}
		n, err := strconv.Atoi(args[0])
		if err != nil {
			return err
		}
		return fork(n)
	case "zombies", "files":
		if len(args) != 1 {
			return fmt.Errorf("%s takes one number", name)
		}
		n, err := strconv.Atoi(args[0])
		if err != nil {
			return err
		}
		if name == "files" {
			return files(n)
		}
		return zombies(n)
	case "goroutines":
		return goroutines(args)
	case "sockets":
		return sockets(args)
	case "lazy":
		return lazy(args)
	case "dentries":
		return dentries(args)
	case "nap":
		time.Sleep(time.Hour)
	default:
		return fmt.Errorf("unknown way to die %q", name)
	}
	return nil
}

// rename sets the name the kernel prints for this process (15 bytes count).
func rename(comm string) error {
	if comm == "" {
		return nil
	}
	// /proc/self/comm is the thread group leader's: the one the kernel prints.
	f, err := os.OpenFile("/proc/self/comm", os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteString(comm)
	return err
}

func eat(args []string) error {
	fs := flag.NewFlagSet("eat", flag.ExitOnError)
	size := fs.Int64("size", 0, "stop after this many bytes; 0 = never")
	rate := fs.Int64("rate", 0, "bytes per second; 0 = as fast as it goes")
	start := fs.Int64("start", 0, "eat this many bytes at once, then at the rate")
	comm := fs.String("comm", "", "name of the process")
	file := fs.String("file", "", "eat by writing this file (in /dev/shm: shared memory) instead of anonymous memory")
	then := fs.Duration("then", 0, "stay this long after the last byte")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if err := rename(*comm); err != nil {
		return err
	}
	bite := memory()
	if *file != "" {
		var err error
		if bite, err = writer(*file); err != nil {
			return err
		}
	}
	// In small bites a container can hang at its limit for minutes: the kernel
	// finds a few pages of this very program to drop for each. A large one
	// cannot be met that way.
	const chunk = 4 << 20
	begin, eaten := time.Now(), int64(0)
	for *size == 0 || eaten < *size {
		if err := bite(chunk); err != nil {
			return err
		}
		eaten += chunk
		if *rate > 0 && eaten > *start {
			due := time.Duration(float64(eaten-*start) / float64(*rate) * float64(time.Second))
			time.Sleep(time.Until(begin.Add(due)))
		} else {
			begin = time.Now()
		}
	}
	time.Sleep(*then)
	return nil
}

// memory returns a function that maps and touches n bytes and never frees them.
func memory() func(n int) error {
	return func(n int) error {
		b, err := syscall.Mmap(-1, 0, n, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
		if err != nil {
			return err
		}
		for i := 0; i < n; i += 4096 {
			b[i] = 1
		}
		return nil
	}
}

func writer(path string) (func(n int) error, error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	buf := make([]byte, 256<<10)
	for i := range buf {
		buf[i] = byte(i)
	}
	return func(n int) error {
		for ; n > 0; n -= len(buf) {
			if _, err := f.Write(buf[:min(n, len(buf))]); err != nil {
				return err
			}
		}
		return nil
	}, nil
}

func child(args []string) error {
	fs := flag.NewFlagSet("child", flag.ExitOnError)
	n := fs.Int("n", 1, "how many, one after another")
	comm := fs.String("comm", "", "name of the parent")
	then := fs.Duration("then", time.Hour, "live this long after the last child")
	code := fs.Int("exit", 0, "exit code at the end")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if err := rename(*comm); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	for range *n {
		c := exec.Command(self, fs.Args()...)
		c.Stdout, c.Stderr = os.Stdout, os.Stderr
		err := c.Run()
		fmt.Printf("child ended: %v\n", err)
	}
	time.Sleep(*then)
	os.Exit(*code)
	return nil
}

func polite(args []string) error {
	fs := flag.NewFlagSet("polite", flag.ExitOnError)
	code := fs.Int("exit", 0, "exit code")
	lag := fs.Duration("lag", 0, "take this long to stop")
	if err := fs.Parse(args); err != nil {
		return err
	}
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGINT)
	fmt.Println("ready")
	s := <-c
	fmt.Println("got", s)
	time.Sleep(*lag)
	if s == syscall.SIGHUP && *code == 0 {
		*code = 129
	}
	os.Exit(*code)
	return nil
}

// pipes fills one pipe after another, of which the process itself holds nothing:
// the kernel charges the pages to the control group.
func pipes(args []string) error {
	fs := flag.NewFlagSet("pipes", flag.ExitOnError)
	comm := fs.String("comm", "", "name of the process")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if err := rename(*comm); err != nil {
		return err
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	limit.Cur = limit.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	page := make([]byte, 4096)
	for {
		var p [2]int
		if err := syscall.Pipe2(p[:], syscall.O_NONBLOCK); err != nil {
			return err
		}
		for {
			if _, err := syscall.Write(p[1], page); err == syscall.EAGAIN {
				break
			} else if err != nil {
				return err
			}
		}
	}
}

func fork(n int) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	for i := range n {
		if err := exec.Command(self, "nap").Start(); err != nil {
			return fmt.Errorf("fork %d: %w", i+1, err)
		}
	}
	fmt.Println("ready")
	time.Sleep(time.Hour)
	return nil
}

// zombies leaves children that have ended behind, as a program does that does not wait.
func zombies(n int) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGTERM)
	for i := range n {
		if err := exec.Command(self, "exit", "0").Start(); err != nil {
			return fmt.Errorf("child %d: %w", i+1, err)
		}
	}
	fmt.Println("ready")
	<-asked
	return nil
}

// files opens files and holds them.
func files(n int) error {
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGTERM)
	for i := range n {
		f, err := os.Open(os.DevNull)
		if err != nil {
			return fmt.Errorf("file %d: %w", i+1, err)
		}
		defer f.Close()
	}
	fmt.Println("ready")
	<-asked
	return nil
}
