package readings

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// scanner reads JSON piece by piece: an answer may be larger than memory.
type scanner struct {
	r io.Reader
	b []byte
	i int
}

// maxToken bounds a text or number; maxDepth how deep what is passed over nests.
const (
	maxToken = 1 << 20
	maxDepth = 1000
)

// more reads more behind what is left.
func (s *scanner) more() error {
	if len(s.b)-s.i > 2*maxToken {
		return errors.New("a text in it is longer than 1 MiB")
	}
	if s.b == nil {
		s.b = make([]byte, 0, 1<<20)
	}
	n := copy(s.b[:cap(s.b)], s.b[s.i:])
	s.b, s.i = s.b[:n], 0
	if n == cap(s.b) {
		s.b = append(s.b, make([]byte, n)...)[:n]
	}
	for {
		got, err := s.r.Read(s.b[n:cap(s.b)])
		s.b = s.b[:n+got]
		if got > 0 {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// peek is the next byte that is no blank; it is not taken.
func (s *scanner) peek() (byte, error) {
	for {
		for ; s.i < len(s.b); s.i++ {
			switch c := s.b[s.i]; c {
			case ' ', '\t', '\r', '\n':
			default:
				return c, nil
			}
		}
		if err := s.more(); err != nil {
			return 0, err
		}
	}
}

// cut is the end of the file where something must come.
func cut(err error) error {
	if errors.Is(err, io.EOF) {
		return errors.New("it ends in the middle")
	}
	return err
}

// want takes the next byte, which must be c.
func (s *scanner) want(c byte) error {
	got, err := s.peek()
	if err != nil {
		return cut(err)
	}
	if got != c {
		return fmt.Errorf("%q stands where %q belongs", got, c)
	}
	s.i++
	return nil
}

// token is a text with its quotes, or a number or word. It is there until the next call.
func (s *scanner) token() ([]byte, error) {
	c, err := s.peek()
	if err != nil {
		return nil, cut(err)
	}
	for n := 1; ; {
		rest := s.b[s.i:]
		for ; n < len(rest); n++ {
			if c == '"' {
				if rest[n] == '\\' {
					n++
				} else if rest[n] == '"' {
					s.i += n + 1
					return rest[:n+1], nil
				}
				continue
			}
			switch rest[n] {
			case ',', ']', '}', ':', ' ', '\t', '\r', '\n':
				s.i += n
				return rest[:n], nil
			}
		}
		if err := s.more(); err != nil {
			if errors.Is(err, io.EOF) && c != '"' {
				rest = s.b[s.i:]
				s.i = len(s.b)
				return rest, nil
			}
			return nil, cut(err)
		}
	}
}

// text takes a text; "" for null.
func (s *scanner) text() (string, error) {
	b, err := s.token()
	if err != nil {
		return "", err
	}
	var v string
	if err := json.Unmarshal(b, &v); err != nil {
		return "", fmt.Errorf("%.40q is no text", b)
	}
	return v, nil
}

// skip passes over any value.
func (s *scanner) skip() error {
	for depth := 0; ; {
		c, err := s.peek()
		if err != nil {
			return cut(err)
		}
		switch c {
		case '{', '[':
			if depth++; depth > maxDepth {
				return errors.New("it nests too deep")
			}
			s.i++
			continue
		case '}', ']':
			depth--
			s.i++
		case ',', ':':
			if depth == 0 {
				return fmt.Errorf("%q stands where a value belongs", c)
			}
			s.i++
			continue
		default:
			if _, err := s.token(); err != nil {
				return err
			}
		}
		if depth <= 0 {
			return nil
		}
	}
}

// each calls f with each key of an object; f takes the value.
func (s *scanner) each(f func(key string) error) error {
	if err := s.want('{'); err != nil {
		return err
	}
	return s.members('}', func() error {
		key, err := s.text()
		if err != nil {
			return err
		}
		if err := s.want(':'); err != nil {
			return err
		}
		return f(key)
	})
}

// members calls f for each member up to the end of an object or list.
func (s *scanner) members(end byte, f func() error) error {
	for n := 0; ; n++ {
		c, err := s.peek()
		if err != nil {
			return cut(err)
		}
		if c == end {
			s.i++
			return nil
		}
		if n > 0 {
			if err := s.want(','); err != nil {
				return err
			}
		}
		if err := f(); err != nil {
			return err
		}
	}
}

// sample takes [seconds, "value"]; false for one that is no number: NaN, Inf, null.
func (s *scanner) sample() (q sample, ok bool, err error) {
	if q, ok := s.quick(); ok {
		return q, true, nil
	}
	c, err := s.peek()
	if err != nil {
		return q, false, cut(err)
	}
	if c != '[' {
		return q, false, errors.New(`a sample is [seconds, "value"]`)
	}
	s.i++
	b, err := s.token()
	if err != nil {
		return q, false, err
	}
	if q.at, err = strconv.ParseFloat(string(bytes.Trim(b, `"`)), 64); err != nil {
		return q, false, fmt.Errorf(`a sample is [seconds, "value"], and %.40q is no time`, b)
	}
	if err := s.want(','); err != nil {
		return q, false, err
	}
	if b, err = s.token(); err != nil {
		return q, false, err
	}
	if ok = string(b) != "null"; ok {
		if q.v, err = strconv.ParseFloat(string(bytes.Trim(b, `"`)), 64); err != nil && !errors.Is(err, strconv.ErrRange) {
			return q, false, fmt.Errorf(`a sample is [seconds, "value"], and %.40q is no number`, b)
		}
	}
	if err := s.want(']'); err != nil {
		return q, false, err
	}
	q.at = seconds(q.at)
	return q, ok && sane(q.v) && sane(q.at), nil
}

// quick takes the usual form in place: [1767225600,"123"] and [1767225600.781,"123"].
func (s *scanner) quick() (q sample, ok bool) {
	b := s.b[s.i:]
	if len(b) < 64 || b[0] != '[' {
		return q, false
	}
	comma := bytes.IndexByte(b[:32], ',')
	if comma < 2 || b[comma+1] != '"' {
		return q, false
	}
	from := comma + 2
	end := bytes.IndexByte(b[from:min(from+30, len(b)-1)], '"')
	if end < 1 || b[from+end+1] != ']' {
		return q, false
	}
	if q.at, ok = number(b[1:comma]); !ok {
		return q, false
	}
	if q.v, ok = number(b[from : from+end]); !ok || !sane(q.v) {
		return q, false
	}
	if q.at = seconds(q.at); !sane(q.at) {
		return q, false
	}
	s.i += from + end + 2
	return q, true
}
