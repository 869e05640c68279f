package receiver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/notify"
	"github.com/oomwatch/oomwatch/redact"
	"github.com/oomwatch/oomwatch/render"
)

// ExecOptions are what NewExec needs.
type ExecOptions struct {
	// Command is the program, by its full path, and its arguments. There is no
	// shell, and nothing of an incident is ever in them.
	Command []string
	// Timeout bounds a run; 0 is DefaultExecTimeout.
	Timeout time.Duration
}

// DefaultExecTimeout bounds the run of a command.
const DefaultExecTimeout = 30 * time.Second

// Exec runs a local command for each alert, with the alert as JSON on its
// standard input, as a webhook has it in its body.
type Exec struct {
	argv    []string
	timeout time.Duration
}

const (
	// maxExecOutput is how much of what a command prints is kept, for its error.
	maxExecOutput = 4 << 10
	// execRefused is the exit status by which a command says that it will never
	// take this alert (EX_DATAERR of sysexits.h).
	execRefused = 65
)

// NewExec checks the options; nothing is run.
func NewExec(opt ExecOptions) (*Exec, error) {
	if len(opt.Command) == 0 || !filepath.IsAbs(opt.Command[0]) {
		return nil, badOption("command", "the command's first word is its program, by its full path: [/usr/local/bin/page, --urgent]")
	}
	st, err := os.Stat(opt.Command[0])
	switch {
	case err != nil:
		return nil, &BadOption{Key: "command", Err: err}
	case st.IsDir() || st.Mode()&0o111 == 0:
		return nil, badOption("command", "%s is not a program: chmod +x it", opt.Command[0])
	}
	if opt.Timeout <= 0 {
		opt.Timeout = DefaultExecTimeout
	}
	return &Exec{argv: opt.Command, timeout: opt.Timeout}, nil
}

// Traits implements notify.Notifier.
func (e *Exec) Traits() notify.Traits {
	return notify.Traits{Digest: e.NotifyDigest}
}

// Notify runs the command for an incident.
func (e *Exec) Notify(ctx context.Context, a incident.Alert) error {
	inc := a.Incident
	env := []string{"OOMWATCH_DELIVERY=" + a.DeliveryID, "OOMWATCH_ATTEMPT=" + strconv.Itoa(a.Attempt), "OOMWATCH_ID=" + redact.Sanitize(inc.ID),
		"OOMWATCH_KIND=" + string(inc.Kind), "OOMWATCH_CAUSE=" + string(inc.Cause), "OOMWATCH_SEVERITY=" + string(inc.Severity)}
	if a.Update {
		env = append(env, "OOMWATCH_UPDATE=1")
	}
	return e.run(ctx, inc, env)
}

// NotifyDigest runs the command for a digest.
func (e *Exec) NotifyDigest(ctx context.Context, id string, d *incident.Digest) error {
	return e.run(ctx, d, []string{"OOMWATCH_DELIVERY=" + id, "OOMWATCH_KIND=digest", "OOMWATCH_SEVERITY=" + string(d.Severity())})
}

func (e *Exec) run(ctx context.Context, v any, env []string) error {
	body, err := encodeJSON(v)
	if err != nil {
		return &notify.Rejected{Err: fmt.Errorf("write the alert as JSON: %w", err)}
	}
	ctx, cancel := context.WithTimeout(ctx, e.timeout)
	defer cancel()
	var said strings.Builder
	cmd := exec.CommandContext(ctx, e.argv[0], e.argv[1:]...)
	// Of our own environment, which may hold secrets, nothing goes along.
	cmd.Env = append([]string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"}, env...)
	cmd.Dir = "/"
	cmd.Stdin = bytes.NewReader(append(body, '\n'))
	out := render.FirstBytes(&said, maxExecOutput)
	cmd.Stdout, cmd.Stderr = out, out
	// A group of its own: what it starts ends with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	err = cmd.Run()
	if err == nil || errors.Is(err, exec.ErrWaitDelay) && ctx.Err() == nil {
		return nil // what it left running keeps its output open, and is its own affair
	}
	err = fmt.Errorf("run %s: %w", e.argv[0], err)
	if ctx.Err() != nil {
		err = fmt.Errorf("run %s: killed after %s, which is all the time it has", e.argv[0], incident.FormatDuration(e.timeout))
		if errors.Is(ctx.Err(), context.Canceled) {
			err = fmt.Errorf("run %s: %w", e.argv[0], ctx.Err())
		}
	}
	if word := strings.Join(strings.Fields(redact.Sanitize(redact.Line(said.String()))), " "); word != "" {
		err = fmt.Errorf("%w: %s", err, render.Clip(word, 200))
	}
	switch {
	case cmd.ProcessState == nil:
		return err // it did not start
	case ctx.Err() != nil:
		return &notify.Unsure{Err: err}
	case cmd.ProcessState.ExitCode() == execRefused:
		return &notify.Rejected{Err: err}
	}
	return err
}
