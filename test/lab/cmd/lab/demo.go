package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/oomwatch/oomwatch/test/harness"
	"github.com/oomwatch/oomwatch/test/lab"
)

// demoName is the container that dies in the demo.
const demoName = "report"

// demoScript is what runs in it: a job that says what it does, and whose memory
// grows until the limit, for long enough to have a past.
const demoScript = `echo "report 2026-11: 90 parts"
for n in 1 2 3; do echo "part $n of 90: 1.2 million rows"; done
echo "part 4 of 90: reading"
exec prog eat -comm report-builder -rate 14000000`

// demo causes one real OOM on a private engine and shows what oomwatch makes of
// it: the alert as it is printed, then explain. It leaves nothing behind.
func demo(ctx context.Context, args []string) (err error) {
	fs := flag.NewFlagSet("demo", flag.ContinueOnError)
	binary := fs.String("oomwatch", filepath.Join("bin", "oomwatch"), "the program to show")
	if err := fs.Parse(args); err != nil {
		return err
	}
	program, err := filepath.Abs(*binary)
	if err != nil {
		return err
	}
	if _, err := os.Stat(program); err != nil {
		return fmt.Errorf("%w: run make build first", err)
	}
	if err := lab.Missing(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()

	step("a Docker engine of its own, with nothing else on it")
	e, err := lab.New(ctx, lab.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.Stop()) }()

	step("oomwatch run, following that engine, the kernel log and the cgroups")
	d := &demoDaemon{program: program, dir: filepath.Join(e.Dir, "demo")}
	if err := d.start(ctx, e.Host); err != nil {
		return err
	}
	defer d.stop()

	step("docker run -d --name %s -m 64m ...    (a job that needs more than that)", demoName)
	id, err := e.Run(ctx, "--name", demoName, "-m", "64m", lab.Image, "sh", "-c", demoScript)
	if err != nil {
		return err
	}
	code, err := e.Wait(ctx, id)
	if err != nil {
		return err
	}
	step("docker says it exited with %d; oomwatch run prints:", code)
	alert, err := d.alert(ctx)
	if err != nil {
		return err
	}
	fmt.Print("\n" + indent(alert))

	// What can be told of it does not hang on the container being there.
	if _, err := e.Docker(ctx, "rm", id); err != nil {
		return err
	}
	step("docker rm %s; oomwatch explain %s", demoName, demoName)
	out, err := exec.CommandContext(ctx, program, "explain", demoName, "--socket", d.socket()).CombinedOutput()
	fmt.Print("\n" + indent(string(out)))
	if err != nil {
		return fmt.Errorf("explain %s: %w", demoName, err)
	}
	step("done: engine, container and store are taken away again")
	return nil
}

func step(format string, args ...any) { fmt.Printf("\n==> "+format+"\n", args...) }

func indent(s string) string {
	var b strings.Builder
	for line := range strings.Lines(strings.TrimRight(s, "\n") + "\n") {
		if line != "\n" {
			b.WriteString("    ")
		}
		b.WriteString(line)
	}
	return b.String()
}

// demoDaemon is `oomwatch run` with a store of its own, its output in files.
type demoDaemon struct {
	*harness.Daemon
	program, dir string
}

func (d *demoDaemon) socket() string { return filepath.Join(d.dir, "oomwatch.sock") }
func (d *demoDaemon) stdout() string { return filepath.Join(d.dir, "stdout") }
func (d *demoDaemon) stderr() string { return filepath.Join(d.dir, "stderr") }

// start returns when the daemon sees the engine, the kernel log and the cgroups.
func (d *demoDaemon) start(ctx context.Context, host string) error {
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return err
	}
	stdout, err := os.Create(d.stdout())
	if err != nil {
		return err
	}
	defer stdout.Close()
	stderr, err := os.Create(d.stderr())
	if err != nil {
		return err
	}
	defer stderr.Close()
	cmd := exec.Command(d.program, "run", "--docker", host, "--store", filepath.Join(d.dir, "oomwatch.db"),
		"--socket", d.socket(), "--listen", "off")
	cmd.Stdout, cmd.Stderr = stdout, stderr
	// A Ctrl-C at the terminal is for the demo, which then ends the daemon.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if d.Daemon, err = harness.Start(cmd, d.socket()); err != nil {
		return err
	}
	if _, err := d.Ready(ctx, time.Minute, harness.Sees("docker", "kmsg", "cgroup")); err != nil {
		d.stop()
		return fmt.Errorf("oomwatch does not see the engine, the kernel log and the cgroups: %w", d.logged(err))
	}
	return nil
}

// alert is what the daemon printed, once it has printed an alert to its end:
// the last line names the command that tells more.
func (d *demoDaemon) alert(ctx context.Context) (string, error) {
	for {
		b, err := os.ReadFile(d.stdout())
		if err != nil {
			return "", err
		}
		if i := strings.Index(string(b), "\nMore: "); i >= 0 && strings.Contains(string(b[i+1:]), "\n") {
			return string(b), nil
		}
		if err := d.wait(ctx); err != nil {
			return "", fmt.Errorf("oomwatch printed no alert: %w", err)
		}
	}
}

// wait waits a moment; the error holds what the daemon logged.
func (d *demoDaemon) wait(ctx context.Context) error {
	select {
	case <-time.After(50 * time.Millisecond):
		return nil
	case <-ctx.Done():
		return d.logged(ctx.Err())
	case <-d.Done:
		return d.logged(errors.New("it ended"))
	}
}

// logged adds what the daemon logged to an error.
func (d *demoDaemon) logged(why error) error {
	log, err := os.ReadFile(d.stderr())
	if err != nil {
		return errors.Join(why, err)
	}
	return fmt.Errorf("%w; it logged:\n%s", why, log)
}

// stop ends the daemon as a service manager does.
func (d *demoDaemon) stop() { d.Stop(syscall.SIGTERM, 10*time.Second) }
