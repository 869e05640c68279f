//go:build fault

package fault

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// crowdEnv has this program be the crowd of readers of an address, until its standard
// input ends: a process of its own, as readers are, so that the clocks of the test do not
// wait for it.
const crowdEnv = "OOMWATCH_FAULT_CROWD"

// A crowdSum is what a crowd read.
type crowdSum struct{ Answers, Bytes, Refused int64 }

func (s *crowdSum) add(o crowdSum) {
	s.Answers += o.Answers
	s.Bytes += o.Bytes
	s.Refused += o.Refused
}

// comeCrowd starts a crowd; the function that it returns ends it.
func comeCrowd(t *testing.T, addr string) func() crowdSum {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), crowdEnv+"="+addr)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	gone := false
	t.Cleanup(func() {
		if !gone {
			_ = in.Close() // it ends by that
			_ = cmd.Wait() // the test has failed already
		}
	})
	return func() (sum crowdSum) {
		t.Helper()
		_ = in.Close()
		err := json.NewDecoder(out).Decode(&sum)
		if werr := cmd.Wait(); err == nil {
			err = werr
		}
		gone = true
		if err != nil {
			t.Fatal(err)
		}
		return sum
	}
}

// crowd reads from an address until standard input ends, and prints what it read.
func crowd(addr string) error {
	ctx, cancel := context.WithCancel(context.Background())
	var readers sync.WaitGroup
	var read, answers, refused atomic.Int64
	base := "http://" + addr
	for range crowdPages {
		readers.Go(func() { follow(ctx, base+"/containers/live", &answers, &refused) })
	}
	for i := range crowdLoops {
		readers.Go(func() {
			paths := []string{"/v1/incidents", "/v1/explain?what=kept-7", "/", "/container/kept-7"}
			for n := i; ctx.Err() == nil; n++ {
				read.Add(get(ctx, base+paths[n%len(paths)], &answers, &refused))
			}
		})
	}
	for range crowdUnread {
		readers.Go(func() { unread(ctx, addr) })
	}
	_, err := io.Copy(io.Discard, os.Stdin)
	cancel()
	readers.Wait()
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(crowdSum{answers.Load(), read.Load(), refused.Load()})
}

// get reads an answer to its end and returns its length.
func get(ctx context.Context, url string, answers, refused *atomic.Int64) int64 {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		panic(err)
	}
	r, err := http.DefaultClient.Do(req)
	if err != nil {
		refused.Add(1)
		return 0
	}
	defer r.Body.Close()
	n, _ := io.Copy(io.Discard, r.Body) // an answer may be cut where the test ends
	if r.StatusCode == http.StatusServiceUnavailable {
		refused.Add(1)
		return n
	}
	answers.Add(1)
	return n
}

// follow watches a page that sends what changes, and comes again as a browser does.
func follow(ctx context.Context, url string, answers, refused *atomic.Int64) {
	for ctx.Err() == nil {
		get(ctx, url, answers, refused)
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

// unread asks for all that is kept, and reads none of it; as often as it is hung up on, it
// asks again.
func unread(ctx context.Context, addr string) {
	for ctx.Err() == nil {
		c, err := net.DialTimeout("tcp", addr, 5*time.Second)
		if err == nil {
			_ = c.(*net.TCPConn).SetReadBuffer(4096)
			_, _ = fmt.Fprintf(c, "GET /v1/incidents HTTP/1.1\r\nHost: %s\r\n\r\n", addr)
		}
		select {
		case <-ctx.Done():
		case <-time.After(10 * time.Second):
		}
		if err == nil {
			_ = c.Close()
		}
	}
}
