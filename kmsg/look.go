package kmsg

import (
	"bytes"
	"github.com/oomwatch/oomwatch/internal/lazyre"
	"strings"
	"time"
)

// Look says what a file seems to be in which no line looks like a kernel log's.
type Look struct {
	Name string // the file, as it was named
	What string // "the log of dpkg"
	// Read is the command that makes a kernel log of it, with FILE for the name;
	// "" where it has none in it.
	Read string
}

// sampleSize is how much of a log is looked at in each of some places.
const sampleSize = 64 << 10

// lookAt judges samples of a log. ok is false where a line may be a kernel's.
func lookAt(name string, samples [][]byte) (l Look, ok bool) {
	l.Name = name
	if len(samples) == 0 || len(samples[0]) == 0 {
		l.What = "an empty file"
		return l, true
	}
	head := samples[0]
	for _, m := range magics {
		if len(head) >= m.at+len(m.magic) && string(head[m.at:m.at+len(m.magic)]) == m.magic {
			l.What, l.Read = m.what, m.read
			return l, true
		}
	}
	for _, s := range samples {
		if hasKernelLine(s) {
			return l, false
		}
	}
	if n := bytes.Count(head, []byte{0}); n > len(head)/100 {
		l.What = "binary data"
		return l, true
	}
	l.What, l.Read = textKind(head)
	return l, true
}

// magics are the beginnings of files that are no text.
var magics = []struct {
	at                int
	magic, what, read string
}{
	{0, "LPKSHHRH", "a file of systemd's journal", "journalctl --file FILE -k -o json | oomwatch explain --log -"},
	{0, "PK\x03\x04", "a zip archive", "unzip -p FILE | oomwatch explain --log -"},
	{257, "ustar", "a tar archive", "tar -xOf FILE | oomwatch explain --log -"},
	{0, "7z\xbc\xaf\x27\x1c", "a 7z archive", "7z e -so FILE | oomwatch explain --log -"},
	{0, "\x04\x22\x4d\x18", "a file compressed with lz4", "lz4 -dc FILE | oomwatch explain --log -"},
	{0, "LZIP", "a file compressed with lzip", "lzip -dc FILE | oomwatch explain --log -"},
	{0, "\x1f\x9d", "a file compressed with compress", "zcat FILE | oomwatch explain --log -"},
	{0, "\x5d\x00\x00", "a file compressed with lzma", "xz -dc FILE | oomwatch explain --log -"},
	{0, "KDUMP   ", "a crash dump", "makedumpfile --dump-dmesg FILE dmesg.txt && oomwatch explain --log dmesg.txt"},
	{0, "\x7fELF", "a program, a library or a core dump", ""},
	{0, "%PDF-", "a PDF document", ""},
	{0, "\x89PNG", "a picture", ""},
	{0, "\xff\xd8\xff", "a picture", ""},
	{0, "SQLite format 3\x00", "a database", ""},
	{0, "\xd4\xc3\xb2\xa1", "a capture of packets", ""},
}

