package docker

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/moby/moby/api/types/events"
	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/observe"
	"github.com/oomwatch/oomwatch/redact"
	"github.com/oomwatch/oomwatch/watcher/logtail"
)

func TestInboxDropsTheOldestAndCounts(t *testing.T) {
	b := newInbox(3)
	for i := range int64(8) {
		b.put(events.Message{TimeNano: i + 1})
	}
	b.tell(note{answers: true})
	msgs, lost, notes := b.take(2)
	if len(msgs) != 2 || msgs[0].TimeNano != 6 || lost.Lost != 5 || lost.From.UnixNano() != 1 || lost.To.UnixNano() != 5 || notes != nil {
		t.Errorf("first: %v %+v %v", msgs, lost, notes)
	}
	b.put(events.Message{TimeNano: 9})
	msgs, lost, notes = b.take(10)
	if len(msgs) != 2 || msgs[1].TimeNano != 9 || lost.Lost != 0 || len(notes) != 1 {
		t.Errorf("then: %v %+v %v", msgs, lost, notes)
	}
	for range 3 * maxNotes {
		b.tell(note{answers: true})
	}
	if _, _, notes = b.take(1); len(notes) != maxNotes {
		t.Errorf("%d notes kept", len(notes))
	}
}

func TestSeenSetForgetsTheOldest(t *testing.T) {
	s := newSeenSet(2)
	key := func(n int64) seenKey { return seenKey{"a", "die", n} }
	got := []bool{s.add(key(1)), s.add(key(1)), s.add(key(2)), s.add(key(3)), s.add(key(3)), s.add(key(1))}
	if want := []bool{true, false, true, true, false, true}; !slices.Equal(got, want) {
		t.Errorf("new = %v, want %v", got, want)
	}
}

func TestStartIsOfItsOwnRun(t *testing.T) {
	at := time.Unix(1000, 0)
	code := 1
	c := func(started time.Time) observe.Container {
		return observe.Container{Container: incident.Container{StartedAt: started, ExitCode: &code}, PID: 7, Exit: &incident.Exit{}}
	}
	if got := atStart(c(at.Add(-time.Millisecond)), at); got.PID != 7 || !got.StartedAt.Equal(at.Add(-time.Millisecond)) || got.Exit == nil {
		t.Errorf("own run: %+v", got)
	}
	// Asked late: it has been restarted since, and its pid is another's.
	for _, started := range []time.Time{at.Add(time.Second), {}} {
		if got := atStart(c(started), at); got.PID != 0 || !got.StartedAt.IsZero() || got.Exit != nil || got.ExitCode != nil {
			t.Errorf("other run: %+v", got)
		}
	}
}

func TestLabelsAreBounded(t *testing.T) {
	labels := map[string]string{labelService: "web", "oomwatch.silence": "true", "oomwatch.receiver": "ops", "z" + strings.Repeat("k", 1000): "v", "a": strings.Repeat("é", 1000)}
	for i := range 500 {
		labels[fmt.Sprintf("n%03d", i)] = "x"
	}
	got := boundLabels(labels)
	if len(got) != redact.MaxLabels || got[labelService] != "web" || len(got["a"]) > redact.MaxLabelValue+3 || !utf8.ValidString(got["a"]) {
		t.Errorf("%d labels, a has %d bytes", len(got), len(got["a"]))
	}
	if got["oomwatch.silence"] != "true" || got["oomwatch.receiver"] != "ops" {
		t.Errorf("what the container says of its own alerts is lost among its labels: %v", got)
	}
	for i := range 2 * redact.MaxLabels { // and no container makes us carry more by that
		labels[fmt.Sprintf("oomwatch.a%03d", i)] = "x"
	}
	if got = boundLabels(labels); len(got) != redact.MaxLabels || got[labelService] != "web" {
		t.Errorf("%d labels, of %q", len(got), got[labelService])
	}
	if boundLabels(nil) != nil {
		t.Error("no labels are a map")
	}
}

