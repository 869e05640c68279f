package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/client"
	"github.com/oomwatch/oomwatch/redact"
)

// trouble is why something does not work, in the reader's words, and the step
// that would mend it.
type trouble struct {
	reason, fix string
	// absent is true when nobody listens on a local socket: worth a look
	// again soon, for a look costs nothing.
	absent bool
}

func (t *trouble) Error() string { return t.reason }

// fixStart is how to start the engine.
func (ep endpoint) fixStart() string {
	if ep.isPodman() {
		return "start Podman's socket (systemctl enable --now podman.socket; a user's: systemctl --user enable --now podman.socket), or name another with --podman unix:///PATH"
	}
	return "start the engine (systemctl start docker), or name another with --docker unix:///PATH or DOCKER_HOST"
}

// fixLook is how to look at an engine that does not answer.
func (ep endpoint) fixLook() string {
	if ep.isPodman() {
		return "look at Podman: systemctl status podman.socket podman.service; journalctl -u podman"
	}
	return "look at the engine: systemctl status docker; journalctl -u docker"
}

// isPodman is true for a socket of Podman's, by its name.
func (ep endpoint) isPodman() bool { return strings.Contains(ep.addr, "podman") }

// diagnose explains a failed call. The client's own error hides the system's,
// so for a socket the connection is tried again by hand.
func diagnose(ep endpoint, step string, err error) *trouble {
	var known *trouble
	if errors.As(err, &known) {
		return known
	}
	if t := diagnoseSocket(ep); t != nil {
		return t
	}
	said := redact.Sanitize(err.Error())
	if len(said) > 300 {
		said = strings.ToValidUTF8(said[:300], "") + "..."
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded) || os.IsTimeout(err):
		return &trouble{reason: fmt.Sprintf("the engine at %s does not answer (%s)", ep.host, step),
			fix: ep.fixLook()}
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET):
		return &trouble{reason: "the engine closed the connection (" + step + ")", fix: "none if the engine is restarting; else " + ep.fixLook()}
	case strings.Contains(said, "not supported by this client"):
		return &trouble{reason: said, fix: "upgrade the engine to Docker 19.03 (API " + client.MinAPIVersion + ") or newer"}
	case strings.Contains(said, "is too old. Minimum supported API version"), strings.Contains(said, "is too new. Maximum supported API version"):
		return &trouble{reason: said, fix: "unset DOCKER_API_VERSION so that the version is negotiated; if it is not set, upgrade oomwatch (it speaks API " +
			client.MinAPIVersion + " to " + client.MaxAPIVersion + ")"}
	case strings.Contains(said, "TLS-enabled daemon without TLS"), strings.Contains(said, "HTTP request to an HTTPS server"):
		return &trouble{reason: "the engine at " + ep.host + " wants TLS", fix: "set DOCKER_TLS_VERIFY=1 and DOCKER_CERT_PATH to the directory with ca.pem, cert.pem and key.pem"}
	case strings.Contains(said, "tls: "), strings.Contains(said, "x509: "), strings.Contains(said, "--tlsverify"):
		return &trouble{reason: said, fix: "check DOCKER_CERT_PATH (ca.pem, cert.pem, key.pem) and DOCKER_TLS_VERIFY against the engine's own certificate"}
	case cerrdefs.IsPermissionDenied(err), cerrdefs.IsUnauthorized(err):
		return &trouble{reason: "forbidden: " + step + ": " + said,
			fix: "let the proxy or plugin before the engine pass GET on /_ping /version /info /events /containers/json /containers/ID/json /containers/ID/logs"}
	}
	return &trouble{reason: step + ": " + said, fix: "check that " + ep.host + " is a Docker Engine: docker -H " + ep.host + " version"}
}

// diagnoseSocket looks why nothing answers at an address; nil where something does.
func diagnoseSocket(ep endpoint) *trouble {
	if ep.proto != "unix" {
		conn, err := net.DialTimeout("tcp", ep.addr, time.Second)
		if err == nil {
			_ = conn.Close()
			return nil
		}
		var dns *net.DNSError
		if errors.As(err, &dns) {
			return &trouble{reason: fmt.Sprintf("the host name of %s cannot be resolved: %v", ep.host, dns), fix: "check the host name in DOCKER_HOST or --docker"}
		}
		return &trouble{reason: fmt.Sprintf("cannot connect to %s: %v", ep.host, err),
			fix: "check host and port in DOCKER_HOST or --docker, and that the engine listens there (dockerd -H tcp://...)"}
	}
	info, err := os.Stat(ep.addr)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &trouble{reason: "there is no socket at " + ep.addr, fix: ep.fixStart(), absent: true}
	case errors.Is(err, fs.ErrPermission):
		return &trouble{reason: "permission denied on the way to " + ep.addr, fix: "run as root, or let this user pass the directories above the socket"}
	case err != nil:
		return &trouble{reason: fmt.Sprintf("look for the socket: %v", err), fix: ep.fixStart()}
	case info.Mode()&fs.ModeSocket == 0:
		return &trouble{reason: ep.addr + " is not a socket", fix: "mount the engine's socket itself (Docker makes a directory where the path of a mount does not exist), or name it with --docker"}
	}
	conn, err := net.DialTimeout("unix", ep.addr, time.Second)
	switch {
	case err == nil:
		_ = conn.Close()
		return nil
	case errors.Is(err, fs.ErrPermission):
		return &trouble{reason: "permission denied on " + ep.addr,
			fix: "run as root, or as a member of the group that owns the socket (ls -l " + ep.addr + "; usermod -aG docker USER), or with --group-add in a container"}
	case errors.Is(err, syscall.ECONNREFUSED):
		return &trouble{reason: "nobody listens on " + ep.addr, fix: ep.fixStart(), absent: true}
	}
	return nil
}
