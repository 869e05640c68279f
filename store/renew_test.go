package store

import (
	"database/sql"
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestReaderCannotGrowTheLog: another program keeps a transaction open for as long as
// it likes. The log stays bounded, nothing is lost, and the reader sees what it saw.
func TestReaderCannotGrowTheLog(t *testing.T) {
	was := maxLog
	maxLog = 1 << 20
	defer func() { maxLog = was }()
	p := path(t)
	s := open(t, p)
	save(t, s, Entry{Incident: inc("first", "c", t0), Receivers: []string{"hook"}})
	db, err := sql.Open("sqlite", dsn(p, "mode=ro"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	held, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer held.Rollback() //nolint:errcheck // it has only read
	var n int
	if err := held.QueryRow("SELECT count(*) FROM incidents").Scan(&n); err != nil || n != 1 {
		t.Fatal(n, err)
	}
	longest := int64(0)
	const all = 1000
	for i := range all {
		x := inc(fmt.Sprintf("id%04d", i), fmt.Sprint(i), t0)
		x.LogTail = []string{strings.Repeat("x", 4000)}
		save(t, s, Entry{Incident: x, Receivers: []string{"hook"}})
		if i%10 == 9 { // as Run does it
			if err := s.checkpoint(ctx); err != nil {
				t.Fatal(err)
			}
		}
		longest = max(longest, logSize(p))
	}
	if longest > 2*maxLog {
		t.Errorf("the log grew to %d bytes", longest)
	}
	if err := held.QueryRow("SELECT count(*) FROM incidents").Scan(&n); err != nil || n != 1 {
		t.Errorf("the reader sees %d incidents, %v", n, err)
	}
	select {
	case said := <-s.said:
		if !strings.Contains(said, "keeps a transaction open") {
			t.Errorf("said %q", said)
		}
	default:
		t.Error("nothing is said")
	}
	for range 2 {
		if list, err := s.List(ctx, Query{}); err != nil || len(list) != all+1 {
			t.Errorf("%d incidents, %v", len(list), err)
		}
		balanced(t, s)
		s.Close()
		s = open(t, p)
		if s.Recovered() != "" {
			t.Error(s.Recovered())
		}
	}
}

// TestRenewalSurvivesACrash stops it after each of its steps: the next start has all.
func TestRenewalSurvivesACrash(t *testing.T) {
	for _, step := range []string{"half a file", "whole", "without the log"} {
		p := path(t)
		s := open(t, p)
		save(t, s, Entry{Incident: inc("a", "c", t0)})
		if err := s.checkpoint(ctx); err != nil {
			t.Fatal(err)
		}
		save(t, s, Entry{Incident: inc("b", "c", t0)}) // in the log alone
		switch step {
		case "half a file":
			if err := os.WriteFile(p+suffixNew, []byte("half"), 0o640); err != nil {
				t.Fatal(err)
			}
		default:
			if _, err := s.db.ExecContext(ctx, "VACUUM INTO ?", p+suffixNext); err != nil {
				t.Fatal(err)
			}
		}
		// What a kill leaves: the files as they are now.
		crashed := path(t)
		for _, suffix := range []string{"", "-wal", ".lock", suffixNew, suffixNext} {
			if step == "without the log" && suffix == "-wal" {
				continue
			}
			if err := copyFile(p+suffix, crashed+suffix); err != nil && !os.IsNotExist(err) {
				t.Fatal(err)
			}
		}
		next := open(t, crashed)
		if got := ids(t, next, Query{}); got != "a b" || next.Recovered() != "" {
			t.Errorf("%s: %s, %q", step, got, next.Recovered())
		}
		list, err := os.ReadDir(crashed[:strings.LastIndex(crashed, "/")])
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range list {
			if strings.HasSuffix(e.Name(), suffixNew) || strings.HasSuffix(e.Name(), suffixNext) {
				t.Errorf("%s: %s stays", step, e.Name())
			}
		}
	}
}
