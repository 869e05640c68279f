package cri

import (
	"context"
	"fmt"
	"os"
	"time"
)

// Off in the place of a socket means that none is followed.
const Off = "off"

// Sockets are those to follow: the named ones, "off" for none, or else the known ones, of
// which nothing is said while they are not there (optional).
func Sockets(named []string) (sockets []string, optional bool) {
	if len(named) == 0 {
		return Known, true
	}
	for _, s := range named {
		if s != Off {
			sockets = append(sockets, s)
		}
	}
	return sockets, false
}

// Probed is what a runtime answered.
type Probed struct {
	// Found says who it is and what it runs.
	Found string
	// Unseen is what it cannot tell; "" for nothing.
	Unseen string
	// Problem and Fix are set where something does not work; Answers is false where
	// nothing does.
	Problem, Fix string
	Answers      bool
	// Absent is true where the socket is not there, or what listens serves no CRI.
	Absent bool
}

// Probe tries everything that the source uses, for the doctor.
func Probe(ctx context.Context, socket string) Probed {
	path, err := SocketPath(socket)
	if err != nil {
		return Probed{Problem: err.Error(), Fix: "mend --cri or cri.sockets"}
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	s := &Source{socket: path, pace: defaultPace()}
	c, t := connect(ctx, s)
	if t != nil {
		return Probed{Problem: t.reason, Fix: t.fix, Absent: t.absent || t.mute}
	}
	defer c.client.close()
	p := Probed{Answers: true, Found: fmt.Sprintf("%s at %s", c.host.Engine, path)}
	entries, err := c.client.list(ctx, "")
	if err != nil {
		t := diagnose(path, err)
		p.Problem, p.Fix = "containers cannot be listed: "+t.reason, t.fix
		return p
	}
	n := 0
	for _, e := range entries {
		if e.state == running {
			n++
		}
	}
	p.Found += fmt.Sprintf(", containers: %d, running: %d", len(entries), n)
	p.Unseen = "who asks it to stop or kill a container, of which it has no event: the trace of signals shows that"
	if !c.events {
		p.Found += "; it is asked for its list each second"
		// Both were tried with CRI-O; it still says the pid of one that has ended.
		unseen := "the pid of a main process that lives for less than a second; "
		if c.runtime == "cri-o" {
			unseen = "a container whose command is not there, which it does not create: kubectl describe pod shows that; "
		}
		p.Unseen = unseen + p.Unseen
	}
	p.tryOne(ctx, c, entries)
	return p
}

// tryOne asks about one container, and whether its log may be read.
func (p *Probed) tryOne(ctx context.Context, c *connection, entries []entry) {
	if len(entries) == 0 {
		return
	}
	st, err := c.client.status(ctx, entries[0].id)
	switch {
	case isGone(err):
	case err != nil:
		p.Problem, p.Fix = "a container cannot be inspected: "+err.Error(), "look at the runtime's log"
	case st.logPath != "":
		if _, err := os.Stat(st.logPath); err != nil {
			p.Problem, p.Fix = "logs cannot be read: "+err.Error(), "run as root; in a container mount the host's /var/log/pods at the same path, read-only; in a pod with that hostPath volume and DAC_READ_SEARCH in securityContext.capabilities.add"
		}
	}
}
