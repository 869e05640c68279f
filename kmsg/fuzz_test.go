package kmsg

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"unicode/utf8"
)

func FuzzParseRecord(f *testing.F) {
	for _, s := range []string{"6,9257,1234567,-;oom-kill:constraint=x\n", "12,1,0,-,caller=T1;forged\n SUBSYSTEM=x\n", "4,2,3,c;frag", "6,1,2", ",,,;"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var r, h Record
		err := ParseRecord(b, &r)
		text, err2 := ParseHeader(b, &h)
		if (err == nil) != (err2 == nil) {
			t.Fatalf("ParseRecord says %v, ParseHeader %v", err, err2)
		}
		if err != nil {
			return
		}
		if r.Text != string(text) || r.Facility < 0 || r.Level < 0 || r.Level > 7 || r.Uptime < 0 || strings.Contains(r.Text, "\n") {
			t.Errorf("%q gives %+v", b, r)
		}
		Interesting(text)
	})
}

// checkEvent holds what is true of every event, whatever the log.
func checkEvent(t *testing.T, e *Event) {
	t.Helper()
	n := 0
	if e.Episode != nil {
		n++
		for _, k := range e.Episode.Kills {
			if k.PID < 0 || k.PID == 0 && k.Evidence != "task_in" || !utf8.ValidString(k.Comm) || k.Evidence == "" {
				t.Errorf("kill %+v", k)
			}
		}
		seen := make(map[int]bool)
		for _, k := range e.Episode.Kills {
			if seen[k.PID] {
				t.Errorf("pid %d is told twice", k.PID)
			}
			seen[k.PID] = true
		}
		if e.Episode.Complete && len(e.Episode.Kills) == 0 {
			t.Error("a complete episode without a kill")
		}
		if len(e.Episode.Lines) > maxLines || len(e.Episode.Tasks) > maxTasks {
			t.Errorf("%d lines, %d tasks", len(e.Episode.Lines), len(e.Episode.Tasks))
		}
	}
	if e.Fault != nil {
		n++
		if f := e.Fault; f.Kind == "" || !utf8.ValidString(f.Comm+f.Cgroup+f.Signal+f.Object) {
			t.Errorf("fault %+v", e.Fault)
		}
	}
	if e.Unrecognised != nil {
		n++
	}
	if n != 1 {
		t.Errorf("%d fields of an event are set", n)
	}
}

// FuzzAssembler gives the lines of the input as texts of kernel records, and
// of user space's, which must tell nothing.
func FuzzAssembler(f *testing.F) {
	opt := caseOptions()
	opt.defaults()
	for _, name := range caseFiles(f) {
		_, log, _ := readCase(f, name)
		if len(log) > 8<<10 {
			continue
		}
		var texts []string
		for s := range strings.Lines(string(log)) {
			var l line
			parseLine(strings.TrimRight(s, "\r\n"), opt.Location, &l)
			texts = append(texts, l.text)
		}
		f.Add(strings.Join(texts, "\n"), uint8(len(texts)))
	}
	f.Fuzz(func(t *testing.T, texts string, how uint8) {
		kernel, user := NewAssembler(), NewAssembler()
		r := Record{Escaped: how&1 != 0, HasUptime: how&2 != 0}
		for s := range strings.Lines(texts) {
			r.Seq++
			r.Uptime += 11000
			r.Text = strings.TrimSuffix(s, "\n")
			r.Continuation = how&4 != 0 && r.Seq%7 == 0
			if how&8 != 0 {
				r.Caller = []string{"T1", "C0", ""}[r.Seq%3]
			}
			for _, e := range kernel.Add(&r) {
				checkEvent(t, &e)
			}
			u := r
			u.Facility = 1
			if len(user.Add(&u)) > 0 || user.Pending() {
				t.Fatalf("%q, written by user space, is believed", r.Text)
			}
		}
		for _, e := range kernel.Flush() {
			checkEvent(t, &e)
		}
		if kernel.Pending() {
			t.Error("something is open behind Flush")
		}
	})
}

// FuzzScan reads the input line by line and by the search, in small chunks:
// both must end and tell sound events.
func FuzzScan(f *testing.F) {
	for _, name := range caseFiles(f) {
		_, log, _ := readCase(f, name)
		if len(log) <= 8<<10 {
			f.Add(log)
		}
	}
	f.Fuzz(func(t *testing.T, log []byte) {
		check := func(e *Event) error {
			checkEvent(t, e)
			return nil
		}
		if _, err := Scan(context.Background(), bytes.NewReader(log), "fuzz", caseOptions(), check); err != nil {
			return // a broken gzip or zstd
		}
		opt := caseOptions()
		opt.defaults()
		p := pipeline{name: "fuzz", opt: &opt, search: true, seen: new(seenKills), yield: func(g *region) error { return each(g, check) },
			src: &fileSource{f: bytes.NewReader(log), n: int64(len(log)), chunk: 512}}
		if err := p.run(context.Background()); err != nil {
			t.Error(err)
		}
	})
}
