package docs

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/test/lab"
)

// composeFile is as much of a compose file as the example may use; anything else
// in it is refused, so that all of it is tried.
type composeFile struct {
	Services map[string]composeService `yaml:"services"`
	Volumes  map[string]any            `yaml:"volumes"`
}

type composeService struct {
	Image       string            `yaml:"image"`
	Command     []string          `yaml:"command"`
	Restart     string            `yaml:"restart"`
	PID         string            `yaml:"pid"`
	Cgroup      string            `yaml:"cgroup"`
	NetworkMode string            `yaml:"network_mode"`
	Devices     []string          `yaml:"devices"`
	CapDrop     []string          `yaml:"cap_drop"`
	CapAdd      []string          `yaml:"cap_add"`
	SecurityOpt []string          `yaml:"security_opt"`
	ReadOnly    bool              `yaml:"read_only"`
	OOMScoreAdj int               `yaml:"oom_score_adj"`
	MemLimit    string            `yaml:"mem_limit"`
	Environment map[string]string `yaml:"environment"`
	Volumes     []string          `yaml:"volumes"`
}

// runFlags are what "docker run" takes for the same, on an engine at socket.
func (s *composeService) runFlags(socket string) []string {
	flags := []string{"--restart", s.Restart, "--pid", s.PID, "--cgroupns", s.Cgroup, "--network", s.NetworkMode,
		"--memory", s.MemLimit, fmt.Sprintf("--read-only=%t", s.ReadOnly)}
	if mayLowerScore() {
		flags = append(flags, "--oom-score-adj", fmt.Sprint(s.OOMScoreAdj))
	}
	for flag, values := range map[string][]string{"--device": s.Devices, "--cap-drop": s.CapDrop, "--cap-add": s.CapAdd, "--security-opt": s.SecurityOpt} {
		for _, v := range values {
			flags = append(flags, flag, v)
		}
	}
	for k, v := range s.Environment {
		flags = append(flags, "--env", k+"="+v)
	}
	for _, v := range s.Volumes {
		// The private engine's socket is elsewhere.
		if rest, ok := strings.CutPrefix(v, "/var/run/docker.sock:"); ok {
			v = socket + ":" + rest
		}
		flags = append(flags, "--volume", v)
	}
	return flags
}

// mayLowerScore is false where not even root has CAP_SYS_RESOURCE, as in some
// virtual machines and containers: nothing can be kept from the OOM killer there.
func mayLowerScore() bool {
	const sysResource = 24
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return true
	}
	_, caps, _ := strings.Cut(string(b), "CapEff:\t")
	caps, _, _ = strings.Cut(caps, "\n")
	bits, err := strconv.ParseUint(caps, 16, 64)
	return err != nil || bits&(1<<sysResource) != 0
}

// TestSidecar builds the image and starts it as the compose file says, on a real
// engine; from inside it explains the OOM kill of a sibling.
func TestSidecar(t *testing.T) {
	var file composeFile
	if err := yaml.UnmarshalWithOptions([]byte(read(t, "examples/compose.yaml")), &file, yaml.Strict()); err != nil {
		t.Fatalf("examples/compose.yaml: %v", err)
	}
	service, ok := file.Services["oomwatch"]
	if !ok || len(file.Services) != 1 {
		t.Fatalf("services: %v", file.Services)
	}
	for _, v := range service.Volumes {
		if name, _, _ := strings.Cut(v, ":"); !strings.HasPrefix(name, "/") {
			if _, there := file.Volumes[name]; !there {
				t.Errorf("the volume %q is not declared", name)
			}
		}
	}
	e := lab.Start(t, lab.Options{})
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()

	bin := t.TempDir()
	if err := os.Link(binary, filepath.Join(bin, "oomwatch")); err != nil {
		t.Fatal(err)
	}
	build := e.Command(ctx, "build", "-f", filepath.Join(root, "examples/Dockerfile"), "-t", service.Image, bin)
	build.Env = append(build.Env, "DOCKER_BUILDKIT=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the image: %v\n%s", err, out)
	}
	// The port may be taken on this machine: any other will do.
	command := slices.Clone(service.Command)
	for i := range command {
		command[i] = strings.Replace(command[i], "127.0.0.1:9468", "127.0.0.1:0", 1)
	}
	args := append([]string{"run", "-d", "--name", "oomwatch"}, service.runFlags(e.Socket())...)
	if out, err := e.Docker(ctx, append(append(args, service.Image), command...)...); err != nil {
		t.Fatalf("start the sidecar: %v\n%s", err, out)
	}
	inside := func(args ...string) (string, error) {
		cmd := e.Command(ctx, append([]string{"exec", "oomwatch", "/oomwatch"}, args...)...)
		out, err := cmd.Output()
		return string(out), err
	}
	sidecarSees(t, ctx, e, inside)

	sibling := e.MustRun(t, "--name", "sibling", "-m", "32m", lab.Image, "sh", "-c", "echo eating; sleep 2; exec tail /dev/zero")
	if code, err := e.Wait(ctx, sibling); err != nil || code != 137 {
		t.Fatalf("the sibling ended with %d: %v", code, err)
	}
	got := sidecarExplains(t, ctx, e, inside, "sibling")
	b, _ := json.MarshalIndent(got, "", " ") // an Incident always marshals
	sources := map[string]bool{}
	for _, ev := range got.Evidence {
		sources[ev.Source] = true
	}
	switch {
	case got.Kind != incident.KindDeath || got.Cause != incident.OOMContainer || got.Container == nil || got.Container.ID != sibling:
		t.Errorf("from inside: %s", b)
	case !sources["kmsg"] || !sources["docker"] || !sources["recorder"]:
		t.Errorf("a source was blind inside: evidence only of %v\n%s", sources, b)
	case got.Victim == nil || got.Victim.Main == nil || !*got.Victim.Main || got.Container.MemoryLimit == nil || *got.Container.MemoryLimit != 32<<20:
		t.Errorf("from inside: %s", b)
	}
	// The README's own command, as compose's exec does it.
	if out, err := inside("explain"); err != nil || !strings.Contains(out, "sibling was OOM-killed at its own 32 MiB limit") {
		t.Errorf("explain from inside: %v\n%s", err, out)
	}
	if out, err := inside("config", "show"); err != nil || !strings.Contains(out, "/var/lib/oomwatch/oomwatch.db") {
		t.Errorf("the store is not on the volume: %v\n%s", err, out)
	}
}

