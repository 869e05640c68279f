package harness

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/web"
)

// Daemon is `oomwatch run` as a process of its own.
type Daemon struct {
	*exec.Cmd
	Socket string
	// Out and Err are what it has printed and logged, where the command did not say
	// where that is to go.
	Out, Err Buffer
	// Done is closed when it has ended; how it ended is in ProcessState.
	Done chan struct{}
}

// Start starts a daemon, which will listen on socket.
func Start(cmd *exec.Cmd, socket string) (*Daemon, error) {
	d := &Daemon{Cmd: cmd, Socket: socket, Done: make(chan struct{})}
	if cmd.Stdout == nil {
		cmd.Stdout = &d.Out
	}
	if cmd.Stderr == nil {
		cmd.Stderr = &d.Err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start oomwatch: %w", err)
	}
	go func() {
		_ = cmd.Wait() // how it ended is in ProcessState
		close(d.Done)
	}()
	return d, nil
}

// Launch is Start for a test: at its end the daemon is killed, and what it logged is shown
// where the test has failed.
func Launch(t testing.TB, cmd *exec.Cmd, socket string) *Daemon {
	t.Helper()
	d, err := Start(cmd, socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = d.Process.Kill() // it has usually ended
		<-d.Done
		if t.Failed() {
			t.Logf("the daemon said:\n%.20000s", d.Err.String())
		}
	})
	return d
}

// Ready waits until the daemon's status is as wanted.
func (d *Daemon) Ready(ctx context.Context, within time.Duration, wanted func(*web.Status) bool) (*web.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	client := web.NewClient(d.Socket)
	for {
		st, err := client.Status(ctx)
		if err == nil && wanted(st) {
			return st, nil
		}
		select {
		case <-d.Done:
			return nil, fmt.Errorf("the daemon ended: %v\n%s", d.ProcessState, d.Err.String())
		case <-ctx.Done():
			return nil, fmt.Errorf("the daemon is not ready after %s: status %+v, %v\n%s", within, st, err, d.Err.String())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Sees is for Ready: every source named is up.
func Sees(names ...string) func(*web.Status) bool {
	return func(st *web.Status) bool {
		up := map[string]bool{}
		for _, s := range st.Sources {
			up[s.Name] = s.Up
		}
		for _, n := range names {
			if !up[n] {
				return false
			}
		}
		return true
	}
}

// Stop sends a signal and waits for the end; a daemon that has not ended by then is killed.
func (d *Daemon) Stop(sig os.Signal, within time.Duration) {
	_ = d.Process.Signal(sig) // it may have ended
	select {
	case <-d.Done:
	case <-time.After(within):
		_ = d.Process.Kill()
		<-d.Done
	}
}
