package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/test/lab"
	"github.com/oomwatch/oomwatch/test/real"
)

// TestOverwritten asks about deaths of which nothing is left but what the engine keeps of
// each container: the kernel's ring has been overwritten since, and the engine's events
// have been pushed out. The answer says what does not reach back and denies nothing,
// without the daemon and from one that is installed then; where the journal has the
// kernel's lines, it says what they say.
func TestOverwritten(t *testing.T) {
	e := lab.Start(t, lab.Options{})
	if !e.Private() {
		real.Missing(t, "the events of an engine that is not ours are not to be pushed out")
	}
	on, ctx := platform(t, e), timeout(t, 3*time.Minute)
	ids := map[string]string{}
	for _, name := range []string{"oom", "kill", "exit3"} {
		d, err := lab.FindDeath(name)
		if err != nil {
			t.Fatal(err)
		}
		if ids[name], err = d.Do(ctx, e, name); err != nil {
			t.Fatal(err)
		}
	}
	journal := journalOf(t, kernelLog(t), ids["oom"])
	pushOut(t, e)
	overwrite(t)

	unseen := map[string]lab.Want{
		"oom": {"cause": "oom.container", "confidence": "possible", "summary": lab.All(lab.Has("the kernel log begins"), lab.Has("not provable")),
			"container.oom_killed_flag": true, "victim": lab.Absent},
		"kill":  {"cause": "kill.unknown", "confidence": "possible", "killer": lab.Absent},
		"exit3": {"cause": "exit.error", "container.exit_code": 3},
	}
	ask := func(how string, want map[string]lab.Want, args ...string) {
		for name, id := range ids {
			out, errs, code := oomwatch(t, append([]string{"explain", "-o", "json", name}, args...)...)
			wrong := []string{fmt.Sprintf("exit status %d: %s", code, errs)}
			if got := parseLines(t, out); code == 0 && len(got) == 1 && got[0].Container.ID == id {
				if wrong = want[name].Wrong([]byte(out)); want[name]["confidence"] == "possible" {
					wrong = append(wrong, unsaid(&got[0], "kmsg", "docker")...)
				}
				if comfort := falseComfort(&got[0]); comfort != "" {
					wrong = append(wrong, comfort)
				}
			}
			if len(wrong) > 0 {
				t.Errorf("%s, %s: %s\n%s", name, how, strings.Join(wrong, "; "), out)
			}
			tell(t, on, want[name].Cause(), name+"-overwritten-"+how, len(wrong) == 0, strings.Join(wrong, "; "))
		}
	}
	// What this machine's own journal holds is another test's.
	t.Setenv("PATH", withJournalctl(t, ""))
	ask("asked-afterwards", unseen, "--socket", filepath.Join(t.TempDir(), "none.sock"), "--docker", e.Host)
	late := startDaemon(t, e.Host, newReceiver(t))
	time.Sleep(lab.Slow(5 * time.Second)) // the last words of the ends are asked for, and waited for
	ask("installed-late", unseen, "--socket", late.socket)

	t.Setenv("PATH", withJournalctl(t, journal))
	seen := map[string]lab.Want{
		"oom":  {"cause": "oom.container", "confidence": lab.Any, "victim.comm": "tail", "oom.limit_bytes": 32 << 20, "oom.constraint": "memcg"},
		"kill": unseen["kill"].With(lab.Want{"confidence": lab.Any}), "exit3": unseen["exit3"],
	}
	ask("asked-afterwards-journal", seen, "--socket", filepath.Join(t.TempDir(), "none.sock"), "--docker", e.Host)
	later := startDaemon(t, e.Host, newReceiver(t))
	time.Sleep(lab.Slow(5 * time.Second))
	ask("installed-late-journal", seen, "--socket", later.socket)
}

// unsaid are the sources of which an incident does not say that they do not reach it.
func unsaid(inc *incident.Incident, sources ...string) (out []string) {
	for _, s := range sources {
		if !slices.ContainsFunc(inc.Gaps, func(g incident.Gap) bool { return g.Source == s && g.Reason != "" }) {
			out = append(out, "gaps say nothing of "+s)
		}
	}
	return out
}

