//go:build fault

package fault

import (
	"bytes"
	"compress/gzip"
	"context"
	"database/sql"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/oomwatch/oomwatch/test/lab"
)

// command runs the binary to its end, and returns what it printed, its exit status and the
// most memory that it held, in MiB.
func command(t testing.TB, args ...string) (out, errs string, code int, held int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), lab.Slow(2*time.Minute))
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	var o, e bytes.Buffer
	cmd.Stdout, cmd.Stderr = &o, &e
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { _ = cmd.Wait(); close(done) }() // how it ended is in ProcessState
	// What rusage says holds this process, too, of which it was a copy until it became another.
	for ended := false; !ended; held = max(held, peakOfProcess(cmd.Process.Pid)) {
		select {
		case <-done:
			ended = true
		case <-time.After(2 * time.Millisecond):
		}
	}
	if ctx.Err() != nil {
		t.Errorf("%q does not end", args)
	}
	return o.String(), e.String(), cmd.ProcessState.ExitCode(), held
}

// peakOfProcess is the most memory that a process of the program has held, in MiB.
func peakOfProcess(pid int) (n int64) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil || !strings.HasPrefix(string(b), "Name:\toomwatch\n") {
		return 0 // it has ended, or not begun
	}
	_, line, _ := strings.Cut(string(b), "VmHWM:")
	_, _ = fmt.Sscan(line, &n)
	return n >> 10
}

// TestConfigBombs: no text as a configuration takes long or much memory to refuse, and no
// pipe or device hangs.
func TestConfigBombs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	most := int64(0)
	for name, text := range map[string]string{
		"brackets": strings.Repeat("[", 100_000), "braces": strings.Repeat("{a: ", 50_000), "long": strings.Repeat("# x\n", 1<<20),
		"aliases": "a: &a [x,x,x,x,x,x,x,x,x]\n" + strings.Repeat("b: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\n", 1000), "nul": strings.Repeat("\x00", 1<<16),
	} {
		file := filepath.Join(dir, name)
		write(t, file, text)
		begun := time.Now()
		_, said, code, held := command(t, "run", "--config", file, "--store", filepath.Join(dir, "o.db"))
		if took := time.Since(begun); code != 2 && code != 1 || said == "" || held > 64 || took > lab.Slow(20*time.Second) {
			t.Errorf("%s: exit status %d after %v with %d MiB: %.200s", name, code, took, held, said)
		}
		most = max(most, held)
	}
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"run", "--config", fifo}, {"explain", "--log", fifo}} {
		cmd := exec.Command(program, args...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(lab.Slow(time.Second))
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have refused the pipe by now
		done := make(chan struct{})
		go func() { _ = cmd.Wait(); close(done) }()
		select {
		case <-done:
		case <-time.After(lab.Slow(5 * time.Second)):
			_ = cmd.Process.Kill()
			<-done
			t.Errorf("%q does not end at SIGTERM", args)
		}
	}
	if _, said, code, _ := command(t, "explain", "--log", "/dev/zero"); code == 0 || said == "" {
		t.Errorf("/dev/zero as a log: exit status %d", code)
	}
	held(t, "Configurations of 100,000 brackets, 50,000 braces, 4 MB, aliases of aliases; pipes and devices as files", "each refused, with %d MiB at most; SIGTERM ends a wait for a pipe", most)
}

const oneKill = "[%5d.000000] Memory cgroup out of memory: Killed process %d (tail) total-vm:34528kB, anon-rss:32384kB, file-rss:1296kB, shmem-rss:0kB, UID:0 pgtables:108kB oom_score_adj:0\n"

// TestMillionKills reads a log with a million kills in bounded memory.
func TestMillionKills(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "kern.log")
	var b strings.Builder
	n := rounds(t, 1_000_000)
	for i := range n {
		fmt.Fprintf(&b, oneKill, i, 1000+i%30000)
	}
	write(t, file, b.String())
	_, said, code, explain := command(t, "explain", "--log", file, "-o", "json")
	if code != 0 {
		t.Errorf("explain: exit status %d: %.300s", code, said)
	}
	_, said, code, triage := command(t, "triage", "--log", file)
	if code != 0 && code != 3 {
		t.Errorf("triage: exit status %d: %.300s", code, said)
	}
	if explain > 512 || triage > 512 {
		t.Errorf("explain held %d MiB, triage %d", explain, triage)
	}
	held(t, fmt.Sprintf("A kernel log with %d kills, %d MB", n, b.Len()>>20), "read to its end; explain held %d MiB, triage %d", explain, triage)
}

