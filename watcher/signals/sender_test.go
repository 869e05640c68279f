package signals

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oomwatch/oomwatch/trace"
)

func TestUserName(t *testing.T) {
	list := filepath.Join(t.TempDir(), "passwd")
	if err := os.WriteFile(list, []byte("root:x:0:0::/root:/bin/sh\nbad line\n+::::::\nanna:x:1000:100:A,,,:/home/anna:/bin/bash\nx:x:100:1000::/:/bin/sh\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	missing := filepath.Join(t.TempDir(), "none")
	for uid, want := range map[int]string{0: "root", 1000: "anna", 100: "x", 10: "", 65534: ""} {
		if got := userName(uid, []string{missing, list}); got != want {
			t.Errorf("%d: %q, want %q", uid, got, want)
		}
	}
	if got := userName(1000, []string{missing}); got != "" {
		t.Errorf("without a list: %q", got)
	}
}

// TestSenderIsDescribed holds who sent a signal to what was read of it, without its secrets.
func TestSenderIsDescribed(t *testing.T) {
	root := 0
	s := &trace.Signal{Sig: 9, Current: trace.Process{TID: 7, PID: 7, Comm: "mysql", UID: &root, Command: "mysql -uroot -phunter2xyz shop"}, Target: trace.Process{TID: 9, PID: 9}}
	o := sentObservation(s).Sent
	if o.User != "root" || o.Sender.UID == nil || *o.Sender.UID != 0 {
		t.Errorf("user %q, uid %v", o.User, o.Sender.UID)
	}
	if strings.Contains(o.Command, "hunter2") || !strings.HasPrefix(o.Command, "mysql -uroot ") {
		t.Errorf("command %q", o.Command)
	}
	s.Current.Command = "sh " + strings.Repeat("a b ", 1000)
	if o := sentObservation(s).Sent; o.SenderConfined {
		t.Error("taken for confined to its container")
	}
	s.Current.Confined = true
	if o := sentObservation(s).Sent; !o.SenderConfined {
		t.Error("a process of a container is not taken for confined to it")
	}
	if o := sentObservation(s).Sent; len(o.Command) > maxCommand+3 {
		t.Errorf("%d bytes of command", len(o.Command))
	}
	s.Current.Gone, s.Current.UID, s.Current.Command = true, nil, ""
	if o := sentObservation(s).Sent; o.User != "" || o.Command != "" || o.Sender.UID != nil {
		t.Errorf("one that has ended: %+v", o)
	}
}