// sidecarSees waits until the engine, the kernel log and the control groups are
// seen from inside, and looks that doctor finds nothing missing.
func sidecarSees(t *testing.T, ctx context.Context, e *lab.Engine, inside func(...string) (string, error)) {
	t.Helper()
	var findings string
	for {
		logs, _ := e.Command(ctx, "logs", "oomwatch").CombinedOutput() // it may not have started yet
		out, err := inside("doctor", "-o", "json")
		findings = out
		up := 0
		for _, source := range []string{"docker", "kmsg", "cgroup"} {
			if strings.Contains(string(logs), `"msg":"source up","source":"`+source+`"`) {
				up++
			}
		}
		if err == nil && up == 3 {
			break
		}
		select {
		case <-ctx.Done():
			t.Fatalf("the sidecar does not see everything: doctor %v\n%s\nlog:\n%s", err, out, logs)
		case <-time.After(100 * time.Millisecond):
		}
	}
	for line := range strings.Lines(findings) {
		var f struct{ Capability, State, Found string }
		if err := json.Unmarshal([]byte(line), &f); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		// The listen address is one that the test chose, free or not.
		if f.State == "missing" && f.Capability != "listen address" {
			t.Errorf("doctor inside: %s is missing: %s", f.Capability, f.Found)
		}
	}
}

// sidecarExplains asks until the death is told.
func sidecarExplains(t *testing.T, ctx context.Context, e *lab.Engine, inside func(...string) (string, error), name string) *incident.Incident {
	t.Helper()
	for {
		out, err := inside("explain", name, "-o", "json")
		if err == nil {
			var i incident.Incident
			if err := json.Unmarshal([]byte(out), &i); err != nil {
				t.Fatalf("%v in %s", err, out)
			}
			return &i
		}
		select {
		case <-ctx.Done():
			logs, _ := e.Command(context.WithoutCancel(ctx), "logs", "oomwatch").CombinedOutput() // said as far as it goes
			t.Fatalf("explain %s from inside: %v\n%s\nlog:\n%s", name, err, out, logs)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// TestDockerfile keeps the image what its comment says: the binary and nothing else.
func TestDockerfile(t *testing.T) {
	var steps []string
	for line := range strings.Lines(read(t, "examples/Dockerfile")) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			steps = append(steps, strings.Fields(line)[0])
		}
	}
	if !slices.Equal(steps, []string{"FROM", "COPY", "ENTRYPOINT", "CMD"}) {
		t.Errorf("steps: %q", steps)
	}
	if out, err := exec.Command("go", "version", "-m", binary).CombinedOutput(); err != nil || !strings.Contains(string(out), "CGO_ENABLED=0") {
		t.Errorf("the binary is not built for an empty image: %v\n%s", err, out)
	}
}
