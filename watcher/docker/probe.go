package docker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/moby/moby/client"
	"github.com/oomwatch/oomwatch/redact"
	"github.com/oomwatch/oomwatch/units"
)

// Check is one thing that the engine was asked for, for the doctor.
type Check struct {
	// Name is "host", "ping", "version", "info", "events", "list", "inspect" or "logs".
	Name string
	OK   bool
	// Found says what came back, where it is worth a word.
	Found string
	// Error and Fix are set when OK is false.
	Error, Fix string
}

// Probe tries everything the source uses, each with a deadline, and says what
// works. host is as in Options. After a failed host or ping nothing more is tried.
// Where there is no container, inspect and logs are tried on one that does not
// exist: being told so shows that the call is allowed.
func Probe(ctx context.Context, host string) []Check {
	ep, err := findHost(host)
	if err != nil {
		return []Check{{Name: "host", Error: err.Error(), Fix: "fix DOCKER_HOST or --docker"}}
	}
	p := &prober{ep: ep, checks: []Check{{Name: "host", OK: true, Found: ep.host}}}
	cli, t, err := ep.client(newMetrics(nil))
	if err != nil {
		p.checks[0] = Check{Name: "host", Error: err.Error(), Fix: "check DOCKER_CERT_PATH, DOCKER_TLS_VERIFY and DOCKER_API_VERSION"}
		return p.checks
	}
	defer t.next.CloseIdleConnections()
	ok := p.try(ctx, "ping", 3*time.Second, func(ctx context.Context) (string, error) {
		res, err := cli.Ping(ctx, client.PingOptions{NegotiateAPIVersion: true})
		return "API " + res.APIVersion + "; oomwatch uses " + cli.ClientVersion(), err
	})
	if !ok {
		return p.checks
	}
	p.try(ctx, "version", 5*time.Second, func(ctx context.Context) (string, error) {
		v, err := cli.ServerVersion(ctx, client.ServerVersionOptions{})
		return v.Version, err
	})
	p.try(ctx, "info", 5*time.Second, func(ctx context.Context) (string, error) {
		res, err := cli.Info(ctx, client.InfoOptions{})
		i := res.Info
		found := fmt.Sprintf("containers: %d, running: %d; cgroup v%s by %s; logs by %s", i.Containers, i.ContainersRunning, i.CgroupVersion, i.CgroupDriver, i.LoggingDriver)
		if i.LiveRestoreEnabled {
			found += "; live-restore: deaths while the engine is down bring no event, the kernel log has them"
		}
		return found, err
	})
	p.try(ctx, "events", 5*time.Second, func(ctx context.Context) (string, error) {
		if err := probeEvents(ctx, cli, t); err != nil {
			return "", err
		}
		found := "allowed; the engine holds none yet"
		if at := oldestEvent(ctx, cli, time.Now().Add(-lookBack)); !at.IsZero() {
			found = "allowed; the oldest that the engine still holds is of " + units.Clock(at)
		}
		return found, nil
	})
	id := "oomwatch-probe-no-such-container"
	p.try(ctx, "list", 20*time.Second, func(ctx context.Context) (string, error) {
		res, err := cli.ContainerList(ctx, client.ContainerListOptions{All: true})
		if err == nil && len(res.Items) > 0 {
			id = res.Items[0].ID
		}
		return fmt.Sprintf("containers: %d", len(res.Items)), err
	})
	tty := false
	p.try(ctx, "inspect", 5*time.Second, func(ctx context.Context) (string, error) {
		res, err := cli.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
		if err == nil && res.Container.Config != nil {
			tty = res.Container.Config.Tty
		}
		return "", allowGone(err)
	})
	p.try(ctx, "logs", 5*time.Second, func(ctx context.Context) (string, error) {
		r, err := cli.ContainerLogs(ctx, id, client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true, Tail: "1"})
		if err != nil {
			// How one container logs says nothing of the next.
			if strings.Contains(err.Error(), "does not support reading") {
				return "allowed; the container tried has a log driver that cannot be read", nil
			}
			return "", allowGone(err)
		}
		defer r.Close()
		_, err = readTail(r, tty, 1)
		return "", err
	})
	return p.checks
}

type prober struct {
	ep     endpoint
	checks []Check
}

// try makes one call and notes how it went.
func (p *prober) try(ctx context.Context, name string, wait time.Duration, call func(context.Context) (string, error)) bool {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	found, err := call(ctx)
	c := Check{Name: name, OK: err == nil, Found: redact.Sanitize(redact.Cut(found, 200))}
	if err != nil {
		t := diagnose(p.ep, name, err)
		c.Found, c.Error, c.Fix = "", t.reason, t.fix
	}
	p.checks = append(p.checks, c)
	return c.OK
}

// allowGone takes the answer "no such container" for what it is: an answer.
func allowGone(err error) error {
	if isGone(err) {
		return nil
	}
	return err
}

// probeEvents opens an event stream of the past second, which ends by itself.
func probeEvents(ctx context.Context, cli *client.Client, t *readOnly) error {
	now := time.Now()
	res := cli.Events(ctx, client.EventsListOptions{
		Since: fmt.Sprint(now.Add(-time.Second).Unix()), Until: fmt.Sprint(now.Unix()),
		Filters: make(client.Filters).Add("type", "container"),
	})
	for {
		select {
		case <-res.Messages:
		case err := <-res.Err:
			// The stream's own end is the good one.
			if t.streaming.Load() && (err == nil || errors.Is(err, context.DeadlineExceeded) || err.Error() == "EOF") {
				return nil
			}
			return err
		}
	}
}
