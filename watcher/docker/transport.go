package docker

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync/atomic"
	"time"

	"github.com/oomwatch/oomwatch/internal/boundedjson"
)

// readOnly is the only way to the engine: it lets GET and HEAD on the paths
// below pass and refuses all else, so that no mistake above it can change anything on
// the engine.
type readOnly struct {
	next    *http.Transport
	base    string
	metrics *metrics
	// streaming becomes true when the engine grants an event stream; the
	// client's own word of it comes too late to be asked for.
	streaming atomic.Bool
}

// readable are the paths, with or without a version before them.
var readable = regexp.MustCompile(`^(?:/v[0-9]+\.[0-9]+)?/(?:(_ping|version|info|events)|(containers/json|images/json|system/df)|containers/[a-zA-Z0-9][a-zA-Z0-9_.-]*/(json|logs))$`)

// callName returns the name of an allowed call, or "".
func callName(method, path string) string {
	m := readable.FindStringSubmatch(path)
	switch {
	case m == nil:
		return ""
	case m[1] == "_ping":
		if method == http.MethodGet || method == http.MethodHead {
			return "ping"
		}
		return ""
	case method != http.MethodGet:
		return ""
	case m[1] != "":
		return m[1]
	case m[2] == "images/json":
		return "images"
	case m[2] == "system/df":
		return "usage"
	case m[2] != "":
		return "list"
	case m[3] == "json":
		return "inspect"
	}
	return "logs"
}

// RoundTrip implements http.RoundTripper.
func (t *readOnly) RoundTrip(req *http.Request) (*http.Response, error) {
	call := ""
	// A path that needs escaping names nothing that is read here.
	if req.URL.RawPath == "" && strings.HasPrefix(req.URL.Path, t.base) {
		call = callName(req.Method, req.URL.Path[len(t.base):])
	}
	if call == "" {
		if req.Body != nil {
			_ = req.Body.Close() // RoundTrip must, also on errors
		}
		return nil, fmt.Errorf("refused %s %q: oomwatch only reads from the engine", req.Method, req.URL.Path)
	}
	begin := time.Now()
	resp, err := t.next.RoundTrip(req)
	t.metrics.latency.WithLabelValues(call).Observe(time.Since(begin).Seconds())
	if err != nil || resp.StatusCode >= 400 && resp.StatusCode != http.StatusNotFound {
		t.metrics.errors.WithLabelValues(call).Inc()
	}
	if err != nil {
		return nil, err
	}
	if call == "events" && resp.StatusCode == http.StatusOK {
		t.streaming.Store(true)
	}
	switch {
	case call == "ping" || resp.StatusCode != http.StatusOK:
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, maxWords), resp.Body}
	case call != "logs": // whose reader has bounds of its own
		resp.Body = boundedjson.New(resp.Body, answerBounds(call), t.metrics.answersCut.WithLabelValues(call).Inc)
		resp.ContentLength = -1
	}
	return resp, nil
}

// maxWords is how much is read of an answer that is only words: to a ping, or an error.
const maxWords = 64 << 10

// answerBounds are how much is decoded of each call's answer: whoever makes a container
// writes into it, with labels and the output of health checks, which are at the third
// depth at least. A host has thousands of containers, so that each has less room in the
// list, where only its identity is looked for.
func answerBounds(call string) boundedjson.Bounds {
	const ownDepth = 3
	switch call {
	case "list":
		return boundedjson.Bounds{Total: 32 << 20, Text: 1 << 10, Depth: ownDepth, Members: 256, Texts: 16 << 10}
	case "events":
		return boundedjson.Bounds{Total: 1 << 20, Text: 4 << 10, Depth: ownDepth, Members: 2048, Texts: 64 << 10}
	}
	return boundedjson.Bounds{Total: 4 << 20, Text: 8 << 10, Depth: ownDepth, Members: 1024, Texts: 256 << 10}
}
