package kmsg

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ulikunitz/xz"
)

func TestWhatItLooksLike(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"dpkg", "2026-03-10 10:33:02 status installed libc6:amd64 2.36-9\n2026-03-10 10:33:03 trigproc man-db:amd64 2.11.2-2 <none>\n", "the log of dpkg"},
		{"access log", "198.51.100.7 - - [10/Mar/2026:10:33:02 +0000] \"GET /oom HTTP/1.1\" 200 512\n", "the access log of a web server"},
		{"json-file", "{\"log\":\"started\\n\",\"stream\":\"stdout\",\"time\":\"2026-03-10T10:33:02Z\"}\n", "the output of a container, as Docker's json-file driver keeps it"},
		{"CRI", "2026-03-10T10:33:02.1Z stdout F started\n", "the output of a container, as a CRI runtime keeps it"},
		{"compose", "web-1  | listening on 8080\n", "the output of containers, as docker compose logs prints it"},
		{"programs", "Mar 10 10:33:02 db3 sshd[12]: session opened\nMar 10 10:33:02 db3 cron[13]: (root) CMD (true)\n", "a system log of programs, without the kernel's lines"},
		{"journal", "LPKSHHRH\x00\x00\x00\x00", "a file of systemd's journal"},
		{"empty", "", "an empty file"},
		{"access log in UTF-16", string(wide([]byte("198.51.100.7 - - [10/Mar/2026:10:33:02 +0000] \"GET /oom HTTP/1.1\" 200 512\n"), binary.LittleEndian)), "the access log of a web server"},
		{"zeros", strings.Repeat("a\x00\x01\x02", 100), "binary data"},
		{"inspect", "[\n    {\n        \"Id\": \"4f1d\",\n        \"State\": {\n            \"OOMKilled\": true\n", "what docker inspect prints"},
		{"prose", "the host ran out of memory yesterday\n", "text of another kind"},
	} {
		st, err := Scan(context.Background(), strings.NewReader(c.text), c.name, caseOptions(), func(*Event) error { return nil })
		if err != nil || len(st.NotKernel) != 1 || st.NotKernel[0].What != c.want || st.NotKernel[0].Name != c.name {
			t.Errorf("%s looks like %+v, error %v; want %q", c.name, st.NotKernel, err, c.want)
		}
	}
	for _, text := range []string{
		"Mar 10 10:33:02 db3 kernel: [ 9182.401100] docker0: port 2(veth380a1cd) entered disabled state\n",
		"[ 9182.401100] docker0: port 2(veth380a1cd) entered disabled state\n",
		"6,5,9182401100,-;docker0: port 2(veth380a1cd) entered disabled state\n",
		"kern.log:Mar 10 10:33:02 db3 kernel: x\nMar 10 10:33:02 db3 kernel: x\n",
	} {
		st, err := Scan(context.Background(), strings.NewReader(text), "log", caseOptions(), func(*Event) error { return nil })
		if err != nil || len(st.NotKernel) != 0 {
			t.Errorf("%q is said to be %+v, error %v", text, st.NotKernel, err)
		}
	}
}

// A log of one kill, as bzip2 1.0.8 compresses it: Go has no compressor.
const killBzip2 = "425a68393141592653599eb4a54800001a5d80001040667cd0100abf6fdf60200064453f54daa78a7a9e9e934434d0d3cd40" +
	"85268c8699064c8611919a891af55bca1704cf5cce49c2595faabe64013ca7a32f063971e24e1db5227e4311a77da67129c0" +
	"a0ae6c72a4a94b5aa9b485bceed65d5783c30f0ce8ee37b315884629c605b82f037e2ee48a70a1213d694a90"

func TestXZAndBzip2(t *testing.T) {
	log := []byte("Mar 10 10:33:02 db3 kernel: Out of memory: Killed process 7 (x) total-vm:8kB, anon-rss:4kB, file-rss:0kB, shmem-rss:0kB\n")
	var b bytes.Buffer
	w, err := xz.NewWriter(&b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(log); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, data := range map[string][]byte{"kern.log.1.xz": b.Bytes(), "kern.log.2.bz2": unhex(t, killBzip2)} {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
		st, err := ScanFiles(context.Background(), []string{name}, caseOptions(), func(*Event) error { return nil })
		if err != nil || st.Kills != 1 {
			t.Errorf("%s: %d kills, error %v", filepath.Base(name), st.Kills, err)
		}
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		_, err = Scan(context.Background(), f, name, caseOptions(), func(*Event) error { return nil })
		f.Close()
		if err != nil {
			t.Error(err)
		}
	}
	// A window of 1.5 GiB is refused before it is allocated.
	huge := bytes.Clone(b.Bytes())
	huge[16] = 37
	if _, err := Scan(context.Background(), bytes.NewReader(huge), "huge", caseOptions(), func(*Event) error { return nil }); err == nil || !strings.Contains(err.Error(), "window") {
		t.Errorf("a window of 1.5 GiB gives %v", err)
	}
	// Cut short: what stands before the cut is told, and that it is cut.
	var gz bytes.Buffer
	z := gzip.NewWriter(&gz)
	if _, err := z.Write(bytes.Repeat(log, 5000)); err != nil {
		t.Fatal(err)
	}
	z.Close()
	if _, err := Scan(context.Background(), bytes.NewReader(gz.Bytes()[:gz.Len()/2]), "cut", caseOptions(), func(*Event) error { return nil }); err == nil {
		t.Error("a file that is cut short is no error")
	}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
