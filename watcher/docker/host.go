package docker

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/moby/moby/client"
)

// endpoint is where an engine listens.
type endpoint struct {
	host        string // as the user would write it
	proto, addr string
	base        string // path before every API path (tcp only)
}

// findHost decides which engine is meant. The default is looked for anew each
// time: a socket may have come meanwhile.
func findHost(explicit string) (endpoint, error) {
	if explicit != "" {
		return parseHost(explicit, "the given host")
	}
	if env := os.Getenv(client.EnvOverrideHost); env != "" {
		return parseHost(env, "DOCKER_HOST")
	}
	path, _ := defaultSocket()
	return parseHost("unix://"+path, "the default socket")
}

// Expected is true where an engine is named, be it by DOCKER_HOST, or a default socket is
// there.
func Expected(host string) bool {
	_, there := defaultSocket()
	return there || host != "" || os.Getenv(client.EnvOverrideHost) != ""
}

// SameSocket is true where a socket (unix:///PATH) is the one that Docker's default is:
// podman-docker links that one to Podman's.
func SameSocket(socket string) bool {
	standard, there := defaultSocket()
	if !there {
		return false
	}
	a, errA := filepath.EvalSymlinks(standard)
	b, errB := filepath.EvalSymlinks(strings.TrimPrefix(socket, "unix://"))
	return errA == nil && errB == nil && a == b
}

// defaultSocket is the first default socket that is there, else the first.
func defaultSocket() (path string, there bool) {
	sockets := []string{"/var/run/docker.sock"}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		sockets = append(sockets, filepath.Join(dir, "docker.sock"))
	}
	sockets = append(sockets, "/run/user/"+strconv.Itoa(os.Geteuid())+"/docker.sock")
	for _, path := range sockets {
		if _, err := os.Stat(path); err == nil {
			return path, true
		}
	}
	return sockets[0], false
}

// parseHost reads a host as DOCKER_HOST has it; from says where it was written.
func parseHost(raw, from string) (endpoint, error) {
	const want = "write unix:///var/run/docker.sock or tcp://HOST:PORT"
	proto, addr, ok := strings.Cut(raw, "://")
	if !ok || addr == "" {
		return endpoint{}, fmt.Errorf("%s %q is no address of an engine: %s", from, raw, want)
	}
	ep := endpoint{host: raw, proto: proto, addr: addr}
	switch proto {
	case "unix":
		if !filepath.IsAbs(addr) {
			return endpoint{}, fmt.Errorf("%s %q is not an absolute path: %s", from, raw, want)
		}
		return ep, nil
	case "tcp", "http", "https":
		u, err := url.Parse("tcp://" + addr)
		if err != nil || u.Host == "" || u.Port() == "" {
			return endpoint{}, fmt.Errorf("%s %q has no host and port: %s", from, raw, want)
		}
		ep.proto, ep.addr, ep.base = "tcp", u.Host, strings.TrimSuffix(u.Path, "/")
		return ep, nil
	case "ssh":
		return endpoint{}, fmt.Errorf("%s %q: ssh is not supported: forward the socket (ssh -L /tmp/docker.sock:/var/run/docker.sock HOST) and write unix:///tmp/docker.sock", from, raw)
	}
	return endpoint{}, fmt.Errorf("%s %q has an unknown scheme %q: %s", from, raw, proto, want)
}

// tlsFromEnv reads what the docker command reads: DOCKER_CERT_PATH with ca.pem,
// cert.pem and key.pem, and DOCKER_TLS_VERIFY. nil means no TLS.
func tlsFromEnv() (*tls.Config, error) {
	dir, verify := os.Getenv(client.EnvOverrideCertPath), os.Getenv(client.EnvTLSVerify) != ""
	if dir == "" && !verify {
		return nil, nil
	}
	if dir == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return nil, fmt.Errorf("find the certificates for DOCKER_TLS_VERIFY: %w", err)
		}
		dir = filepath.Join(home, ".docker")
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
	if err != nil {
		return nil, fmt.Errorf("load the client certificate from DOCKER_CERT_PATH: %w", err)
	}
	conf := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}
	if !verify {
		// As the docker command does: without DOCKER_TLS_VERIFY the server's
		// certificate is not checked.
		conf.InsecureSkipVerify = true
		return conf, nil
	}
	pem, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	if err != nil {
		return nil, fmt.Errorf("load the CA from DOCKER_CERT_PATH: %w", err)
	}
	conf.RootCAs = x509.NewCertPool()
	if !conf.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("load the CA from DOCKER_CERT_PATH: no certificate in %q", filepath.Join(dir, "ca.pem"))
	}
	return conf, nil
}

// transport makes the connections to an endpoint.
func (ep endpoint) transport(conf *tls.Config) *http.Transport {
	dialer := &net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}
	t := &http.Transport{
		MaxIdleConnsPerHost: slowWorkers + 2*quickWorkers, IdleConnTimeout: 30 * time.Second,
		TLSClientConfig: conf, TLSHandshakeTimeout: 5 * time.Second, DisableCompression: true,
	}
	if ep.proto == "unix" {
		t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", ep.addr)
		}
	} else {
		t.DialContext = dialer.DialContext
	}
	return t
}

// client makes an API client that negotiates the version at its first call and
// can only read.
func (ep endpoint) client(m *metrics) (*client.Client, *readOnly, error) {
	var conf *tls.Config
	scheme := "http"
	if ep.proto == "tcp" {
		var err error
		if conf, err = tlsFromEnv(); err != nil {
			return nil, nil, err
		}
		if conf != nil {
			scheme = "https"
		}
	}
	t := &readOnly{next: ep.transport(conf), base: ep.base, metrics: m}
	host := ep.host
	if ep.proto == "tcp" {
		host = "tcp://" + ep.addr + ep.base
	}
	cli, err := client.New(
		client.WithHost(host), client.WithScheme(scheme), client.WithAPIVersionFromEnv(), client.WithUserAgent("oomwatch"),
		client.WithHTTPClient(&http.Client{Transport: t, CheckRedirect: noRedirect}),
	)
	if err != nil {
		return nil, nil, fmt.Errorf("make the API client: %w", err)
	}
	return cli, t, nil
}

// noRedirect keeps a server from sending us elsewhere.
func noRedirect(*http.Request, []*http.Request) error { return errRedirect }

var errRedirect = errors.New("the engine answered with a redirect, which is not followed")
