// Command lab starts a private Docker engine and causes real deaths on it, for
// the demo and for trying things by hand.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/oomwatch/oomwatch/test/lab"
)

const usage = `usage: lab [-dir DIR] COMMAND

  up [-live-restore]     start an engine; prints the line to eval: export DOCKER_HOST=...
  down                   stop it and remove all it left
  list                   the deaths there are, and the cause each must be told as
  die DEATH [NAME]       cause one, in a container called NAME
  storm N                cause N OOM kills, one container each, at once
  freeze | thaw          stop dockerd in its tracks, let it go on
  docker ARGS...         the docker command on this engine
  matrix FILE...         what tests told of deaths, as a table; fails where they were wrong
  demo [-oomwatch FILE]  an engine of its own, one OOM, and what oomwatch says of it
`

func main() {
	dir := flag.String("dir", filepath.Join(os.TempDir(), "oomwatch-lab"), "directory of the engine")
	flag.Usage = func() { fmt.Fprint(os.Stderr, usage) }
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *dir, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "lab:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, dir string, args []string) error {
	if len(args) == 0 {
		flag.Usage()
		return errors.New("no command given")
	}
	name, args := args[0], args[1:]
	switch name {
	case "up":
		return up(ctx, dir, args)
	case "demo":
		return demo(ctx, args)
	case "matrix":
		return matrix(os.Stdout, args)
	case "list":
		for _, d := range lab.Deaths() {
			fmt.Printf("%-17s %-18s %s\n", d.Name, d.Want.Cause(), d.Means)
		}
		return nil
	}
	e, err := lab.At(dir)
	if err != nil {
		return err
	}
	switch name {
	case "down":
		return e.Stop()
	case "freeze":
		return e.Freeze()
	case "thaw":
		return e.Thaw()
	case "die":
		return die(ctx, e, args)
	case "storm":
		return storm(ctx, e, args)
	case "docker":
		cmd := e.Command(ctx, args...)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
		return cmd.Run()
	}
	flag.Usage()
	return fmt.Errorf("unknown command %q", name)
}

func up(ctx context.Context, dir string, args []string) error {
	fs := flag.NewFlagSet("up", flag.ContinueOnError)
	live := fs.Bool("live-restore", false, "containers outlive the engine")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if e, err := lab.At(dir); err == nil {
		fmt.Printf("export DOCKER_HOST=%s\n", e.Host)
		return nil
	}
	e, err := lab.New(ctx, lab.Options{Dir: dir, LiveRestore: *live, Detach: true})
	if err != nil {
		return err
	}
	fmt.Printf("export DOCKER_HOST=%s\n", e.Host)
	return nil
}

func die(ctx context.Context, e *lab.Engine, args []string) error {
	if len(args) == 0 || len(args) > 2 {
		return errors.New("die takes the name of a death and, if you like, of the container")
	}
	d, err := lab.FindDeath(args[0])
	if err != nil {
		return err
	}
	name := fmt.Sprintf("%s-%d", d.Name, time.Now().Unix()%100000)
	if len(args) == 2 {
		name = args[1]
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	id, err := d.Do(ctx, e, name)
	if err != nil {
		return err
	}
	fmt.Println(id)
	return nil
}

func storm(ctx context.Context, e *lab.Engine, args []string) error {
	if len(args) != 1 {
		return errors.New("storm takes one number")
	}
	n, err := strconv.Atoi(args[0])
	if err != nil || n < 1 || n > 1000 {
		return fmt.Errorf("storm of %q: want a number from 1 to 1000", args[0])
	}
	ids, err := e.Storm(ctx, "storm", n)
	for _, id := range ids {
		fmt.Println(id)
	}
	return err
}
