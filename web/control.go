package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"syscall"

	"github.com/oomwatch/oomwatch/incident"
)

// Control is what a peer on the unix socket, or a person who is signed in, may change.
type Control interface {
	// Silences returns those that have not ended.
	Silences(ctx context.Context) ([]incident.Silence, error)
	// AddSilence keeps a silence that begins now and returns it with its id.
	AddSilence(ctx context.Context, s incident.Silence) (incident.Silence, error)
	// ExpireSilence ends one now, by its id or the beginning of it.
	ExpireSilence(ctx context.Context, id string) (incident.Silence, error)
	// Retry makes what a receiver ("" for every one) is owed due at once, what
	// was given up included, and returns how many deliveries that are.
	Retry(ctx context.Context, receiver string) (int, error)
	// Test sends a sample alert to a receiver, once.
	Test(ctx context.Context, receiver string) error
}

// expireRequest, retryRequest and retryAnswer are what is sent and answered.
type (
	expireRequest struct {
		ID string `json:"id"`
	}
	retryRequest struct {
		Receiver string `json:"receiver,omitempty"`
	}
	retryAnswer struct {
		Deliveries int `json:"deliveries"`
	}
)

// maxRequest bounds the body of a request that changes something.
const maxRequest = 64 << 10

// control adds to what everybody may read what root and the daemon's own user may
// change.
func (s *Server) control(read http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", read)
	c := s.opt.Control
	if c == nil {
		return mux
	}
	mux.HandleFunc("GET /v1/silences", func(w http.ResponseWriter, r *http.Request) {
		list, err := c.Silences(r.Context())
		if list == nil {
			list = []incident.Silence{}
		}
		answer(w, list, err)
	})
	mux.HandleFunc("POST /v1/silences", owner(func(w http.ResponseWriter, r *http.Request, uid uint32) {
		var x incident.Silence
		if !decode(w, r, &x) {
			return
		}
		x.By = fmt.Sprintf("uid %d", uid)
		x, err := c.AddSilence(r.Context(), x)
		answer(w, x, err)
	}))
	mux.HandleFunc("POST /v1/silences/expire", owner(func(w http.ResponseWriter, r *http.Request, _ uint32) {
		var x expireRequest
		if decode(w, r, &x) {
			s, err := c.ExpireSilence(r.Context(), x.ID)
			answer(w, s, err)
		}
	}))
	mux.HandleFunc("POST /v1/notify/retry", owner(func(w http.ResponseWriter, r *http.Request, _ uint32) {
		var x retryRequest
		if decode(w, r, &x) {
			n, err := c.Retry(r.Context(), x.Receiver)
			answer(w, retryAnswer{n}, err)
		}
	}))
	return mux
}

// owner lets only root and the daemon's own user through, as the kernel names the
// peer of the socket: who may read is the socket's group's affair.
func owner(next func(http.ResponseWriter, *http.Request, uint32)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		uid, ok := r.Context().Value(peerKey{}).(uint32)
		if !ok || uid != 0 && int(uid) != os.Geteuid() {
			writeError(w, http.StatusForbidden, fmt.Errorf("only root and the daemon's own user (uid %d) may change this; try it with sudo", os.Geteuid()))
			return
		}
		next(w, r, uid)
	}
}

// decode reads a JSON request strictly; it answers where it cannot.
func decode(w http.ResponseWriter, r *http.Request, into any) bool {
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest))
	dec.DisallowUnknownFields()
	err := dec.Decode(into)
	if err == nil {
		if _, more := dec.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("something follows the JSON")
		}
	}
	if err != nil {
		writeError(w, http.StatusBadRequest, fmt.Errorf("read the request: %w", err))
		return false
	}
	return true
}

func answer(w http.ResponseWriter, v any, err error) {
	if err != nil {
		writeError(w, http.StatusUnprocessableEntity, err)
		return
	}
	writeJSON(w, http.StatusOK, v)
}

type peerKey struct{}

// withPeer notes who is at the other end of a unix socket.
func withPeer(ctx context.Context, c net.Conn) context.Context {
	if one, ok := c.(*slot); ok {
		c = one.Conn
	}
	u, ok := c.(*net.UnixConn)
	if !ok {
		return ctx
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return ctx
	}
	var cred *syscall.Ucred
	if cerr := raw.Control(func(fd uintptr) {
		cred, err = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	}); cerr != nil || err != nil {
		return ctx
	}
	return context.WithValue(ctx, peerKey{}, cred.Uid)
}
