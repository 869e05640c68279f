package web

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"go.uber.org/zap"
)

// Bounds on what all clients together may take of the server.
const (
	// maxConns is how many connections there are at once on one listener: more wait
	// to be accepted.
	maxConns = 256
	// maxAnswers is how many answers are made at once, and answerSlot how long a
	// request waits for its turn. Each has a page of the store in memory at most.
	maxAnswers = 16
	answerSlot = 2 * time.Second
	// stallTimeout is how long a client may take for the next part of an answer,
	// longAnswer for all of it.
	stallTimeout = 5 * time.Second
	longAnswer   = 2 * time.Minute
	// sendBuffer is what the kernel keeps for a client that does not take it.
	sendBuffer = 64 << 10
)

// bounded lets only so many requests be answered at once.
func (s *Server) bounded(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), longAnswer)
		defer cancel()
		wait := time.NewTimer(answerSlot)
		defer wait.Stop()
		select {
		case s.answers <- struct{}{}:
			defer func() { <-s.answers }()
		case <-wait.C:
			w.Header().Set("Retry-After", "1")
			writeError(w, http.StatusServiceUnavailable, fmt.Errorf("%d requests are being answered already; try again", maxAnswers))
			return
		case <-ctx.Done():
			return
		}
		next(paced{w, http.NewResponseController(w)}, r.WithContext(ctx))
	}
}

// paced is an answer whose client must take each part of it in time.
type paced struct {
	http.ResponseWriter
	control *http.ResponseController
}

// Write implements http.ResponseWriter.
func (p paced) Write(b []byte) (int, error) {
	// A writer without deadlines is a test's.
	if err := p.control.SetWriteDeadline(time.Now().Add(stallTimeout)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return 0, err
	}
	return p.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (p paced) Unwrap() http.ResponseWriter { return p.ResponseWriter }

// errCut marks an answer that its client does not take.
var errCut = errors.New("the client is gone")

// stream answers with one incident per line, as they are read.
func (s *Server) stream(w http.ResponseWriter, r *http.Request, read func(each func(Found) error) error) {
	begun := false
	begin := func() {
		if !begun {
			w.Header().Set("Content-Type", "application/x-ndjson")
			begun = true
		}
	}
	err := read(func(f Found) error {
		begin()
		if _, err := w.Write(f.Body); err != nil {
			return errCut
		}
		if _, err := w.Write([]byte{'\n'}); err != nil {
			return errCut
		}
		return nil
	})
	switch {
	case err == nil:
		begin()
	case errors.Is(err, errCut) || r.Context().Err() != nil:
		panic(http.ErrAbortHandler) // what was sent is not all
	case begun:
		s.opt.Log.Warn("an answer from the store is incomplete", zap.Error(err))
		panic(http.ErrAbortHandler)
	default:
		s.opt.Log.Warn("cannot answer from the store", zap.Error(err))
		writeError(w, http.StatusInternalServerError, fmt.Errorf("read the store: %w", err))
	}
}

// limited is a listener of which only so many connections are open at once.
type limited struct {
	net.Listener
	slots chan struct{}
	done  chan struct{}
	close func()
}

func limit(l net.Listener) *limited {
	done := make(chan struct{})
	return &limited{Listener: l, slots: make(chan struct{}, maxConns), done: done, close: sync.OnceFunc(func() { close(done) })}
}

// Accept implements net.Listener.
func (l *limited) Accept() (net.Conn, error) {
	select {
	case l.slots <- struct{}{}:
	case <-l.done:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.slots
		return nil, err
	}
	if tcp, ok := c.(*net.TCPConn); ok {
		// Without it the kernel takes megabytes of an answer for who reads nothing. It
		// fails where the client is gone.
		_ = tcp.SetWriteBuffer(sendBuffer)
	}
	return &slot{Conn: c, free: sync.OnceFunc(func() { <-l.slots })}, nil
}

// Close implements net.Listener.
func (l *limited) Close() error {
	l.close()
	return l.Listener.Close()
}

// slot is a connection that gives its place back.
type slot struct {
	net.Conn
	free func()
}

// Close implements net.Conn.
func (c *slot) Close() error {
	defer c.free()
	return c.Conn.Close()
}
