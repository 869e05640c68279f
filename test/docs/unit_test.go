package docs

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/oomwatch/oomwatch/test/real"
)

const unit = "examples/oomwatch.service"

// spelled are the settings that the unit may use, as systemd.unit(5),
// systemd.service(5), systemd.exec(5) and systemd.resource-control(5) spell them.
var spelled = map[string][]string{
	"Unit": {"Description", "Documentation", "After"},
	"Service": {"Type", "NotifyAccess", "ExecStart", "ExecReload", "Restart", "RestartSec", "WatchdogSec", "TimeoutStopSec",
		"OOMScoreAdjust", "MemoryMin", "MemoryMax", "Environment", "StateDirectory", "StateDirectoryMode", "UMask", "RuntimeDirectory", "ConfigurationDirectory",
		"User", "CapabilityBoundingSet", "AmbientCapabilities", "NoNewPrivileges", "ProtectSystem", "ProtectHome", "PrivateTmp",
		"ProtectControlGroups", "ProtectKernelModules", "ProtectKernelTunables", "ReadWritePaths", "ProtectClock", "DevicePolicy",
		"DeviceAllow", "ProtectHostname", "LockPersonality", "MemoryDenyWriteExecute", "RestrictRealtime", "RestrictSUIDSGID",
		"RestrictNamespaces", "RestrictAddressFamilies", "SystemCallArchitectures", "SystemCallFilter"},
	"Install": {"WantedBy"},
}

// settings reads a unit file: the values of each setting, by "Section.Name".
func settings(t *testing.T, text string) map[string][]string {
	t.Helper()
	out, section := map[string][]string{}, ""
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#':
		case line[0] == '[':
			section = strings.Trim(line, "[]")
			if spelled[section] == nil {
				t.Errorf("%s:%d: unknown section %s", unit, i+1, line)
			}
		default:
			name, value, ok := strings.Cut(line, "=")
			if !ok || !slices.Contains(spelled[section], name) {
				t.Errorf("%s:%d: %q is not a known setting of [%s]", unit, i+1, name, section)
			}
			out[section+"."+name] = append(out[section+"."+name], value)
		}
	}
	return out
}

// TestUnitHidesNothing looks that the hardening leaves what is read: the kernel
// log, the processes of containers, the control groups, the engine's socket, the
// network to receivers, and the place of the signals' trace.
func TestUnitHidesNothing(t *testing.T) {
	s := settings(t, read(t, unit))
	one := func(name string) string {
		if v := s["Service."+name]; len(v) > 0 {
			return v[len(v)-1]
		}
		return ""
	}
	has := func(name, word string) bool { return slices.Contains(strings.Fields(one(name)), word) }
	// Any device setting that names one, ProtectClock among them, forbids the others.
	if one("ProtectClock") == "yes" || one("DevicePolicy") != "" || one("DeviceAllow") != "" {
		if !slices.Contains(s["Service.DeviceAllow"], "/dev/kmsg r") {
			t.Error("/dev/kmsg is not allowed by name, and other device settings forbid it")
		}
	}
	for _, need := range []struct{ name, word, why string }{
		{"CapabilityBoundingSet", "CAP_SYSLOG", "the kernel log cannot be read"},
		{"CapabilityBoundingSet", "CAP_SYS_PTRACE", "other users' processes cannot be looked up"},
		{"RestrictAddressFamilies", "AF_UNIX", "the engine's socket cannot be reached"},
		{"RestrictAddressFamilies", "AF_INET", "receivers cannot be reached"},
		{"RestrictAddressFamilies", "AF_INET6", "receivers cannot be reached"},
		{"SystemCallFilter", "@system-service", "the program cannot run"},
		{"StateDirectory", "oomwatch", "the default store cannot be written"},
		{"StateDirectoryMode", "0750", "anybody may read the store's folder"},
		{"UMask", "0027", "anybody may read what the daemon writes"},
		{"RuntimeDirectory", "oomwatch", "the default socket cannot be made"},
	} {
		if !has(need.name, need.word) {
			t.Errorf("%s has no %s: %s", need.name, need.word, need.why)
		}
	}
	if one("ProtectKernelTunables") == "yes" && !has("ReadWritePaths", "-/sys/kernel/tracing/instances") {
		t.Error("ProtectKernelTunables makes tracefs read-only, and nothing opens it again")
	}
	for _, must := range [][2]string{{"Type", "notify"}, {"NoNewPrivileges", "yes"}, {"ProtectSystem", "strict"}, {"Restart", "always"}} {
		if one(must[0]) != must[1] {
			t.Errorf("%s=%s, want %s", must[0], one(must[0]), must[1])
		}
	}
	if v := one("OOMScoreAdjust"); !strings.HasPrefix(v, "-") {
		t.Errorf("OOMScoreAdjust=%s: the watchdog would be among the first to go", v)
	}
}

// TestUnitVerifies has systemd read the unit, with the program where this test has it.
func TestUnitVerifies(t *testing.T) {
	text := read(t, unit)
	start := regexp.MustCompile(`(?m)^ExecStart=(\S+) (.*)$`).FindStringSubmatch(text)
	if start == nil || start[1] != "/usr/local/bin/oomwatch" {
		t.Fatalf("ExecStart: %q", start)
	}
	oomwatch(t, append(strings.Fields(start[2]), "--help")...) // it knows its flags
	if !strings.Contains(text, "install -D -m 600 examples/config.yaml /etc/oomwatch/config.yaml") {
		t.Error("ExecStart needs a configuration file, and the unit does not say how it gets there")
	}
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		real.Missing(t, "systemd is not installed, so that it cannot read the unit: %v", err)
	}
	copied := filepath.Join(t.TempDir(), "oomwatch.service")
	if err := os.WriteFile(copied, []byte(strings.Replace(text, "ExecStart="+start[1], "ExecStart="+binary, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(analyze, "verify", "--man=no", copied).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}
