// Package web answers over HTTP what the daemon knows: a page for people,
// metrics for Prometheus, health for supervisors, and JSON for the command line,
// the last also on a unix socket. It only reads, but for actions.go and control.go.
package web

import (
	"context"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

// Bounds on what a client may take of the server.
const (
	headerTimeout = 5 * time.Second
	readTimeout   = 10 * time.Second
	writeTimeout  = 30 * time.Second
	idleTimeout   = 15 * time.Second
	maxHeader     = 16 << 10
	closeTimeout  = 2 * time.Second
	readyTimeout  = 2 * time.Second
)

// Options are what a Server is made of.
type Options struct {
	// Addr is the TCP address to listen on; "" is none.
	Addr string
	// Socket is the path of the unix socket; "" is none.
	Socket string
	// AllowedHosts are names, beside addresses and names without a dot, that
	// a TCP request may be addressed to.
	AllowedHosts []string
	Backend      Backend
	// Control changes what the daemon does: for root and for the daemon's own user over
	// the unix socket, for who knows the Token by the page; nil is nothing.
	Control Control
	// Token lets whoever knows it use the page's buttons; "" is nobody.
	Token   string
	Metrics prometheus.Gatherer
	Log     *zap.Logger
}

// Server serves what Options say. Listen first, then Run.
type Server struct {
	opt   Options
	pages *template.Template
	tcp   net.Listener
	unix  net.Listener

	answers chan struct{} // those that are being made
	streams chan struct{} // those that are open
	ending  chan struct{} // closed when Run ends
	guess   sync.Mutex    // held while a wrong token is answered late
	looked  look          // what runs, for all pages
}

// New returns a Server that listens on nothing yet.
func New(opt Options) *Server {
	return &Server{opt: opt, pages: pages(), answers: make(chan struct{}, maxAnswers), streams: make(chan struct{}, maxStreams),
		ending: make(chan struct{})}
}

// ListenTCP takes the TCP address, so that a busy port is told before anything
// else starts.
func (s *Server) ListenTCP() error {
	if s.opt.Addr == "" {
		return nil
	}
	l, err := net.Listen("tcp", s.opt.Addr)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", s.opt.Addr, err)
	}
	s.tcp = l
	return nil
}

// ErrSocketInUse is returned by ListenUnix when another process answers there.
var ErrSocketInUse = errors.New("another process answers on it")

// ListenUnix takes the unix socket, making its folder, and replacing a socket
// that nobody answers on any more. Owner and group may connect.
func (s *Server) ListenUnix() error {
	if s.opt.Socket == "" {
		return nil
	}
	path := s.opt.Socket
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return fmt.Errorf("make the folder of the socket: %w", err)
	}
	if err := clearStale(path); err != nil {
		return fmt.Errorf("listen on %s: %w", path, err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", path, err)
	}
	if err := os.Chmod(path, 0o660); err != nil {
		return errors.Join(fmt.Errorf("set the mode of %s: %w", path, err), l.Close())
	}
	s.unix = l
	return nil
}

// clearStale removes a socket left by a process that is gone, and nothing else.
func clearStale(path string) error {
	st, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if st.Mode()&fs.ModeSocket == 0 {
		return errors.New("it exists and is not a socket")
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		return errors.Join(ErrSocketInUse, c.Close())
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return err
	}
	return os.Remove(path)
}

// Addr is the TCP address taken, or "".
func (s *Server) Addr() string {
	if s.tcp == nil {
		return ""
	}
	return s.tcp.Addr().String()
}

// Close gives up what was listened on, for a Server that never ran; after Run it
// does nothing.
func (s *Server) Close() error {
	var errs []error
	for _, l := range []net.Listener{s.tcp, s.unix} {
		if l == nil {
			continue
		}
		if err := l.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Run serves until ctx ends or a listener breaks; then requests that are being
// answered get a short while to end.
func (s *Server) Run(ctx context.Context) error {
	api := guard(s.routes(), nil)
	page := guard(s.routes(), s.actions())
	var servers []*http.Server
	errs := make(chan error, 2)
	serve := func(l net.Listener, h http.Handler) {
		if l == nil {
			return
		}
		srv := &http.Server{
			Handler: h, ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout,
			WriteTimeout: writeTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
			ErrorLog: zap.NewStdLog(s.opt.Log), ConnContext: withPeer,
		}
		servers = append(servers, srv)
		go func() { errs <- srv.Serve(limit(l)) }()
	}
	serve(s.tcp, hostGuard(s.opt.AllowedHosts, page))
	serve(s.unix, s.control(api))

	var failed error
	ended := 0
	select {
	case <-ctx.Done():
	case err := <-errs:
		failed, ended = fmt.Errorf("serve HTTP: %w", err), 1
	}
	close(s.ending)
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	for _, srv := range servers {
		if err := srv.Shutdown(stop); err != nil {
			srv.Close() // a client that does not end in time is cut off
		}
	}
	for ; ended < len(servers); ended++ {
		<-errs
	}
	return failed
}
