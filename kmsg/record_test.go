package kmsg

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseRecord(t *testing.T) {
	for _, tt := range []struct {
		raw  string
		want Record
	}{
		{"6,9257,1234567,-;oom-kill:constraint=x\n", Record{Seq: 9257, Level: 6, Uptime: 1234567 * time.Microsecond, HasUptime: true, Text: "oom-kill:constraint=x", Escaped: true}},
		{"12,1,0,-;forged\n SUBSYSTEM=x\n", Record{Seq: 1, Facility: 1, Level: 4, HasUptime: true, Text: "forged", Escaped: true}},
		{"4,2,3,c,caller=T77;frag;ment", Record{Seq: 2, Level: 4, Continuation: true, Caller: "T77", Uptime: 3 * time.Microsecond, HasUptime: true, Text: "frag;ment", Escaped: true}},
		{"4,2,3,-,odd=1,caller=C0;\n", Record{Seq: 2, Level: 4, Caller: "C0", Uptime: 3 * time.Microsecond, HasUptime: true, Escaped: true}},
	} {
		var r Record
		if err := ParseRecord([]byte(tt.raw), &r); err != nil {
			t.Errorf("ParseRecord(%q): %v", tt.raw, err)
		} else if d := cmp.Diff(tt.want, r); d != "" {
			t.Errorf("ParseRecord(%q) (-want +got):\n%s", tt.raw, d)
		}
	}
	for _, raw := range []string{"", "6", "6,1", "6,1,2,-", "x,1,2,-;t", "6,,2,-;t", "6,1,2;t", "99999,1,2,-;t",
		"6,99999999999999999999,2,-;t", "6,1,99999999999999999,-;t", "6,1,2,--;t", "-6,1,2,-;t", " 6,1,2,-;t"} {
		if err := ParseRecord([]byte(raw), new(Record)); err == nil {
			t.Errorf("ParseRecord(%q) found no fault", raw)
		}
	}
}

func TestHeaderAllocatesNothing(t *testing.T) {
	raw := []byte("6,9257,1234567,-,caller=T1;veth1: link becomes ready on an interface nobody asked about\n")
	var r Record
	n := testing.AllocsPerRun(100, func() {
		text, err := ParseHeader(raw, &r)
		if err != nil || Interesting(text) {
			t.Fatalf("text %q, error %v", text, err)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations for a record that nobody needs, want 0", n)
	}
}

func TestInteresting(t *testing.T) {
	for _, text := range []string{
		"tail invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0",
		"memory: usage 32768kB, limit 32768kB, failcnt 19",
		"anon 28139520", "anon 28139520\\x0afile 0", "[  21154]     0 21154     8843",
		"oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null)", "Killed process 1 (a)",
		"cgroup: fork rejected by pids controller in /docker/x", "x[1]: segfault at 0 ip 0",
		"Linux version 6.1.0-18-amd64 (debian-kernel@lists.debian.org)",
	} {
		if !Interesting([]byte(text)) {
			t.Errorf("Interesting(%q) = false", text)
		}
	}
	for _, text := range []string{"", "eth0: link up", "audit: type=1400", "docker0: port 1(veth) entered blocking state"} {
		if Interesting([]byte(text)) {
			t.Errorf("Interesting(%q) = true", text)
		}
	}
}