// TestStrangeLogs: logs in UTF-16, with other line ends and packed twice are read or named.
func TestStrangeLogs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	kill := fmt.Sprintf(oneKill, 12, 4711)
	packed := pack(t, pack(t, []byte(kill)))
	words := utf16.Encode([]rune("\ufeff" + kill))
	wide := make([]byte, 2*len(words))
	for i, u := range words {
		binary.LittleEndian.PutUint16(wide[2*i:], u)
	}
	for name, text := range map[string]string{"utf16.log": string(wide), "cr.log": strings.ReplaceAll(kill+kill, "\n", "\r"), "twice.log.gz": string(packed), "crlf.log": strings.ReplaceAll(kill, "\n", "\r\n")} {
		file := filepath.Join(dir, name)
		write(t, file, text)
		out, said, code, _ := command(t, "explain", "--log", file, "-o", "json")
		if !strings.Contains(out, `"pid":4711`) && (code == 0 || !strings.Contains(said, name)) {
			t.Errorf("%s: exit status %d, %.200s, %.300s", name, code, out, said)
		}
	}
	held(t, "Kernel logs in UTF-16, with CR or CRLF alone, packed twice", "each is read, or refused by its name")
}

// TestBidi: names cannot turn text around, in JSON neither.
func TestBidi(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "kern.log")
	write(t, file, strings.ReplaceAll(fmt.Sprintf(oneKill, 12, 4711), "(tail)", "(a\u202eb\u2066c\u200f)"))
	for _, format := range []string{"json", "text"} {
		out, said, code, _ := command(t, "explain", "--log", file, "-o", format)
		if code != 0 || out == "" || strings.ContainsAny(out, "\u202e\u2066\u200f") {
			t.Errorf("-o %s: exit status %d, %q, %s", format, code, out, said)
		}
	}
	held(t, "A process whose name holds controls of the direction of text", "escaped in text and in JSON")
}

// TestHostileEngine: what an engine answers with is read with a bound.
func TestHostileEngine(t *testing.T) {
	w := newWorld(t)
	group, remove, err := lab.Parent(fmt.Sprintf("oomwatch-engine-%d", os.Getpid()), crowdLimit)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(remove)
	huge := strings.Repeat("x", 20<<20)
	w.labels = map[string]string{"a": huge, "b": huge, "c": huge, "d": huge, "e": huge, "f": huge}
	w.group, w.env = group, []string{"GOMEMLIMIT=64MiB"}
	w.endless(true)
	d := w.start(t, "")
	time.Sleep(lab.Slow(5 * time.Second))
	w.endless(false)
	w.ready(t, d)
	id := w.die()
	w.until(t, 2*time.Minute, "the death of a container with huge labels is not told of", func() bool { return w.hooks[0].heard([]string{id}) == 1 })
	if n := killedIn(t, group); n > 0 {
		t.Errorf("%d processes were killed in its cgroup", n)
	}
	held(t, "A container with six labels of 20 MB, an engine whose /version never ends; 128 MiB", "alive with %s at most, deaths alerted", peakOf(t, group))
	d.end(t)
}

// TestFlakyReceiver: a receiver that fails every other time, by chance, is told of everything.
func TestFlakyReceiver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rnd := rand.New(rand.NewPCG(5, 7))
	w.hooks[0].failing(func() bool { return rnd.IntN(2) == 0 })
	d := w.start(t, "")
	w.ready(t, d)
	n := max(20, rounds(t, 300))
	begun := time.Now()
	for range n {
		w.die()
		time.Sleep(20 * time.Millisecond)
	}
	fed := time.Since(begun)
	all := w.ends()
	w.until(t, 4*time.Minute, "not everything arrives", func() bool { return w.hooks[0].heard(all) == len(all) })
	took := time.Since(begun)
	held(t, fmt.Sprintf("A receiver that fails every other time, by chance; %d alerts in %v", n, fed.Round(time.Second)), "each arrived, the last after %v", took.Round(time.Second))
	// One in 300 fails eight times in a row, and waits for a minute in all.
	if most := 2*fed + lab.Slow(2*time.Minute); took > most {
		t.Errorf("the last of %d arrived after %v, more than %v", n, took, most)
	}
	w.hooks[0].failing(nil)
	d.end(t)
}

// TestNoisyTenant: the first deaths of quiet services go out at once, however often others
// die; with the settings that are shipped.
func TestNoisyTenant(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	write(t, filepath.Join(w.dir, "c.yaml"), fmt.Sprintf("warnings: {enabled: false}\nreceivers:\n  - {name: hook0, type: webhook, url: '%s'}\n", w.hooks[0].URL))
	d := w.start(t, "")
	w.ready(t, d)
	var worst time.Duration
	noise := max(20, rounds(t, 60))
	for i := range noise {
		w.dieAs(fmt.Sprint("noisy-", i%3))
		time.Sleep(time.Second)
		if i%10 != 9 {
			continue
		}
		id := w.dieAs(fmt.Sprint("quiet-", i))
		at := time.Now()
		w.until(t, time.Minute, "a quiet service's death is not told of", func() bool { return w.hooks[0].heard([]string{id}) == 1 })
		worst = max(worst, time.Since(at))
	}
	if worst > lab.Slow(2*time.Second) {
		t.Errorf("a quiet service's first death was told of after %v", worst)
	}
	held(t, fmt.Sprintf("%d deaths of three services, one a second, beside %d first deaths of others", noise, noise/10), "the first deaths were alerted after %v at most", worst.Round(time.Millisecond))
	d.end(t)
}