// textKinds are logs that people take for the kernel's, by what their lines hold.
var textKinds = []struct {
	line       *lazyre.Regexp
	what, read string
}{
	{lazyre.New(`^\{"log":".*"stream":"std`), "the output of a container, as Docker's json-file driver keeps it", ""},
	{lazyre.New(`^\S+ std(out|err) [FP] `), "the output of a container, as a CRI runtime keeps it", ""},
	{lazyre.New(`^[\w.-]+[-_]\d+ +\| `), "the output of containers, as docker compose logs prints it", ""},
	{lazyre.New(`^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d (status|install|upgrade|configure|startup|trigproc|remove|purge|conffile) `), "the log of dpkg", ""},
	{lazyre.New(`^(Start-Date|Commandline|Install|Upgrade|Log started): `), "the log of apt", ""},
	{lazyre.New(`^\S+ (INFO|DEBUG|SUBDEBUG) (--- logging|Installed|Upgraded|Removed)|(Installed|Updated|Erased): \S+$|\] \[(ALPM|PACMAN)\] `), "the log of a package manager", ""},
	{lazyre.New(`^\S+ \S+ \S+ \[[^\]]+\] "[A-Z]{3,8} \S+ HTTP/`), "the access log of a web server", ""},
	{lazyre.New(`^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d \[\w+\] \d+#\d+: `), "the error log of nginx", ""},
	{lazyre.New(`^(node=\S+ )?type=[A-Z_]+ msg=audit\(`), "the log of auditd", ""},
	{lazyre.New(`^\s+at [\w.$]+\([\w.]+:\d+\)|^Exception in thread |^Traceback \(most recent call last\)`), "a program's log with its stack traces", ""},
	{lazyre.New(`^\[\s*\d+\.\d+\] \((II|WW|EE|--|\*\*)\) `), "the log of the X server", ""},
	{lazyre.New(`^<(!DOCTYPE|html|\?xml)`), "a web page", ""},
	{lazyre.New(`^\s*"(Id|State|OOMKilled)": |^\[?\{"Id":`), "what docker inspect prints", "oomwatch explain --inspect FILE"},
	{lazyre.New(`^\{"(status|Type|Action|type)":.*"Actor":|^\S+ container (die|oom|kill|start|create) [0-9a-f]{12,} \(`), "what docker events prints", "oomwatch explain --events FILE"},
	{lazyre.New(`^apiVersion: |^kind: `), "a Kubernetes object", "oomwatch explain --inspect FILE"},
	{lazyre.New(`^\S+ (v\d|\d+\.\d+)\S* .*level=(info|warn|error)|^time="[^"]+" level=`), "the log of a container engine", ""},
	{lazyre.New(`^[IWEF]\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ \S+\.go:\d+\] `), "the log of a Kubernetes component", ""},
	{lazyre.New(`^\w{3} [ \d]\d \d\d:\d\d:\d\d \S+ [\w./-]+(\[\d+\])?: |^\d{4}-\d\d-\d\dT\S+ \S+ [\w./-]+(\[\d+\])?: `), "a system log of programs, without the kernel's lines", ""},
}

// textKind says what a text without a kernel's line looks like, by the form that
// most of its first lines have.
func textKind(head []byte) (what, read string) {
	var hits [32]int
	best := -1
	n := 0
	for l := range bytes.Lines(head) {
		if n++; n > 200 {
			break
		}
		l = l[:min(len(l), 1024)]
		for i := range textKinds {
			if textKinds[i].line.Match(l) {
				if hits[i]++; best < 0 || hits[i] > hits[best] {
					best = i
				}
				break
			}
		}
	}
	if best < 0 {
		return "text of another kind", ""
	}
	return textKinds[best].what, textKinds[best].read
}

// hasKernelLine tells whether a line is, by its prefix or its text, a kernel log's.
func hasKernelLine(b []byte) bool {
	n := 0
	for l := range bytes.Lines(b) {
		if n++; n > 1000 {
			return false
		}
		s := strings.TrimRight(stringOf(l[:min(len(l), maxPrefix)]), "\r\n")
		if kernelText(s) >= 0 || strings.Contains(s, `"_TRANSPORT":"kernel"`) || strings.Contains(s, "_TRANSPORT=kernel") {
			return true
		}
		if bytes.IndexByte(l, 0) >= 0 {
			continue
		}
		var p line
		parseLine(s, time.UTC, &p)
		if p.closed && p.rec.Ident == "" && !strings.HasPrefix(p.text, "(") {
			return true
		}
	}
	return false
}

// samples reads some places of a log for lookAt.
func (s *fileSource) samples() [][]byte {
	var out [][]byte
	for _, at := range []int64{0, s.n / 2, s.n - sampleSize} {
		if at < 0 || at > 0 && at < sampleSize {
			continue
		}
		b := make([]byte, sampleSize)
		n, _ := s.f.ReadAt(b, at) // what cannot be read is told when the log is
		out = append(out, b[:n])
	}
	return out
}

func (s *streamSource) samples() [][]byte { return [][]byte{s.head} }
