package docs

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// receiverEnv makes the test binary a receiver on that address, which keeps each
// body in a file of the folder that receiverDirEnv names.
const (
	receiverEnv    = "OOMWATCH_DOCS_RECEIVER"
	receiverDirEnv = "OOMWATCH_DOCS_RECEIVER_DIR"
)

// receive runs until it is killed.
func receive(addr, dir string) {
	server := http.Server{Addr: addr, ReadHeaderTimeout: 5 * time.Second}
	server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f, err := os.CreateTemp(dir, strings.Trim(r.URL.Path, "/")+"-*.part")
		if err == nil {
			_, err = io.Copy(f, r.Body)
		}
		if err == nil {
			err = f.Close()
		}
		if err == nil {
			// Whole under its last name.
			err = os.Rename(f.Name(), strings.TrimSuffix(f.Name(), ".part")+".json")
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		_, _ = io.WriteString(w, "ok") // Slack's answer; the client may be gone
	})
	os.Stderr.WriteString(server.ListenAndServe().Error())
	os.Exit(1)
}

// received are the bodies that came for a path.
func received(t *testing.T, dir, path string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, path+"-*.json"))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, n := range names {
		b, err := os.ReadFile(n)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, string(b))
	}
	return out
}

// hook is a receiver that keeps whole requests.
type hook struct {
	*httptest.Server
	raw chan []byte
}

func newHook(t *testing.T) *hook {
	h := &hook{raw: make(chan []byte, 8)}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := httputil.DumpRequest(r, true)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		h.raw <- b
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(h.Close)
	return h
}
