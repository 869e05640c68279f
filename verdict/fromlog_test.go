package verdict

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/kmsg"
)

// TestLogExplainerKeepsNothing explains kills that differ in what was printed,
// one after another in the same memory, and each alone.
func TestLogExplainerKeepsNothing(t *testing.T) {
	var list []*kmsg.Episode
	for n := range 64 {
		e := sampleEpisode(n * 3)
		if n%3 == 0 { // printed without a header
			e = &kmsg.Episode{Kills: e.Kills, Lines: e.Lines[2:], Constraint: e.Constraint}
			e.Kills[0].Line, e.Kills[0].UID = "", -1
		}
		switch n % 5 {
		case 1:
			e.TaskMemcg, e.OOMMemcg = "/system.slice/nginx.service", "/system.slice"
		case 2:
			e.Constraint, e.OOMMemcg, e.Kernel = kmsg.ConstraintNone, "", ""
		case 3:
			e.TaskMemcg = "/kubepods/burstable/pod11112222-3333-4444-5555-666677778888/" + strings.Repeat("ab", 32)
			e.Stats, e.KmemUsage = nil, kmsg.Bytes(3)
		case 4:
			e.Group, e.GroupMemcg, e.TaskMemcg = true, e.TaskMemcg, ""
			e.Kills[0].Time, e.Usage = time.Time{}, kmsg.Size{}
		}
		for i := range e.Tasks {
			e.Tasks[i].RSS = kmsg.Bytes(int64((i * 7919) % 50 << 12))
			e.Tasks[i].Swap.Printed = i%2 == 0
		}
		list = append(list, e)
	}
	var x LogExplainer
	for n, e := range append(list, list...) {
		want, got := Explain(FromLog(e, 0, "")), x.Explain(e, 0, "")
		if d := cmp.Diff(string(want.AppendJSON(nil)), string(got.AppendJSON(nil))); d != "" {
			t.Errorf("episode %d (-alone +after others):\n%s", n, d)
		}
		for i := 1; i < len(want.Processes); i++ {
			if *want.Processes[i].RSS > *want.Processes[i-1].RSS {
				t.Errorf("episode %d: row %d holds more than the one before", n, i)
			}
		}
	}
}

// TestSwapIsSaidWhereverItStands reads the swap in use of cgroup v1's statistics and of
// v2's own line, and says nothing where the kernel counts none.
func TestSwapIsSaidWhereverItStands(t *testing.T) {
	for name, c := range map[string]struct {
		stat string
		line kmsg.Size
		want string
	}{
		"v1":             {"total_swap", kmsg.Size{}, `"swap_bytes":4096`},
		"v2":             {"swapcached", kmsg.Bytes(4096), `"swap_bytes":4096`},
		"v2, none used":  {"swapcached", kmsg.Bytes(0), `"swap_bytes":0`},
		"v1 has another": {"total_swap", kmsg.Bytes(1), `"swap_bytes":4096`},
		"not counted":    {"swapcached", kmsg.Size{}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			e := sampleEpisode(1)
			e.Tasks, e.SwapUsage = nil, c.line
			e.Stats = map[string]int64{"anon": 1 << 20, c.stat: 4096}
			got := string(Explain(FromLog(e, 0, "")).AppendJSON(nil))
			if c.want == "" && strings.Contains(got, "swap_bytes") || !strings.Contains(got, c.want) {
				t.Errorf("want %q in %s", c.want, got)
			}
		})
	}
}

// An id that was told once must stay the same: stores and receivers keep it.
func TestIDsStay(t *testing.T) {
	e := sampleEpisode(0)
	started := time.Unix(1700000000, 123456789)
	got := fmt.Sprint(KillID("", e, &e.Kills[0]), " ", KillID("boot", e, &e.Kills[0]), " ", KillID("", &kmsg.Episode{Seq: 7}, &kmsg.Kill{PID: 3, Comm: "x"}), " ",
		incident.DeathID("c1", started), " ", incident.CounterID("c1", started, 3))
	if want := "y7zf7winf2gbak7s bpmjsvrxuogjkuex ehpl5zfrkuhr4pit r3ay4xlwiprpqjhl vuqkbwvpkvcapdhh"; got != want {
		t.Errorf("ids %s, want %s", got, want)
	}
}
