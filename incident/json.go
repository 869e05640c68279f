package incident

import (
	"math"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"
)

// AppendJSON appends the JSON form of i to dst, byte for byte what an Encoder of
// encoding/json writes with HTML escaping off and without its line end: a log
// of many thousand kills is told several times as fast. What encoding/json
// refuses (a year past 9999, a number that is none) becomes null.
func (i *Incident) AppendJSON(dst []byte) []byte {
	w := jsonWriter{b: dst}
	w.incident(i)
	return w.b
}

// jsonWriter appends JSON. A field is left out as its struct tag says; a test
// holds every struct against encoding/json.
type jsonWriter struct {
	b []byte
	// stamp is the newest time that was written, and where it stands in b:
	// the parts of one incident mostly have the same.
	stamp            time.Time
	stampAt, stampTo int
}

// key begins a field. name is quoted, with its colon.
func (w *jsonWriter) key(name string) {
	if w.b[len(w.b)-1] != '{' {
		w.b = append(w.b, ',')
	}
	w.b = append(w.b, name...)
}

func (w *jsonWriter) open()  { w.b = append(w.b, '{') }
func (w *jsonWriter) close() { w.b = append(w.b, '}') }

func (w *jsonWriter) text(name, s string) {
	w.key(name)
	w.b = appendJSONString(w.b, s)
}

// optText, and every opt below, leaves the field out when there is nothing in it.
func (w *jsonWriter) optText(name, s string) {
	if s != "" {
		w.text(name, s)
	}
}

func (w *jsonWriter) number(name string, n int64) {
	w.key(name)
	w.b = strconv.AppendInt(w.b, n, 10)
}

func (w *jsonWriter) optNumber(name string, n int64) {
	if n != 0 {
		w.number(name, n)
	}
}

func (w *jsonWriter) optInt(name string, n *int) {
	if n != nil {
		w.number(name, int64(*n))
	}
}

func (w *jsonWriter) optInt64(name string, n *int64) {
	if n != nil {
		w.number(name, *n)
	}
}

func (w *jsonWriter) float(name string, f float64) {
	w.key(name)
	w.b = appendJSONFloat(w.b, f)
}

func (w *jsonWriter) optFloat(name string, f *float64) {
	if f != nil {
		w.float(name, *f)
	}
}

func (w *jsonWriter) bool(name string, v bool) {
	w.key(name)
	w.b = strconv.AppendBool(w.b, v)
}

func (w *jsonWriter) optBool(name string, v *bool) {
	if v != nil {
		w.bool(name, *v)
	}
}

func (w *jsonWriter) optTime(name string, t time.Time) {
	if t.IsZero() {
		return
	}
	w.key(name)
	if w.stampTo > 0 && t == w.stamp {
		w.b = append(w.b, w.b[w.stampAt:w.stampTo]...)
		return
	}
	at := len(w.b)
	b, err := t.AppendText(append(w.b, '"'))
	if err != nil {
		w.b = append(w.b[:at], "null"...)
		return
	}
	w.b = append(b, '"')
	w.stamp, w.stampAt, w.stampTo = t, at, len(w.b)
}

func (w *jsonWriter) optTexts(name string, list []string) {
	if len(list) == 0 {
		return
	}
	w.key(name)
	w.b = append(w.b, '[')
	for i, s := range list {
		if i > 0 {
			w.b = append(w.b, ',')
		}
		w.b = appendJSONString(w.b, s)
	}
	w.b = append(w.b, ']')
}

// appendJSONFloat writes a number as ECMAScript does: without an exponent
// unless it is very small or very large.
func appendJSONFloat(b []byte, f float64) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return append(b, "null"...)
	}
	if a := math.Abs(f); a == 0 || a >= 1e-6 && a < 1e21 {
		return strconv.AppendFloat(b, f, 'f', -1, 64)
	}
	b = strconv.AppendFloat(b, f, 'e', -1, 64)
	// e-09 is written e-9.
	if n := len(b); n >= 4 && b[n-4] == 'e' && b[n-3] == '-' && b[n-2] == '0' {
		b[n-2] = b[n-1]
		b = b[:n-1]
	}
	return b
}

// appendJSONString writes s in quotes. Bytes that are not UTF-8 become U+FFFD.
func appendJSONString(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; ; {
		i += plainPrefix(s[i:])
		if i == len(s) {
			b = append(b, s[start:]...)
			return append(b, '"')
		}
		c := s[i]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			switch {
			case r == utf8.RuneError && n == 1:
				b = append(b, s[start:i]...)
				b = append(b, `\ufffd`...)
				start = i + n
			case r == '\u2028', r == '\u2029': // line ends in JavaScript
				b = append(b, s[start:i]...)
				b = append(b, `\u202`...)
				b = append(b, hexDigit(byte(r&15)))
				start = i + n
			}
			i += n
			continue
		}
		if c < ' ' || c == '"' || c == '\\' {
			b = append(b, s[start:i]...)
			b = appendJSONEscape(b, c)
			start = i + 1
		}
		i++
	}
}

func appendJSONEscape(b []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(b, '\\', c)
	case '\b':
		return append(b, '\\', 'b')
	case '\f':
		return append(b, '\\', 'f')
	case '\n':
		return append(b, '\\', 'n')
	case '\r':
		return append(b, '\\', 'r')
	case '\t':
		return append(b, '\\', 't')
	}
	return append(b, '\\', 'u', '0', '0', hexDigit(c>>4), hexDigit(c&15))
}

func hexDigit(n byte) byte { return "0123456789abcdef"[n] }

// plainPrefix is how many bytes s begins with that stand for themselves in JSON:
// printable ASCII without the quote and the backslash. It looks at 8 at a time.
func plainPrefix(s string) int {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	i := 0
	for ; i+8 <= len(s); i += 8 {
		w := word(s[i:])
		quote, slash := w^(ones*'"'), w^(ones*'\\')
		// The high bit of a byte is set where it is not ASCII, below a blank, or
		// one of the two; a borrow can set it in a byte behind such a one only.
		if odd := (w | (w - ones*' ') | (quote - ones) | (slash - ones)) & high; odd != 0 {
			break
		}
	}
	for i < len(s) && s[i] >= ' ' && s[i] < utf8.RuneSelf && s[i] != '"' && s[i] != '\\' {
		i++
	}
	return i
}

// word is the first 8 bytes of s as a little-endian number.
func word(s string) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

// sortedKeysOf lists the keys of a map in the order in which JSON has them.
func sortedKeysOf[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
