package docker

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync/atomic"
	"time"
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
	if call == "events" && err == nil && resp.StatusCode == http.StatusOK {
		t.streaming.Store(true)
	}
	return resp, err
}