func frame(stream byte, text string) []byte {
	head := []byte{stream, 0, 0, 0, 0, 0, 0, 0}
	binary.BigEndian.PutUint32(head[4:], uint32(len(text)))
	return append(head, text...)
}

func TestReadTail(t *testing.T) {
	long := strings.Repeat("x", 3*logtail.MaxLine)
	for _, tt := range []struct {
		name string
		in   []byte
		tty  bool
		want []string
		err  string
	}{
		{name: "empty"},
		{name: "streams interleaved within lines", in: slices.Concat(frame(1, "out "), frame(2, "err one\nerr "), frame(1, "one\n"), frame(2, "two\n")), want: []string{"err one", "out one", "err two"}},
		{name: "last lines only, unfinished one too", in: slices.Concat(frame(1, "1\n2\n3\n4\n"), frame(1, "5")), want: []string{"3", "4", "5"}},
		{name: "terminal", in: []byte("a\r\nb\r\n"), tty: true, want: []string{"a", "b"}},
		{name: "cut in a frame", in: frame(1, "one\ntwo\n")[:13], want: []string{"one", "t"}},
		{name: "cut in a head", in: append(frame(1, "one\n"), 1, 0), want: []string{"one"}},
		{name: "long line", in: frame(1, long+"\nend\n"), want: []string{long[:logtail.MaxLine], "end"}},
		{name: "frame that claims 4 GiB", in: []byte{1, 0, 0, 0, 255, 255, 255, 255, 'h', 'i'}, want: []string{"hi"}},
		{name: "error of the engine", in: slices.Concat(frame(1, "one\n"), frame(3, "disk \x1bgone")), want: []string{"one"}, err: `disk \x1bgone`},
		{name: "no frames", in: []byte("plain text without a head"), err: "not in Docker's frame format"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := readTail(bytes.NewReader(tt.in), tt.tty, 3)
			if !slices.Equal(got.Shown, tt.want) {
				t.Errorf("lines %.200q, want %.200q", got.Shown, tt.want)
			}
			if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("error %v, want %q", err, tt.err)
			}
		})
	}
	if _, err := readTail(io.MultiReader(bytes.NewReader(frame(1, "a")[:8]), failing{}), false, 3); !errors.Is(err, errFailing) {
		t.Errorf("error %v", err)
	}
	// Much text makes a bounded tail.
	var b bytes.Buffer
	for range 2000 {
		b.Write(frame(1, strings.Repeat("word ", 500)+"\n"))
	}
	got, err := readTail(&b, false, logtail.MaxLines)
	if total := len(strings.Join(got.Raw, "")); err != nil || total > logtail.MaxBytes || total < logtail.MaxBytes/2 {
		t.Errorf("%d bytes kept: %v", total, err)
	}
}

var errFailing = errors.New("failing")

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errFailing }

func FuzzReadTail(f *testing.F) {
	f.Add(frame(1, "one\ntwo\n"), false)
	f.Add([]byte("\x01\x00\x00\x00\xff\xff\xff\xffhi"), false)
	f.Add([]byte("a\r\n\xff\x1b[31m"), true)
	f.Fuzz(func(t *testing.T, b []byte, tty bool) {
		words, _ := readTail(bytes.NewReader(b), tty, 5) // an error is fine, bad lines are not
		lines := words.Shown
		if len(lines) > 5 {
			t.Errorf("%d lines", len(lines))
		}
		for _, l := range lines {
			if !utf8.ValidString(l) || strings.ContainsAny(l, "\x1b\n\r\x00") {
				t.Errorf("unsafe line %q", l)
			}
		}
	})
}

