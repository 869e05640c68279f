package gather

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/oomwatch/oomwatch/audit"
	"github.com/oomwatch/oomwatch/test/lab"
	"github.com/oomwatch/oomwatch/watcher/docker"
)

// hardened are the flags of a container that breaks no rule.
var hardened = []string{"--memory", "64m", "--memory-swap", "128m", "--pids-limit", "64", "--init", "--health-cmd", "true", "--log-opt", "max-size=1m",
	"--read-only", "--security-opt", "no-new-privileges", "--user", "1000", "--restart", "on-failure:5", "--ulimit", "nofile=1024:4096"}

// without is hardened without some of its flags and their values.
func without(flags ...string) []string {
	var out []string
	for i := 0; i < len(hardened); i++ {
		if slices.Contains(flags, hardened[i]) {
			if i+1 < len(hardened) && !strings.HasPrefix(hardened[i+1], "--") {
				i++
			}
			continue
		}
		out = append(out, hardened[i])
	}
	return out
}

func with(more ...string) []string { return append(slices.Clone(hardened), more...) }

// cases are real containers and all rules that each breaks. stopped are those that are
// made and not started, for what a test machine may not be allowed to run; they are read
// from docker inspect.
type ruleCase struct {
	name    string
	flags   []string
	image   string // lab.Image where it is ""
	command []string
	want    []string
	stopped bool
}

// args are those of docker that make it, and run it if it can be.
func (c *ruleCase) args() []string {
	args := []string{"run", "-d"}
	if c.stopped {
		args = []string{"create"}
	}
	if !slices.Contains(c.flags, "--network") {
		args = append(args, "--network", "none")
	}
	command := c.command
	if command == nil {
		command = []string{"sleep", "1000"}
	}
	return slices.Concat(args, c.flags, []string{"--name", "audit-" + c.name, cmp.Or(c.image, lab.Image)}, command)
}

