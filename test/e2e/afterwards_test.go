package e2e

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/test/lab"
)

// TestEveryCauseAfterwards causes each death of the lab while nobody watches, and
// asks when all is over: once what can still be asked, once saved files alone.
func TestEveryCauseAfterwards(t *testing.T) {
	e := lab.Start(t, lab.Options{})
	ctx := timeout(t, 5*time.Minute)
	on := platform(t, e)
	since := fmt.Sprint(time.Now().Unix())
	ids := map[string]lab.Death{}
	var all []string
	for _, d := range lab.Deaths() {
		d = d.On(on)
		id, err := d.Do(ctx, e, "t-"+d.Name)
		if err != nil {
			t.Fatalf("%s: %v", d.Name, err)
		}
		ids[id] = d
		all = append(all, id)
	}
	// A daemon that is installed after it all.
	hook := newReceiver(t)
	late := startDaemon(t, e.Host, hook)
	time.Sleep(lab.Slow(5 * time.Second)) // the last words of the ends are asked for, and waited for
	save := saver(t)
	none := []string{"--socket", filepath.Join(t.TempDir(), "none.sock")}
	for _, from := range []struct {
		name string
		args []string
		// less is what is told where the last log lines cannot be read.
		less map[string]string
	}{
		{"afterwards", append(none, "--all", "--docker", e.Host), nil},
		{"installed-late", []string{"--socket", late.socket, "--all"}, nil},
		{"saved", []string{
			"--inspect", save("inspect.json", e.MustDocker(t, append([]string{"inspect"}, all...)...)),
			"--events", save("events.json", e.MustDocker(t, "events", "--since", since, "--until", fmt.Sprint(time.Now().Unix()+1), "--format", "{{json .}}")),
			"--log", save("kernel.log", kernelLog(t)),
		}, map[string]string{"oom.runtime": "exit.error", "limit.disk": "exit.error"}},
	} {
		out, errs, code := oomwatch(t, append([]string{"explain", "-o", "json"}, from.args...)...)
		if code != 0 {
			t.Fatalf("%s: exit status %d: %s", from.name, code, errs)
		}
		told := map[string][]incident.Incident{}
		for _, inc := range parseLines(t, out) {
			if c := inc.Container; c != nil && (inc.Kind == incident.KindDeath || ids[c.ID].ExitCode < 0) {
				told[c.ID] = append(told[c.ID], inc)
			}
		}
		for _, id := range all {
			d := ids[id]
			want, got, wrong := d.Told(false).Cause(), "-", ""
			if less := from.less[want]; less != "" {
				want = less
			}
			if from.less != nil && want == "exec.failed" && d.ExitCode == 1 {
				want = "exit.error" // only its log says that nothing ever ran
			}
			switch n := len(told[id]); {
			case n > 1:
				wrong = fmt.Sprintf("told %d times", n)
			case n == 1:
				got = string(told[id][0].Cause)
				wrong = falseComfort(&told[id][0])
			}
			if got != want && wrong == "" {
				wrong = "told as " + got
			}
			if wrong != "" {
				t.Errorf("%s, %s: %s, want %s", d.Name, from.name, wrong, want)
				for _, inc := range told[id] {
					t.Logf("  %s %s %s: %s", inc.ID, inc.Kind, inc.Cause, inc.Summary)
				}
			}
			tell(t, on, want, d.Name+"-"+from.name, wrong == "", wrong)
		}
	}
}