// TestStoreFiles: a file that was never a store is left alone, a store with a flipped bit in
// its header is moved aside, and what cannot be read of a damaged one is said.
func TestStoreFiles(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.keep(t, 2000)
	good, err := os.ReadFile(w.store)
	if err != nil {
		t.Fatal(err)
	}
	letter := filepath.Join(w.dir, "letter.txt")
	write(t, letter, strings.Repeat("Dear Eve,\n", 1000))
	if _, said, code, _ := command(t, "run", "--store", letter, "--docker", "off", "--listen", "off", "--socket", w.socket()); code == 0 || !strings.Contains(said, "letter.txt") {
		t.Errorf("a letter as the store: exit status %d, %s", code, said)
	}
	if b, err := os.ReadFile(letter); err != nil || len(b) != 10_000 {
		t.Errorf("the letter has changed: %d bytes, %v", len(b), err)
	}

	for i := range 16 {
		b := bytes.Clone(good)
		b[i] ^= 4
		write(t, w.store, string(b))
		d := w.start(t, "")
		w.ready(t, d)
		d.end(t)
	}
	if aside, err := filepath.Glob(w.store + ".corrupt-*"); err != nil || len(aside) == 0 {
		t.Errorf("none was moved aside: %v", err)
	}

	b := bytes.Clone(good)
	for at := len(b) / 3; at < len(b)*2/3; at += 4096 {
		clear(b[at : at+512])
	}
	write(t, w.store, string(b))
	out, said, code, _ := command(t, "history", "--store", w.store, "--socket", filepath.Join(w.dir, "none.sock"), "-o", "json")
	if lines := strings.Count(out, "\n"); code != 1 || said == "" || lines == 0 || lines >= 2000 {
		t.Errorf("history of a damaged store: %d lines, exit status %d, %s", lines, code, said)
	}
	held(t, "A letter as the store; each byte of the header's first 16 flipped; a third of the pages damaged", "refused untouched; 16 starts of 16; history says what it leaves out, and exits with 1")
}

// TestReaderHoldsTheLog: whoever may read the file and keeps a transaction open makes the
// write-ahead log grow no further than its bound.
func TestReaderHoldsTheLog(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.start(t, "")
	w.ready(t, d)
	w.die()
	db, err := sql.Open("sqlite", "file:"+w.store+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if err := tx.QueryRow("SELECT count(*) FROM incidents").Scan(&n); err != nil {
		t.Fatal(err)
	}
	most := int64(0)
	deaths := max(100, rounds(t, 1500))
	for range deaths {
		w.die()
		time.Sleep(10 * time.Millisecond)
		if fi, err := os.Stat(w.store + "-wal"); err == nil {
			most = max(most, fi.Size())
		}
	}
	all := w.ends()
	w.until(t, time.Minute, "an alert is missing", func() bool { return w.hooks[0].heard(all) == len(all) })
	_ = tx.Rollback() // the file may have been replaced under it
	if most > 80<<20 {
		t.Errorf("the log grew to %d MB", most>>20)
	}
	held(t, fmt.Sprintf("A reader of the store's file that keeps a transaction open during %d deaths", deaths), "the write-ahead log grew to %d MB at most, each death alerted", most>>20)
	d.end(t)
}

// TestSecretsInTheOpen: a configuration with a secret that others may read is warned of.
func TestSecretsInTheOpen(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	write(t, filepath.Join(w.dir, "c.yaml"), fmt.Sprintf("receivers:\n  - {name: hook0, type: webhook, url: '%s', secret: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw}\n", w.hooks[0].URL))
	if err := os.Chmod(filepath.Join(w.dir, "c.yaml"), 0o644); err != nil {
		t.Fatal(err)
	}
	d := w.start(t, "")
	w.ready(t, d)
	d.end(t)
	if said := d.Err.String(); !strings.Contains(said, "c.yaml") || !strings.Contains(said, "warn") || strings.Contains(said, "MfKQ9r8G") {
		t.Errorf("nothing warns of it, or it is shown: %s", said)
	}
	for file, most := range map[string]os.FileMode{w.store: 0o640, filepath.Dir(w.store): 0o750} {
		if fi, err := os.Stat(file); err != nil || fi.Mode().Perm()&^most != 0 {
			t.Errorf("%s: %v, %v", file, fi.Mode(), err)
		}
	}
	held(t, "A configuration with a secret in it and mode 0644; the modes of the store and its folder", "warned of at the start; 0640 and 0750 at most")
}

func write(t testing.TB, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func pack(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	if _, err := z.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// endlessly answers until nobody reads.
func endlessly(w http.ResponseWriter) {
	part := []byte(strings.Repeat("[", 1<<16))
	_, _ = w.Write([]byte(`{"Version": "27.0.0", "Components": `)) // the client hangs up
	for {
		if _, err := w.Write(part); err != nil {
			return
		}
	}
}