// pushOut has the engine forget its events: it keeps the newest 256.
func pushOut(t *testing.T, e *lab.Engine) {
	t.Helper()
	c := http.Client{Timeout: lab.Slow(10 * time.Second), Transport: unixTransport(e.Socket())}
	for i := range 150 { // an event when it is made, and one when it is removed
		name := fmt.Sprintf("push-%d", i)
		for _, r := range []struct{ method, path, body string }{
			{http.MethodPost, "/volumes/create", `{"Name":"` + name + `"}`}, {http.MethodDelete, "/volumes/" + name, ""},
		} {
			req, err := http.NewRequest(r.method, "http://engine"+r.path, strings.NewReader(r.body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/json")
			resp, err := c.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode >= 300 {
				t.Fatalf("%s %s: %s", r.method, r.path, resp.Status)
			}
		}
	}
}

// overwrite writes into the kernel's ring until nothing is left of what it holds now.
func overwrite(t *testing.T) {
	t.Helper()
	last := records(kernelLog(t))
	newest := last[len(last)-1].seq
	line := append([]byte("<15>oomwatch test: the ring is overwritten "), bytes.Repeat([]byte("."), 800)...)
	for range 4096 {
		// The kernel takes ten lines in five seconds from each opening of the device.
		f, err := os.OpenFile("/dev/kmsg", os.O_WRONLY, 0)
		if err != nil {
			real.Missing(t, "write into the kernel's ring: %v", err)
		}
		for range 8 {
			if _, err := f.Write(line); err != nil {
				t.Fatal(err)
			}
		}
		f.Close()
		if left := records(kernelLog(t)); left[0].seq > newest {
			return
		}
	}
	t.Fatal("the ring still holds what it did")
}

// record is one of the kernel's ring.
type record struct {
	seq    uint64
	uptime time.Duration
	text   string
}

// records reads "PRIORITY,SEQUENCE,MICROSECONDS,FLAGS;TEXT".
func records(log string) (out []record) {
	for line := range strings.Lines(log) {
		head, text, ok := strings.Cut(strings.TrimSuffix(line, "\n"), ";")
		f := strings.Split(head, ",")
		if !ok || len(f) < 4 || strings.HasPrefix(line, " ") {
			continue
		}
		seq, err := strconv.ParseUint(f[1], 10, 64)
		us, err2 := strconv.ParseInt(f[2], 10, 64)
		if err == nil && err2 == nil {
			out = append(out, record{seq, time.Duration(us) * time.Microsecond, text})
		}
	}
	return out
}

// journalOf is the kernel's log as journalctl prints it: all that it said until the kill
// in a container, and of that.
func journalOf(t *testing.T, log, id string) string {
	t.Helper()
	text, err := os.ReadFile("/proc/uptime")
	if err != nil {
		t.Fatal(err)
	}
	var up float64
	if _, err := fmt.Sscan(string(text), &up); err != nil {
		t.Fatal(err)
	}
	boot := time.Now().Add(-time.Duration(up * float64(time.Second)))
	var b strings.Builder
	for _, r := range records(log) {
		line, err := json.Marshal(map[string]string{"__REALTIME_TIMESTAMP": fmt.Sprint(boot.Add(r.uptime).UnixMicro()),
			"_TRANSPORT": "kernel", "SYSLOG_IDENTIFIER": "kernel", "MESSAGE": r.text})
		if err != nil {
			t.Fatal(err)
		}
		b.Write(append(line, '\n'))
	}
	if !strings.Contains(b.String(), id) {
		t.Fatalf("the kernel's log says nothing of container %s", id)
	}
	return b.String()
}

// withJournalctl is a PATH in which journalctl prints the kernel's lines, and no others.
func withJournalctl(t *testing.T, kernel string) string {
	t.Helper()
	dir := t.TempDir()
	script := "#!/bin/sh\ncase \"$*\" in *_TRANSPORT=kernel) cat " + dir + "/kernel;; esac\n"
	for name, text := range map[string]string{"kernel": kernel, "journalctl": script} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir + ":" + os.Getenv("PATH")
}
