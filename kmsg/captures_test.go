package kmsg

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// captureTruth is what really happened in a capture, from its head: whom the kernel
// killed and where, as the processes and the engine said, not the log.
type captureTruth struct {
	killed map[int]string // pid to the end of its cgroup's path
	forged []int          // pids that a program's record names
	fault  bool           // another record explains a death
}

func readTruth(t *testing.T, head []byte) captureTruth {
	t.Helper()
	truth := captureTruth{killed: make(map[int]string)}
	for line := range strings.Lines(string(head)) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) < 3 {
			continue // words for people
		}
		pid, err := strconv.Atoi(f[1])
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		switch f[0] {
		case "killed":
			truth.killed[pid] = f[2]
		case "forged":
			truth.forged = append(truth.forged, pid)
		case "fault":
			truth.fault = true
		}
	}
	return truth
}

// readersWithFacility show who wrote a record.
var readersWithFacility = []string{"kmsg", "dmesg-x", "dmesg-xT", "journal-export", "journal-json", "journal-verbose"}

// Captures are logs of real kernels as real readers show them (test/vm/capture),
// in the form of the cases. What is told of them is held against what is known to
// have happened as well, so that -update cannot make a wrong answer right.
func TestCaptures(t *testing.T) {
	names, err := filepath.Glob("testdata/captures/*.txt")
	if err != nil || len(names) == 0 {
		t.Fatalf("no captures in testdata/captures: %v", err)
	}
	for _, name := range names {
		base := strings.TrimSuffix(filepath.Base(name), ".txt")
		t.Run(base, func(t *testing.T) {
			head, log, want := readCase(t, name)
			got := tellAll(t, bytes.NewReader(log))
			checkTruth(t, readTruth(t, head), log, base)
			if *update {
				out := slices.Concat(head, []byte("-- log --\n"), log, []byte("-- want --\n"), []byte(got))
				if err := os.WriteFile(name, out, 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if d := cmp.Diff(string(want), got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// checkTruth holds what the log tells against what happened.
func checkTruth(t *testing.T, truth captureTruth, log []byte, base string) {
	t.Helper()
	knowsFacility := slices.ContainsFunc(readersWithFacility, func(r string) bool { return strings.HasSuffix(base, "-"+r) })
	told := make(map[int]int)
	faults := 0
	_, err := Scan(context.Background(), bytes.NewReader(log), base, caseOptions(), func(e *Event) error {
		switch {
		case e.Unrecognised != nil:
			t.Errorf("not recognised: %q", e.Unrecognised.Text)
		case e.Fault != nil:
			// An emulated processor may stand still for a while.
			if e.Fault.Kind != FaultSoftLockup {
				faults++
			}
		case e.Episode != nil:
			for _, k := range e.Episode.Kills {
				told[k.PID]++
				path, killed := truth.killed[k.PID]
				switch {
				case slices.Contains(truth.forged, k.PID):
					if knowsFacility || !e.Episode.Unverified {
						t.Errorf("pid %d is told as killed (unverified %v), a program wrote that", k.PID, e.Episode.Unverified)
					}
				case !killed:
					t.Errorf("pid %d (%s) was not killed", k.PID, k.Comm)
				case e.Episode.TaskMemcg != "" && !strings.HasSuffix(e.Episode.TaskMemcg, path):
					t.Errorf("pid %d was in %q, not in %q", k.PID, path, e.Episode.TaskMemcg)
				}
				if knowsFacility && e.Episode.Unverified {
					t.Errorf("pid %d is unverified although the log has the facility", k.PID)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	// journalctl shows no text that it does not think printable.
	hides := bytes.Contains(log, []byte("B blob data]"))
	for pid := range truth.killed {
		if told[pid] != 1 && !(told[pid] == 0 && hides) {
			t.Errorf("pid %d was killed once, and is told %d times", pid, told[pid])
		}
	}
	if truth.fault != (faults > 0) {
		t.Errorf("%d faults are told, there was one: %v", faults, truth.fault)
	}
}

// The same records tell the same story through every reader: what /dev/kmsg
// gave is held against what each of the others made of it.
func TestCapturesAgree(t *testing.T) {
	names, err := filepath.Glob("testdata/captures/*-kmsg.txt")
	if err != nil || len(names) == 0 {
		t.Fatalf("no captures of /dev/kmsg: %v", err)
	}
	for _, name := range names {
		scene := strings.TrimSuffix(name, "kmsg.txt")
		if strings.HasSuffix(scene, "-forged-") {
			continue // most readers cannot tell the forgeries: TestCaptures
		}
		want := captured(t, name)
		others, err := filepath.Glob(scene + "*.txt")
		if err != nil {
			t.Fatal(err)
		}
		for _, other := range others {
			if other == name || strings.HasSuffix(other, "journal-verbose.txt") && strings.Contains(other, "hostile") {
				continue // journalctl -o verbose hides hostile text
			}
			t.Run(strings.TrimSuffix(filepath.Base(other), ".txt"), func(t *testing.T) {
				if d := cmp.Diff(want, captured(t, other)); d != "" {
					t.Errorf("(-/dev/kmsg +this):\n%s", d)
				}
			})
		}
	}
}

// captured reads the episodes of a capture, without what readers are known to
// change: numbers and stamps of records, who wrote them, and how a name with
// control bytes looks.
func captured(t *testing.T, name string) []Episode {
	t.Helper()
	_, log, _ := readCase(t, name)
	var all []Episode
	_, err := Scan(context.Background(), bytes.NewReader(log), name, caseOptions(), func(e *Event) error {
		if e.Episode == nil {
			return nil
		}
		ep := *e.Episode
		ep.Seq, ep.Uptime, ep.HasUptime, ep.Time = 0, 0, false, time.Time{}
		ep.Unverified, ep.Lines, ep.Host = false, nil, ""
		ep.Tasks = slices.Clone(ep.Tasks)
		ep.Kills = slices.Clone(ep.Kills)
		for i := range ep.Kills {
			k := &ep.Kills[i]
			k.Seq, k.Uptime, k.HasUptime, k.Time, k.Line = 0, 0, false, time.Time{}, ""
			k.Comm = plainName(k.Comm)
		}
		for i := range ep.Tasks {
			ep.Tasks[i].Comm = plainName(ep.Tasks[i].Comm)
		}
		if ep.Trigger.Comm = plainName(ep.Trigger.Comm); ep.Trigger.Comm == "" {
			ep.Trigger = Task{} // cut at a line end, its pid is in another line
		}
		// Of a multi-line record of counters rsyslog keeps only a part.
		for counter := range ep.Stats {
			if counter != "anon" && counter != "rss" {
				delete(ep.Stats, counter)
			}
		}
		all = append(all, ep)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// plainName is a comm if it has nothing that a reader might change, else "".
func plainName(comm string) string {
	for _, part := range []string{"evil", "Killed pr", "日本"} { // the hostile ones of the captures
		if strings.Contains(comm, part) {
			return ""
		}
	}
	return comm
}
