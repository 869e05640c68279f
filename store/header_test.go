package store

import (
	"bytes"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/test/race"
)

// TestFlippedHeader damages one byte of a store's header: whichever it is, the store
// opens with all that it kept, or is moved aside and carried over; it never refuses.
func TestFlippedHeader(t *testing.T) {
	good := path(t)
	s := open(t, good)
	for i := range 20 {
		save(t, s, Entry{Incident: inc(fmt.Sprintf("id%04d", i), fmt.Sprint(i), t0), Receivers: []string{"hook"}})
	}
	s.Close()
	b, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	aside, whole := 0, 0
	for at := range headerSize {
		for _, flip := range []byte{0x01, 0x80, 0xff}[:race.Or(3, 1)] {
			p := filepath.Join(t.TempDir(), "o.db")
			damaged := bytes.Clone(b)
			damaged[at] ^= flip
			if err := os.WriteFile(p, damaged, 0o640); err != nil {
				t.Fatal(err)
			}
			s, err := Open(ctx, Options{Path: p})
			if err != nil {
				t.Errorf("byte %d ^ %#x: %v", at, flip, err)
				continue
			}
			if s.Recovered() != "" {
				aside++
			}
			if s.InMemory() {
				t.Errorf("byte %d ^ %#x: the store is in memory: %s", at, flip, s.Unwritable())
			}
			list, err := s.List(ctx, Query{})
			if err == nil && len(list) == 20 {
				whole++
			} else if s.Recovered() == "" || err != nil {
				t.Errorf("byte %d ^ %#x: %d incidents, %v, %q", at, flip, len(list), err, s.Recovered())
			}
			save(t, s, Entry{Incident: inc("new", "c", t0), Receivers: []string{"hook"}})
			s.Close()
		}
	}
	t.Logf("of %d damaged headers %d were moved aside; all was kept %d times", race.Or(3, 1)*headerSize, aside, whole)
	if aside == 0 || whole < race.Or(3, 1)*headerSize*9/10 {
		t.Errorf("%d moved aside, all kept %d times", aside, whole)
	}
}

// TestNeverAStore: a file that is none of ours is refused, and stays as it is.
func TestNeverAStore(t *testing.T) {
	foreignDB := func(p string) {
		db, err := sql.Open("sqlite", dsn(p, "_pragma=journal_mode(WAL)"))
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if _, err := db.Exec("CREATE TABLE mine(x); INSERT INTO mine VALUES(1)"); err != nil {
			t.Fatal(err)
		}
	}
	for name, lay := range map[string]func(string){
		"text":   func(p string) { os.WriteFile(p, []byte(strings.Repeat("notes\n", 100)), 0o600) },
		"short":  func(p string) { os.WriteFile(p, []byte("x"), 0o600) },
		"zeros":  func(p string) { os.WriteFile(p, make([]byte, 8192), 0o600) },
		"sqlite": foreignDB,
		"folder": func(p string) { os.Mkdir(p, 0o750) },
	} {
		dir := t.TempDir()
		p := filepath.Join(dir, "o.db")
		lay(p)
		before := map[string]string{}
		if name != "folder" {
			before = files(t, p)
		}
		for range 2 { // the first try leaves nothing that misleads the second
			s, err := Open(ctx, Options{Path: p})
			if err == nil {
				s.Close()
				t.Errorf("%s: it was taken for a store", name)
			} else if !strings.Contains(err.Error(), "--store") {
				t.Errorf("%s: no next step: %v", name, err)
			}
		}
		if name == "folder" {
			continue
		}
		after := files(t, p)
		if len(before) != len(after) || before["o.db"] != after["o.db"] {
			t.Errorf("%s: the folder holds %d files, and held %d", name, len(after), len(before))
		}
	}
}

// TestFilesAreNotForAll: whatever the umask, nobody else reads what is kept.
func TestFilesAreNotForAll(t *testing.T) {
	p := filepath.Join(t.TempDir(), "made", "o.db")
	s := open(t, p)
	save(t, s, Entry{Incident: inc("a", "c", t0)})
	h, err := OpenHistory(ctx, HistoryOptions{Store: p})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	list, err := os.ReadDir(filepath.Dir(p))
	if err != nil || len(list) < 5 {
		t.Fatalf("%d files, %v", len(list), err)
	}
	for _, e := range list {
		st, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		if st.Mode().Perm()&0o007 != 0 {
			t.Errorf("%s has mode %v", e.Name(), st.Mode())
		}
	}
	if st, err := os.Stat(filepath.Dir(p)); err != nil || st.Mode().Perm() != folderMode {
		t.Errorf("folder: %v, %v", st.Mode(), err)
	}
}

// TestReadingADamagedStore: without a daemon nobody moves a damaged store aside: what
// can be read of it is given, by any question, and what cannot is counted.
func TestReadingADamagedStore(t *testing.T) {
	p := path(t)
	s := open(t, p)
	for i := range 400 {
		x := inc(fmt.Sprintf("id%04d", i), fmt.Sprint(i), t0.Add(time.Duration(i)*time.Second))
		x.Evidence = []incident.Evidence{{Source: "kmsg", Text: strings.Repeat("x", 800)}}
		save(t, s, Entry{Incident: x})
	}
	s.Close()
	b, err := os.ReadFile(p)
	if err != nil {
		t.Fatal(err)
	}
	for at := len(b) / 2 / pageSize * pageSize; at < len(b); at += pageSize {
		if b[at] == 0x0d && strings.Count(string(b[at:at+pageSize]), strings.Repeat("x", 800)) > 1 {
			for i := range 100 {
				b[at+i] = 0xff
			}
			break
		}
	}
	if err := os.WriteFile(p, b, 0o640); err != nil {
		t.Fatal(err)
	}
	for _, q := range []Query{{}, {NewestFirst: true}, {Kind: "death"}, {Limit: 300}} {
		s, err := Open(ctx, Options{Path: p, ReadOnly: true})
		if err != nil {
			t.Fatal(err)
		}
		list, err := s.List(ctx, q)
		want := 390
		if q.Limit > 0 {
			want = q.Limit
		}
		if err != nil || len(list) < want || len(list) >= 400 || s.LeftOut() == 0 {
			t.Errorf("%+v: %d incidents, %d left out, %v", q, len(list), s.LeftOut(), err)
		}
		seen := map[string]bool{}
		for i, x := range list {
			if seen[x.ID] || i > 0 && x.Time.After(list[i-1].Time) == q.NewestFirst {
				t.Errorf("%+v: %s is out of order or there twice", q, x.ID)
			}
			seen[x.ID] = true
		}
		s.Close()
	}
	if now, err := os.ReadFile(p); err != nil || !bytes.Equal(now, b) {
		t.Errorf("reading changed the file: %v", err)
	}
}