func ruleCases(socket string) []ruleCase {
	return []ruleCase{
		{name: "good", flags: hardened},
		{name: "good-quiet", flags: with("--label", audit.Label+"=sec.env_secrets", "-e", "DB_PASSWORD=hunter2-and-more")},
		{name: "good-handles", flags: without("--init"), command: []string{"prog", "polite"}},
		{name: "good-exec", flags: without("--init"), command: []string{"sh", "-c", "true; exec prog polite"}},
		{name: "good-trap", flags: without("--init"), command: []string{"sh", "-c", "trap 'exit 0' TERM; while true; do sleep 0.2; done"}},
		{name: "good-public", flags: with("-e", "GPG_KEY=A035C8C19219BA821ECEA86B64E628F8D684696D", "-e", "DB_PASSWORD_FILE=/run/secrets/db", "-e", "PYTHON_SHA256=c30bb24b7f1e9a19b11b55a546434f74e739bb4c271a3e3a80ff4380d49f7adb")},
		{name: "memory", flags: without("--memory", "--memory-swap"), want: []string{"memory.no_limit"}},
		{name: "more-than-the-host", flags: append(without("--memory", "--memory-swap"), "--memory", "4t"), want: []string{"memory.limit_above_host"}},
		{name: "swap-unlimited", flags: append(without("--memory-swap"), "--memory-swap", "-1"), want: []string{"memory.swap_unlimited"}},
		{name: "swap-none", flags: append(without("--memory-swap"), "--memory-swap", "64m"), want: []string{"memory.swap_none"}},
		{name: "protected", flags: with("--oom-score-adj", "-950"), want: []string{"memory.oom_score_protected"}, stopped: true},
		{name: "heap", flags: with("-e", "JAVA_OPTS=-server -Xmx1g"), want: []string{"memory.heap_above_limit"}},
		{name: "heap-by-script", flags: hardened, want: []string{"memory.heap_above_limit"},
			command: []string{"sh", "-c", `M=1; exec sh -c "trap 'exit 0' TERM; while :; do sleep 1; done" java -Xmx${M}g`}},
		{name: "shm", flags: with("--shm-size", "1m"), command: []string{"sh", "-c", "dd if=/dev/zero of=/dev/shm/x bs=1000k count=1; exec sleep 1000"}, want: []string{"memory.shm_nearly_full"}},
		{name: "pids", flags: without("--pids-limit"), want: []string{"pids.no_limit"}},
		{name: "shell", flags: without("--init"), command: []string{"sh", "-c", "sleep 1000; true"}, want: []string{"init.shell_form"}},
		{name: "deaf", flags: without("--init"), want: []string{"init.stop_signal_ignored"}},
		{name: "zombies", flags: without("--init"), command: []string{"prog", "zombies", "8"}, want: []string{"init.zombies"}},
		{name: "cpu", flags: with("--cpus", "0.02"), want: []string{"cpu.quota_tiny"}},
		{name: "restart", flags: append(without("--restart"), "--restart", "always"), want: []string{"restart.unbounded"}},
		{name: "restarted", flags: without("--read-only", "--user"), command: []string{"sh", "-c", "echo x >>/n; [ $(wc -l </n) -gt 3 ] && exec sleep 1000; exit 1"},
			want: []string{"restart.rising", "sec.root_user", "sec.writable_root"}},
		{name: "health", flags: without("--health-cmd"), want: []string{"health.none"}},
		{name: "ill", flags: append(without("--health-cmd"), "--health-cmd", "false", "--health-interval", "1s", "--health-retries", "1"), want: []string{"health.failing"}},
		{name: "log", flags: without("--log-opt"), want: []string{"log.unbounded"}},
		{name: "latest", flags: hardened, image: "lab/latest", want: []string{"image.latest"}},
		{name: "moved", flags: hardened, image: "lab/moved:1", want: []string{"image.moved"}},
		{name: "anonymous", flags: with("-v", "/data"), want: []string{"volume.anonymous"}},
		{name: "socket", flags: with("-v", socket+":/var/run/docker.sock:ro"), want: []string{"sec.docker_socket"}},
		{name: "paths", flags: with("-v", "/etc:/host/etc"), want: []string{"sec.host_paths"}},
		{name: "network", flags: with("--network", "host"), want: []string{"sec.host_network"}},
		{name: "pid", flags: with("--pid", "host"), want: []string{"sec.host_pid"}},
		{name: "ipc", flags: with("--ipc", "host"), want: []string{"sec.host_ipc"}},
		{name: "uts", flags: with("--uts", "host"), want: []string{"sec.host_uts"}},
		{name: "root", flags: without("--user"), want: []string{"sec.root_user"}},
		{name: "writable", flags: without("--read-only"), want: []string{"sec.writable_root"}},
		{name: "new-privileges", flags: without("--security-opt"), want: []string{"sec.new_privileges"}},
		{name: "seccomp", flags: with("--security-opt", "seccomp=unconfined"), want: []string{"sec.seccomp_off"}},
		{name: "apparmor", flags: with("--security-opt", "apparmor=unconfined"), want: []string{"sec.apparmor_off"}},
		{name: "secrets", flags: with("-e", "DB_PASSWORD=hunter2-and-more", "-e", "DATABASE_URL=postgres://app:s3cr3t-pass@db/app"), want: []string{"sec.env_secrets"}},
		{name: "privileged", flags: with("--privileged"), want: []string{"sec.privileged"}, stopped: true},
		{name: "capabilities", flags: with("--cap-add", "SYS_ADMIN", "--cap-add", "CHOWN"), want: []string{"sec.capabilities"}, stopped: true},
		{name: "devices", flags: with("--device", "/dev/null:/dev/x"), want: []string{"sec.host_devices"}, stopped: true},
		{name: "nofile", flags: append(without("--ulimit"), "--ulimit", "nofile=1073741816:1073741816"), want: []string{"nofile.unbounded"}, stopped: true},
		{name: "cannot-die", flags: with("--oom-kill-disable"), want: []string{"memory.oom_kill_disable"}, stopped: true},
	}
}

// elsewhere are the rules that need what the daemon kept: see TestKept.
var elsewhere = []string{"memory.limit_too_small", "memory.limit_too_large", "stop.grace_too_short"}