// What Podman 5.4 says otherwise than Docker, as its socket said it.
func TestPodmanIsReadAsDocker(t *testing.T) {
	const id = "45960ce2998274292931a532b43cb3c54a3ca86fb211af08a84118c50c2ee687"
	obs, err := ReadEvents(strings.NewReader(`{"status":"die","id":"` + id + `","from":"docker.io/lab/busybox:1","Type":"container","Action":"die","Actor":{"ID":"` + id + `","Attributes":{"containerExitCode":"137","exitCode":"137","image":"docker.io/lab/busybox:1","name":"a","podId":"","tier":"web"}},"scope":"local","time":1795262780,"timeNano":1795262780755326937}
{"status":"remove","id":"` + id + `","from":"docker.io/lab/busybox:1","Type":"container","Action":"remove","Actor":{"ID":"` + id + `","Attributes":{"containerExitCode":"137","image":"docker.io/lab/busybox:1","name":"a","podId":""}},"scope":"local","time":1795262781,"timeNano":1795262781439491078}
`))
	if err != nil || len(obs) != 2 {
		t.Fatalf("%d observations, %v", len(obs), err)
	}
	if x := obs[0].Exit; x == nil || x.ExitCode != 137 || len(x.Labels) != 1 || x.Labels["tier"] != "web" {
		t.Errorf("exit %+v", x)
	}
	if a := obs[1].Event; a == nil || a.Kind != observe.Removed || a.ID != id || a.Labels != nil {
		t.Errorf("removal %+v", a)
	}
	for text, want := range map[string]int{
		"crun: executable file `nosuch` not found in $PATH: No such file or directory: OCI runtime attempted to invoke a command that was not found": 127,
		"crun: open executable: No such file or directory: OCI runtime attempted to invoke a command that was not found":                             127,
		"crun: the path `/etc` is not a regular file: Operation not permitted: OCI permission denied":                                                126,
		"crun: open executable: Permission denied: OCI permission denied":                                                                            126,
		"netavark: no addresses left": startFailed,
	} {
		d := document{ID: id, Created: "2026-11-21T12:06:27.773545163Z", State: &state{Status: stateCreated, Error: text}, Config: &config{StopSignal: "15"}}
		c := d.container("podman")
		if c.Exit == nil || c.Exit.ExitCode != want || *c.ExitCode != want {
			t.Errorf("%s: %+v, want %d", text, c.Exit, want)
		}
		if c.StopSignal != "SIGTERM" {
			t.Errorf("stop signal %q", c.StopSignal)
		}
	}
}

func TestInboxGrowsInOrder(t *testing.T) {
	b := newInbox(100)
	next, want := int64(0), int64(0)
	for _, step := range []struct{ put, take int }{{16, 10}, {40, 3}, {50, 100}, {7, 100}} {
		for range step.put {
			next++
			b.put(events.Message{TimeNano: next})
		}
		msgs, lost, _ := b.take(step.take)
		for _, m := range msgs {
			if want++; m.TimeNano != want {
				t.Fatalf("event %d comes where %d should", m.TimeNano, want)
			}
		}
		if lost.Lost != 0 {
			t.Fatalf("%d lost of %d", lost.Lost, next)
		}
	}
	if want != next {
		t.Errorf("%d of %d came", want, next)
	}
}

// TestAwayEngineIsWaitedFor looks that nothing is due at once while the engine is away, as
// a list is that would have been made meanwhile.
func TestAwayEngineIsWaitedFor(t *testing.T) {
	s, err := New(Options{Host: "unix:///nonexistent/docker.sock"})
	if err != nil {
		t.Fatal(err)
	}
	r := newRun(s, func(observe.Observation) {})
	now := time.Now()
	r.rec.due = now.Add(-time.Minute)
	r.watchStart("aa", now.Add(-time.Hour))
	r.runChecks(now)
	r.stepReconcile(t.Context(), now)
	if wait := r.next(now).Sub(now); wait < time.Second {
		t.Errorf("the loop goes round again after %s", wait)
	}
	if !r.rec.again {
		t.Error("no list is made when it is back")
	}
}
