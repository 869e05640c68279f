package kmsg

import (
	"encoding/binary"
	"strconv"
	"strings"
	"unicode/utf8"
)

// cutText returns what stands in s between the end of before and after.
func cutText(s, before, after string) (string, bool) {
	i := strings.Index(s, before)
	if i < 0 {
		return "", false
	}
	s = s[i+len(before):]
	j := strings.Index(s, after)
	if j < 0 {
		return "", false
	}
	return s[:j], true
}

// leadingInt reads the decimal number that s begins with.
func leadingInt(s string) (n int64, rest string, ok bool) {
	i := 0
	neg := i < len(s) && s[0] == '-'
	if neg {
		i++
	}
	start := i
	for i < len(s) && s[i]-'0' <= 9 {
		if i-start > 17 {
			return 0, s, false
		}
		n = n*10 + int64(s[i]-'0')
		i++
	}
	if neg {
		n = -n
	}
	return n, s[i:], i > start
}

// decode resolves the escapes of a name. Bytes that are not UTF-8 stay (or
// become) \xNN. Where Text was escaped by the kernel every \xNN was a byte;
// where a reader printed it, only what is not printable was left escaped.
func decode(s string, escaped bool) string {
	if unescaped(s) {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if c, ok := hexEscape(s[i:]); ok && (escaped || c < 0x20 || c >= 0x7f) {
			b = append(b, c)
			i += 3
			continue
		}
		if c, ok := octalEscape(s[i:]); ok && !escaped {
			b = append(b, c)
			i += 3
			continue
		}
		b = append(b, s[i])
	}
	return valid(string(b))
}

// valid writes the bytes of s that are no UTF-8 as \xNN.
func valid(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	b := []byte(s)
	out := make([]byte, 0, len(b)+8)
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n <= 1 {
			out = append(out, '\\', 'x', hexDigits[b[0]>>4], hexDigits[b[0]&15])
		} else {
			out = append(out, b[:n]...)
		}
		b = b[n:]
	}
	return string(out)
}

// unescaped is true for ASCII without escapes, looking at 8 bytes at a time.
func unescaped(s string) bool {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	for ; len(s) >= 8; s = s[8:] {
		w := binary.LittleEndian.Uint64(bytesOf(s)[:8])
		slash, hash := w^(ones*'\\'), w^(ones*'#')
		// The high bit of a byte is set where it is not ASCII or one of the two;
		// a borrow can set it only behind such a one.
		if (w|(slash-ones)|(hash-ones))&high != 0 {
			return false
		}
	}
	for i := range len(s) {
		if c := s[i]; c == '\\' || c == '#' || c >= 0x80 {
			return false
		}
	}
	return true
}

const hexDigits = "0123456789abcdef"

// hexEscape reads \xNN, the kernel's escape.
func hexEscape(s string) (byte, bool) {
	if len(s) < 4 || s[0] != '\\' || s[1] != 'x' {
		return 0, false
	}
	n, err := strconv.ParseUint(s[2:4], 16, 8)
	return byte(n), err == nil
}

// octalEscape reads #ooo, rsyslog's escape of control bytes.
func octalEscape(s string) (byte, bool) {
	if len(s) < 4 || s[0] != '#' || s[1] != '0' || s[2]-'0' > 7 || s[3]-'0' > 7 {
		return 0, false
	}
	c := (s[2]-'0')<<3 | (s[3] - '0')
	return c, c < 0x20
}

// invokedLine is the first line of an episode.
type invokedLine struct {
	comm     string
	gfp      string
	order    int
	complete bool
}

// parseInvoked reads "X invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, ...".
func parseInvoked(t string, escaped bool) (v invokedLine, ok bool) {
	const mark = "invoked oom-killer"
	i := strings.LastIndex(t, mark)
	if i < 0 || i > 64 {
		return v, false
	}
	tail := t[i+len(mark):]
	if tail != "" && tail[0] != ':' {
		return v, false
	}
	v.comm = decode(strings.TrimSuffix(t[:i], " "), escaped)
	if m, ok := cutText(tail, "gfp_mask=", ","); ok {
		v.gfp = m
	}
	if j := strings.LastIndex(tail, "order="); j >= 0 {
		n, _, ok := leadingInt(tail[j+len("order="):])
		v.order, v.complete = int(n), ok
	}
	return v, true
}

// cpuLine is "CPU: 0 UID: 0 PID: 1 Comm: x Not tainted RELEASE ..." or the 2.6 form.
func parseCPU(t string, escaped bool) (pid int, comm, release string, ok bool) {
	i := strings.Index(t, "PID: ")
	mark := "Comm: "
	if i < 0 {
		i, mark = strings.Index(t, "Pid: "), "comm: "
	}
	if i < 0 || i > 48 {
		return 0, "", "", false
	}
	n, rest, ok := leadingInt(t[i+5:])
	if !ok {
		return 0, "", "", false
	}
	rest, found := strings.CutPrefix(strings.TrimLeft(rest, ", "), mark)
	if !found {
		return 0, "", "", false
	}
	for _, tail := range []string{" Not tainted", " Tainted:"} {
		if j := strings.LastIndex(rest, tail); j >= 0 {
			comm = rest[:j]
			if k := strings.LastIndex(comm, " Kdump: "); k >= 0 {
				comm = comm[:k]
			}
			return int(n), decode(comm, escaped), kernelRelease(rest[j+len(tail):]), true
		}
	}
	return int(n), "", "", true
}

// kernelRelease finds the release behind the taint flags: the first word that
// begins with a digit and holds a point.
func kernelRelease(s string) string {
	for s != "" {
		s = trimBlanks(s)
		sp := strings.IndexByte(s, ' ')
		word := s
		if sp >= 0 {
			word, s = s[:sp], s[sp:]
		} else {
			s = ""
		}
		if word != "" && word[0]-'0' <= 9 && strings.IndexByte(word, '.') > 0 {
			return word
		}
	}
	return ""
}

// parseUsage reads "memory: usage 32768kB, limit 32768kB, failcnt 19" behind the colon.
func parseUsage(s string) (usage, limit Size, failcnt int64, ok bool) {
	n, rest, ok := leadingInt(strings.TrimPrefix(s, " usage "))
	if !ok || !strings.HasPrefix(rest, "kB") {
		return usage, limit, 0, false
	}
	setKB(&usage, n, true)
	if i := strings.Index(rest, "limit "); i >= 0 {
		if n, after, ok := leadingInt(rest[i+6:]); ok && strings.HasPrefix(after, "kB") {
			setLimit(&limit, n)
		}
	}
	if i := strings.Index(rest, "failcnt "); i >= 0 {
		failcnt, _, _ = leadingInt(rest[i+8:])
	}
	return usage, limit, failcnt, true
}

// unlimitedKB is the smallest of the numbers that the kernels print for "no limit".
const unlimitedKB = 9007199254740900

// setLimit keeps "unlimited" as the largest multiple of a page, as the kernel does.
func setLimit(size *Size, kb int64) {
	if kb >= unlimitedKB {
		*size = Bytes(1<<63 - 4096)
		return
	}
	setKB(size, kb, true)
}
