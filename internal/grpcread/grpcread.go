// Package grpcread asks gRPC servers on unix sockets, and only what an allow-list names.
//
// It is gRPC over net/http's own HTTP/2: a message is five bytes of head and its
// protobuf, the outcome stands in the trailers. grpc-go does the same and more (name
// resolution, balancing, retries, service configuration), of which nothing is of use on
// a local socket. Measured with Go 1.26, stripped: grpc-go with k8s.io/cri-api and
// containerd's API adds 2.8 MiB to a program that is to stay under 30 MiB and has 28.
// google.golang.org/protobuf's protowire, which this package needs, is linked anyway.
package grpcread

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// MaxMessage bounds one message of an answer, in bytes.
const MaxMessage = 32 << 20

// Codes of gRPC that a caller tells apart (google.golang.org/grpc/codes).
const (
	DeadlineExceeded = 4
	NotFound         = 5
	PermissionDenied = 7
	Unimplemented    = 12
	Unavailable      = 14
)

// Status is the outcome of a call that the server did not answer with OK.
type Status struct {
	Code    int
	Message string
}

// Error implements error.
func (s *Status) Error() string {
	if s.Message == "" {
		return "gRPC code " + strconv.Itoa(s.Code)
	}
	return s.Message
}

// IsCode is true for an error that is a Status with the code.
func IsCode(err error, code int) bool {
	var s *Status
	return errors.As(err, &s) && s.Code == code
}

// Conn asks one server. It may be used by several goroutines at once.
type Conn struct {
	socket  string
	allowed []string
	http    *http.Transport
}

// Dial returns a Conn to the server on a unix socket, by its path. Methods are the full
// names ("/runtime.v1.RuntimeService/Version") of all that it may be asked; any other is
// refused here, whatever the code above does. Nothing is connected yet.
func Dial(socket string, methods ...string) *Conn {
	var p http.Protocols
	p.SetUnencryptedHTTP2(true)
	c := &Conn{socket: socket, allowed: methods}
	c.http = &http.Transport{
		Protocols: &p, DisableCompression: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{Timeout: 3 * time.Second}).DialContext(ctx, "unix", socket)
		},
	}
	return c
}

// Close ends the connections that nobody uses.
func (c *Conn) Close() { c.http.CloseIdleConnections() }

// Call asks once and returns the answer's protobuf. The context must have a deadline: a
// server that hangs answers never.
func (c *Conn) Call(ctx context.Context, method string, request []byte) ([]byte, error) {
	var out []byte
	n := 0
	err := c.Stream(ctx, method, request, func(msg []byte) error {
		out = msg
		n++
		return nil
	})
	switch {
	case err != nil:
		return nil, err
	case n != 1:
		return nil, fmt.Errorf("%s: %d messages in the answer, want one", method, n)
	}
	return out, nil
}

// Stream asks and hands every message of the answer to take, until the server ends it
// (nil), the context ends or take fails. What it hands over is take's to keep.
func (c *Conn) Stream(ctx context.Context, method string, request []byte, take func([]byte) error) error {
	if !slices.Contains(c.allowed, method) {
		return fmt.Errorf("refused %s: oomwatch only reads, and this call is not on its list", method)
	}
	frame := make([]byte, 5, 5+len(request))
	binary.BigEndian.PutUint32(frame[1:], uint32(len(request)))
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://localhost"+method, bytes.NewReader(append(frame, request...)))
	if err != nil {
		return err
	}
	req.Header = http.Header{"Content-Type": {"application/grpc"}, "Te": {"trailers"}, "User-Agent": {"oomwatch"}}
	if until, ok := ctx.Deadline(); ok {
		req.Header.Set("Grpc-Timeout", strconv.FormatInt(max(1, time.Until(until).Milliseconds()), 10)+"m")
	}
	resp, err := c.http.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: the server answers HTTP %s: it speaks no gRPC", method, resp.Status)
	}
	// Where there is no message the outcome may stand in the head.
	if resp.Header.Get("Grpc-Status") != "" {
		return statusOf(resp.Header)
	}
	for {
		msg, err := next(resp.Body)
		if err == io.EOF {
			return statusOf(resp.Trailer)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", method, err)
		}
		if err := take(msg); err != nil {
			return err
		}
	}
}

// next reads one message; io.EOF is the end of the answer.
func next(r io.Reader) ([]byte, error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[1:])
	switch {
	case head[0] != 0:
		return nil, errors.New("a message is compressed, which was not asked for")
	case n > MaxMessage:
		return nil, fmt.Errorf("a message of %d bytes is too long", n)
	}
	// Grown as it comes: the head alone is no reason to take so much memory.
	var msg bytes.Buffer
	if _, err := io.CopyN(&msg, r, int64(n)); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	return msg.Bytes(), nil
}

// statusOf reads the outcome of a call; nil for OK.
func statusOf(h http.Header) error {
	text := h.Get("Grpc-Status")
	code, err := strconv.Atoi(text)
	switch {
	case text == "":
		return errors.New("the server's answer has no outcome: it ended in the middle")
	case err != nil:
		return fmt.Errorf("the server's outcome %.20q is no number", text)
	case code == 0:
		return nil
	}
	msg := h.Get("Grpc-Message")
	// It is percent-encoded; what cannot be decoded is said as it is.
	if plain, err := url.PathUnescape(msg); err == nil {
		msg = plain
	}
	return &Status{Code: code, Message: strings.ToValidUTF8(msg[:min(len(msg), 2048)], "")}
}
