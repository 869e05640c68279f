package kmsg

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// firstOf is what a file's first lines tell of when it begins.
type firstOf struct {
	name   string
	at     time.Time
	uptime time.Duration
	dated  bool
	up     bool
	family string // the name without what rotation adds
	age    int    // the number that rotation adds; the newest has none
}

// inOrder puts rotated files in the order of time: by the date of their first
// line, or by the number in their name where the lines have none. Files that
// say neither stay where they are.
func inOrder(names []string, opt *ScanOptions) ([]string, error) {
	if len(names) < 2 {
		return names, nil
	}
	files := make([]firstOf, len(names))
	for i, name := range names {
		files[i] = firstOf{name: name}
		files[i].family, files[i].age = rotation(name)
		if name == "-" {
			continue
		}
		if err := files[i].look(opt); err != nil && opt.Bad == nil { // else it is told when its turn comes
			return nil, err
		}
	}
	slices.SortStableFunc(files, func(a, b firstOf) int {
		switch {
		case a.dated && b.dated:
			return a.at.Compare(b.at)
		case a.family == b.family && a.age != b.age:
			return b.age - a.age
		case a.up && b.up && !a.dated && !b.dated:
			return int(min(max(a.uptime-b.uptime, -1), 1))
		}
		return 0
	})
	out := make([]string, len(files))
	for i := range files {
		out[i] = files[i].name
	}
	return out, nil
}

// look reads the first lines of a file for a stamp.
func (f *firstOf) look(opt *ScanOptions) error {
	if st, err := os.Stat(f.name); err == nil && !st.Mode().IsRegular() {
		return nil // a pipe must not be read twice
	}
	file, err := os.Open(f.name)
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	defer file.Close()
	st, err := file.Stat()
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	o := *opt
	if st.ModTime().Before(o.Now) {
		o.Now = st.ModTime()
	}
	plain, done, err := Decompress(file, f.name)
	if err != nil {
		return err
	}
	defer done()
	br := bufio.NewReader(plain)
	for range 200 {
		s, err := br.ReadString('\n')
		var l line
		if len(s) < maxLine {
			parseLine(strings.TrimRight(s, "\r\n"), o.Location, &l)
		}
		if l.noYear {
			l.rec.Time = o.withYear(l.rec.Time)
		}
		if !l.rec.Time.IsZero() {
			f.at, f.dated = l.rec.Time, true
			return nil
		}
		if l.rec.HasUptime && !f.up {
			f.uptime, f.up = l.rec.Uptime, true
		}
		if err != nil {
			return nil
		}
	}
	return nil
}

// rotation splits "kern.log.2.gz" into "kern.log" and 2.
func rotation(name string) (family string, age int) {
	base := filepath.Base(name)
	for _, ext := range []string{".gz", ".zst", ".xz", ".bz2"} {
		base = strings.TrimSuffix(base, ext)
	}
	if dot := strings.LastIndexByte(base, '.'); dot > 0 {
		if n, ok := atoi(base[dot+1:]); ok && n < 1e6 {
			return filepath.Join(filepath.Dir(name), base[:dot]), n
		}
	}
	return filepath.Join(filepath.Dir(name), base), 0
}
