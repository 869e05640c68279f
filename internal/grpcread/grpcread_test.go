package grpcread

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// serve answers on a socket as a gRPC server does, by handle.
func serve(t *testing.T, handle http.HandlerFunc) string {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	var p http.Protocols
	p.SetUnencryptedHTTP2(true)
	srv := &http.Server{Handler: handle, Protocols: &p}
	go func() { _ = srv.Serve(l) }() // it ends with the test
	t.Cleanup(func() { srv.Close() })
	return socket
}

func message(w http.ResponseWriter, b string) {
	var head [5]byte
	binary.BigEndian.PutUint32(head[1:], uint32(len(b)))
	_, _ = w.Write(append(head[:], b...)) // the reader may have gone
}

func TestCalls(t *testing.T) {
	socket := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Content-Type") != "application/grpc" || r.ProtoMajor != 2 || r.Method != http.MethodPost {
			t.Errorf("%s %s with %v", r.Proto, r.Method, r.Header)
		}
		w.Header().Set("Trailer", "Grpc-Status, Grpc-Message")
		status := "0"
		switch r.URL.Path {
		case "/s/Two":
			message(w, "a")
			message(w, "b")
		case "/s/One":
			message(w, "answer")
		case "/s/Gone":
			w.Header().Set("Grpc-Status", "5")
			w.Header().Set("Grpc-Message", "no%20such%20thing")
			return
		case "/s/Late":
			message(w, "part")
			status = "14"
			w.Header().Set("Grpc-Message", "going")
		case "/s/Long":
			_, _ = w.Write([]byte{0, 0xff, 0xff, 0xff, 0xff, 1})
		case "/s/Cut":
			_, _ = w.Write([]byte{0, 0, 0, 0, 9, 1})
		case "/s/Hang":
			<-r.Context().Done()
		}
		w.Header().Set("Grpc-Status", status)
	})
	c := Dial(socket, "/s/One", "/s/Two", "/s/Gone", "/s/Late", "/s/Long", "/s/Cut", "/s/Hang")
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if b, err := c.Call(ctx, "/s/One", nil); err != nil || string(b) != "answer" {
		t.Errorf("One: %q, %v", b, err)
	}
	var got []string
	if err := c.Stream(ctx, "/s/Two", []byte("x"), func(b []byte) error { got = append(got, string(b)); return nil }); err != nil || strings.Join(got, " ") != "a b" {
		t.Errorf("Two: %q, %v", got, err)
	}
	if _, err := c.Call(ctx, "/s/Gone", nil); !IsCode(err, NotFound) || err.Error() != "no such thing" {
		t.Errorf("Gone: %v", err)
	}
	if _, err := c.Call(ctx, "/s/Late", nil); !IsCode(err, Unavailable) {
		t.Errorf("Late: %v", err)
	}
	for _, bad := range []string{"/s/Long", "/s/Cut", "/s/Two"} {
		if b, err := c.Call(ctx, bad, nil); err == nil {
			t.Errorf("%s: %q", bad, b)
		}
	}
	short, stop := context.WithTimeout(ctx, 50*time.Millisecond)
	defer stop()
	if _, err := c.Call(short, "/s/Hang", nil); !errors.Is(err, context.DeadlineExceeded) && !IsCode(err, DeadlineExceeded) {
		t.Errorf("Hang: %v", err)
	}
}

// TestRefused asks for what is not on the list: nothing may reach the server.
func TestRefused(t *testing.T) {
	socket := serve(t, func(_ http.ResponseWriter, r *http.Request) { t.Errorf("the server was asked for %s", r.URL.Path) })
	c := Dial(socket, "/runtime.v1.RuntimeService/Version")
	defer c.Close()
	for _, m := range []string{"/runtime.v1.RuntimeService/StopContainer", "/runtime.v1.RuntimeService/Version/../StopContainer", "", "/runtime.v1.RuntimeService/version"} {
		if _, err := c.Call(t.Context(), m, nil); err == nil || !strings.Contains(err.Error(), "only reads") {
			t.Errorf("%s: %v", m, err)
		}
	}
}

func TestFields(t *testing.T) {
	b := AppendMessage(AppendInt(AppendText(nil, 1, "one"), 2, -7), 3, AppendText(AppendText(nil, 1, "k"), 2, "v"))
	var m map[string]string
	err := Fields(b, func(f Field) error {
		switch f.Number {
		case 1:
			if f.Text() != "one" {
				t.Errorf("1: %q", f.Text())
			}
		case 2:
			if int64(f.Int) != -7 {
				t.Errorf("2: %d", int64(f.Int))
			}
		case 3:
			return Entry(&m, f.Bytes)
		}
		return nil
	})
	if err != nil || m["k"] != "v" {
		t.Errorf("%v, %v", m, err)
	}
	for i := 1; i < len(b); i++ {
		_ = Fields(b[:i], func(f Field) error { return nil }) // it must not panic
	}
	if Fields([]byte{0x0b}, func(Field) error { return nil }) == nil {
		t.Error("a group is taken")
	}
}