// TestRules runs a real container for each rule that breaks it, and some that break none.
func TestRules(t *testing.T) {
	e := lab.Start(t, lab.Options{Args: []string{"-H", "tcp://127.0.0.1:" + freePort(t)}})
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for _, tag := range []string{"lab/latest", "lab/moved:1"} {
		e.MustDocker(t, "tag", lab.Image, tag)
	}
	cases := ruleCases(strings.TrimPrefix(e.Host, "unix://"))
	below := belowParent(ctx, t, e)
	want, made := below, []string{}
	var running sync.WaitGroup
	slots := make(chan struct{}, 4)
	for _, c := range cases {
		want["audit-"+c.name] = c.want
		if c.stopped {
			made = append(made, "audit-"+c.name)
		}
		running.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			if _, err := e.Docker(ctx, c.args()...); err != nil {
				t.Error(err)
			}
		})
	}
	running.Wait()
	e.MustDocker(t, "commit", "audit-good", "lab/moved:1")
	settle(ctx, t, e)

	facts, err := (&Host{Engines: []string{e.Host}}).Facts(ctx)
	if err != nil {
		t.Fatal(err)
	}
	inspected, err := e.Docker(ctx, append([]string{"inspect"}, made...)...)
	if err != nil {
		t.Fatal(err)
	}
	saved, err := docker.ReadDefinitions(strings.NewReader(inspected))
	if err != nil {
		t.Fatal(err)
	}
	facts.Containers = append(facts.Containers, saved...)
	facts.Host.Swap = 1 << 30 // whether this machine has some is not asked here
	report := audit.Judge(facts, nil)
	got := map[string][]string{}
	for _, f := range report.Findings {
		name := ""
		if f.Container != nil {
			name = f.Container.Name
		}
		got[name] = append(got[name], f.Rule)
		if f.Evidence == "" || f.LeadsTo == "" || f.Fix == "" || strings.Contains(f.Evidence+f.Fix, "hunter2") || strings.Contains(f.Evidence+f.Fix, "s3cr3t") {
			t.Errorf("%+v", f)
		}
	}
	want[""] = []string{"memory.overcommitted", "sec.api_without_tls"}
	for name := range want {
		slices.Sort(want[name])
		slices.Sort(got[name])
	}
	maps.DeleteFunc(want, func(_ string, rules []string) bool { return len(rules) == 0 })
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if report.Excluded != 1 {
		t.Errorf("%d left out, want the one that a label names", report.Excluded)
	}
	allCovered(t, want)
}

// allCovered looks that each rule is broken by something.
func allCovered(t *testing.T, want map[string][]string) {
	t.Helper()
	broken := map[string]bool{}
	for _, rules := range want {
		for _, r := range rules {
			broken[r] = true
		}
	}
	for _, r := range audit.Rules() {
		if !broken[r.ID] && !slices.Contains(elsewhere, r.ID) {
			t.Errorf("no container breaks %s", r.ID)
		}
	}
}

// belowParent runs a container below a cgroup with a limit.
func belowParent(ctx context.Context, t *testing.T, e *lab.Engine) map[string][]string {
	t.Helper()
	parent, remove, err := e.Parent(ctx, "oomwatch-audit", 48<<20)
	if err != nil {
		t.Fatal(err)
	}
	id, err := e.Run(ctx, append(with("--name", "audit-below", "--cgroup-parent", parent), lab.Image, "sleep", "1000")...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, _ = e.Docker(context.Background(), "rm", "-f", id)
		remove()
	})
	return map[string][]string{"audit-below": {"memory.parent_limit_lower", "memory.cgroup_parent"}}
}

// settle waits for what takes a while to become true.
func settle(ctx context.Context, t *testing.T, e *lab.Engine) {
	t.Helper()
	for _, x := range []struct{ name, format, want string }{
		{"audit-ill", "{{.State.Health.Status}}", "unhealthy"}, {"audit-restarted", "{{.RestartCount}} {{.State.Running}}", "3 true"},
	} {
		for {
			got, err := e.Inspect(ctx, x.name, x.format)
			if err == nil && got == x.want {
				break
			}
			if ctx.Err() != nil {
				t.Fatalf("%s is %q, want %q (%v)", x.name, got, x.want, err)
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return fmt.Sprint(l.Addr().(*net.TCPAddr).Port)
}
