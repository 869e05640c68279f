//go:build leaks

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/test/lab"
	"github.com/oomwatch/oomwatch/test/real"
	"github.com/oomwatch/oomwatch/triage"
	"github.com/oomwatch/oomwatch/warn"
)

// realLeak is one program, and whether it leaks.
type realLeak struct {
	name  string
	limit int // in MiB
	leaks bool
	// needs is a program of this machine; "" for those of the test image.
	needs string
	// run is the command; rate is in bytes a second, so that the limit lasts for an
	// eighth of the test.
	run   func(rate int) []string
	flags []string
	// never are signs that nobody is to be warned of.
	never []string
}

func realLeaks() []realLeak {
	return []realLeak{
		{name: "goroutines", limit: 64, leaks: true, run: func(r int) []string { return []string{"prog", "goroutines", "-rate", strconv.Itoa(r)} }},
		{name: "tmpfs", limit: 64, leaks: true, flags: []string{"--shm-size", "1g"}, run: func(r int) []string {
			return []string{"prog", "eat", "-file", "/dev/shm/x", "-rate", strconv.Itoa(r)}
		}},
		{name: "sockets", limit: 64, leaks: true, run: func(r int) []string { return []string{"prog", "sockets", "-rate", strconv.Itoa(r)} }},
		{name: "child", limit: 64, leaks: true, run: func(r int) []string {
			return []string{"prog", "child", "-n", "1000", "-comm", "parent", "eat", "-comm", "worker", "-rate", strconv.Itoa(r)}
		}},
		{name: "python", limit: 96, leaks: true, needs: "/usr/bin/python3", run: func(r int) []string {
			return []string{"/usr/bin/python3", "-c", fmt.Sprintf("import time\nkept=[]\nwhile True:\n  kept.append(bytearray(%d)); time.sleep(0.1)", r/10)}
		}},
		{name: "node", limit: 160, leaks: true, needs: "/usr/bin/node", run: func(r int) []string {
			return []string{"/usr/bin/node", "-e", fmt.Sprintf("const kept=[]; setInterval(()=>kept.push(Buffer.alloc(%d,1)),100)", r/10)}
		}},
		{name: "java", limit: 256, needs: "/usr/bin/java", run: func(r int) []string {
			return []string{"/usr/bin/java", "-Xmx96m", "-XX:+UseSerialGC", "/srv/Fills.java", strconv.Itoa(r)}
		}},
		{name: "lazy", limit: 64, never: []string{warn.Headroom, warn.Forecast, warn.LimitHits}, run: func(int) []string { return []string{"prog", "lazy", "-size", strconv.Itoa(60 << 20)} }},
		{name: "dentries", limit: 64, never: []string{warn.LimitHits}, run: func(r int) []string { return []string{"prog", "dentries", "-rate", strconv.Itoa(2 * r)} }},
		{name: "plateau", limit: 96, run: func(r int) []string {
			return []string{"prog", "eat", "-size", strconv.Itoa(40 << 20), "-rate", strconv.Itoa(r), "-then", "2h"}
		}},
	}
}

// fills is a cache that fills up to a bound, in a heap that is collected.
const fills = `import java.util.*;
public class Fills {
	public static void main(String[] a) throws Exception {
		int rate = Integer.parseInt(a[0]);
		ArrayDeque<byte[]> kept = new ArrayDeque<>();
		for (long n = 0; ; n++) {
			kept.add(new byte[rate / 10]);
			if ((long) kept.size() * (rate / 10) > 60 << 20) kept.remove();
			Thread.sleep(100);
		}
	}
}
`

// TestRealLeaks runs real programs for an hour, and judges them: those that leak are
// called a leak, the others are not, and nobody is warned of what is reclaimable.
func TestRealLeaks(t *testing.T) {
	span := time.Hour
	if s := os.Getenv("OOMWATCH_LEAKS"); s != "" {
		var err error
		if span, err = time.ParseDuration(s); err != nil {
			t.Fatal(err)
		}
	}
	work := t.TempDir()
	if err := os.WriteFile(work+"/Fills.java", []byte(fills), 0o644); err != nil {
		t.Fatal(err)
	}
	e := lab.Start(t, lab.Options{})
	hook := newReceiver(t)
	d := startDaemonWith(t, e.Host, hook, "")
	ids := map[string]string{}
	for _, x := range realLeaks() {
		args := []string{"--name", x.name, "--restart", "always", "-m", fmt.Sprintf("%dm", x.limit), "--memory-swap", fmt.Sprintf("%dm", x.limit)}
		if x.needs != "" {
			if _, err := exec.LookPath(x.needs); err != nil {
				real.Missing(t, "%s is not here: install it", x.needs)
			}
			args = append(args, "-v", work+":/srv:ro", "--tmpfs", "/tmp")
			for _, dir := range []string{"/usr", "/lib", "/lib64", "/etc", "/root/.pyenv"} {
				if st, err := os.Stat(dir); err == nil && st.IsDir() {
					args = append(args, "-v", dir+":"+dir+":ro")
				}
			}
		}
		args = append(append(args, x.flags...), lab.Image)
		rate := int(float64(x.limit<<20) / (span.Seconds() / 8))
		ids[x.name] = e.MustRun(t, append(args, x.run(rate)...)...)
	}
	time.Sleep(span / 2)
	e.MustDocker(t, "restart", "-t", "0", "plateau")
	time.Sleep(span / 2)

	out, errb, code := oomwatch(t, "triage", "-o", "json", "--socket", d.socket)
	if code != 0 {
		t.Fatalf("triage: exit status %d: %s", code, errb)
	}
	found := map[string]triage.Service{}
	for line := range strings.Lines(out) {
		var s triage.Service
		if err := json.Unmarshal([]byte(line), &s); err != nil {
			t.Fatal(err)
		}
		found[s.Service] = s
	}
	d.stop(syscall.SIGTERM)
	for _, x := range realLeaks() {
		s, ok := found[x.name]
		t.Logf("%-10s %-16s %-8s %q", x.name, s.Class, s.Confidence, s.Reasons)
		if !ok || (s.Class == triage.Leak) != x.leaks {
			t.Errorf("%s is told as %q; a leak: %v", x.name, s.Class, x.leaks)
		}
		if s.Class == triage.Leak && s.Suggested != nil {
			t.Errorf("%s: a limit is suggested for a leak", x.name)
		}
		for _, sign := range x.never {
			if inc := warnedOf(hook, ids[x.name], sign); inc != nil {
				t.Errorf("%s: warned of %s: %s", x.name, sign, inc.Summary)
			}
		}
	}
}

// warnedOf is the warning with a sign that was told of a container; nil for none.
func warnedOf(hook *receiver, id, sign string) *incident.Incident {
	hook.mu.Lock()
	defer hook.mu.Unlock()
	for i := range hook.got {
		if inc := &hook.got[i]; inc.Warning != nil && inc.Warning.What == sign && inc.Container != nil && inc.Container.ID == id {
			return inc
		}
	}
	return nil
}
