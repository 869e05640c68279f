package audit

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/redact"
)

// securityRules are about what a container may do to its host.
var securityRules = []rule{
	{id: "sec.privileged", cis: "5.5", severity: incident.Critical, title: "privileged",
		leadsTo: "Root in it is root on the host: it can load modules, write to disks and end every process.",
		of: given(func(c *Container) bool { return c.Privileged }, "privileged is set", change{remove: true, compose: "privileged: true", run: "--privileged", pod: "securityContext.privileged: true",
			then: "Give it only what it needs, as single capabilities and devices."})},
	{id: "sec.docker_socket", cis: "5.32", severity: incident.Critical, title: "the engine's socket mounted", of: dockerSocket,
		leadsTo: "Who controls it controls the engine, and with it the host."},
	{id: "sec.capabilities", cis: "5.4", severity: incident.Warning, title: "dangerous capabilities added", of: capabilities,
		leadsTo: "They are enough to leave the container, or to disturb the whole host."},
	{id: "sec.host_paths", cis: "5.6", severity: incident.Warning, title: "directories of the host mounted writable", of: hostPaths,
		leadsTo: "A program in it can change the host's own files."},
	{id: "sec.host_network", cis: "5.10", severity: incident.Warning, title: "the host's network",
		leadsTo: "It sees all traffic, can take any port, and reaches services that listen on localhost alone.",
		of: given(func(c *Container) bool { return c.NetworkHost }, "network mode host", change{remove: true, compose: "network_mode: host", run: "--network host", pod: "hostNetwork: true",
			then: "Publish the ports that it needs."})},
	{id: "sec.host_pid", cis: "5.16", severity: incident.Warning, title: "the host's processes",
		leadsTo: "It sees every process of the host and, as root, can end them.",
		of:      given(func(c *Container) bool { return c.PIDHost }, "pid mode host", change{remove: true, compose: "pid: host", run: "--pid host", pod: "hostPID: true"})},
	{id: "sec.host_ipc", cis: "5.17", severity: incident.Warning, title: "the host's IPC",
		leadsTo: "It can read and write shared memory of every process of the host.",
		of:      given(func(c *Container) bool { return c.IPCHost }, "ipc mode host", change{remove: true, compose: "ipc: host", run: "--ipc host", pod: "hostIPC: true"})},
	{id: "sec.host_uts", cis: "5.21", severity: incident.Info, title: "the host's name", engine: true,
		leadsTo: "It can change the host's name, as root.",
		of:      given(func(c *Container) bool { return c.UTSHost }, "uts mode host", change{remove: true, compose: "uts: host", run: "--uts host"})},
	{id: "sec.host_devices", cis: "5.18", severity: incident.Info, title: "devices of the host", engine: true, of: hostDevices,
		leadsTo: "It can read and write those devices past every file system."},
	{id: "sec.writable_root", cis: "5.13", severity: incident.Info, title: "a writable root file system",
		leadsTo: "What it writes there fills the engine's disk and is lost with the container.",
		of: given(func(c *Container) bool { return !c.ReadonlyRoot }, "the root file system is writable", change{compose: "read_only: true, and tmpfs: [/tmp]", run: "--read-only --tmpfs /tmp",
			pod: "securityContext.readOnlyRootFilesystem: true", swarm: "--read-only"})},
	{id: "sec.seccomp_off", cis: "5.22", severity: incident.Warning, title: "no filter of system calls",
		leadsTo: "All system calls are open to it, those with a history of kernel bugs too.",
		of:      seccompOff},
	{id: "sec.apparmor_off", cis: "5.2", severity: incident.Warning, title: "no AppArmor profile", engine: true,
		leadsTo: "It may write to files below /proc and /sys that the default profile denies.",
		of:      given(func(c *Container) bool { return !c.Privileged && c.securityOpt("apparmor", "unconfined") }, "AppArmor is unconfined", change{remove: true, compose: `security_opt: ["apparmor=unconfined"]`, run: "--security-opt apparmor=unconfined"})},
	{id: "sec.new_privileges", cis: "5.26", severity: incident.Info, title: "may gain privileges", of: newPrivileges,
		leadsTo: "A setuid program in it turns any user into root of the container."},
	{id: "sec.root_user", cis: "4.1", severity: incident.Info, title: "runs as root", of: rootUser,
		leadsTo: "Who breaks out of it is root on the host."},
	{id: "sec.env_secrets", cis: "4.10", severity: incident.Warning, title: "secrets in the environment", of: envSecrets,
		leadsTo: "Everybody who may run docker inspect, or read its /proc entries, can read them."},
	{id: "sec.api_without_tls", cis: "2.7", severity: incident.Critical, title: "the engine's API open without TLS", ofHost: apiWithoutTLS,
		leadsTo: "Everybody who reaches that port is root on this host."},
}

// sockets are where an engine listens.
var sockets = []string{"docker.sock", "podman.sock", "containerd.sock", "crio.sock"}

func dockerSocket(c *Container, _ *Host) *found {
	for _, b := range c.Binds {
		if !slices.Contains(sockets, path.Base(b.Source)) {
			continue
		}
		// Read-only is about the file: a socket can be written to all the same.
		return &found{evidence: fmt.Sprintf("%s is mounted at %s (read-only would not help)", redact.Sanitize(b.Source), redact.Sanitize(b.Destination)),
			change: change{remove: true, compose: "the volume " + redact.Sanitize(b.Source), run: "--volume " + redact.Sanitize(b.Source), pod: "the hostPath volume " + redact.Sanitize(b.Source),
				then: "If it must ask the engine, put a proxy in between that allows only GET on the paths it needs."}}
	}
	return nil
}

// dangerous are the capabilities that lead to the host, beside those that every
// container has.
var dangerous = []string{"ALL", "SYS_ADMIN", "SYS_MODULE", "SYS_PTRACE", "SYS_RAWIO", "SYS_BOOT", "SYS_TIME", "NET_ADMIN", "DAC_READ_SEARCH", "MAC_ADMIN", "MAC_OVERRIDE", "BPF", "PERFMON", "CHECKPOINT_RESTORE", "SYSLOG", "LINUX_IMMUTABLE"}

func capabilities(c *Container, _ *Host) *found {
	if c.Privileged {
		return nil // has all of them, and said so
	}
	var has []string
	for _, name := range c.CapAdd {
		if name = strings.TrimPrefix(strings.ToUpper(name), "CAP_"); slices.Contains(dangerous, name) {
			has = append(has, name)
		}
	}
	if len(has) == 0 {
		return nil
	}
	return &found{evidence: "added capabilities: " + strings.Join(has, ", "),
		change: change{remove: true, compose: fmt.Sprintf("cap_add: [%s]", strings.Join(has, ", ")), run: "--cap-add " + strings.Join(has, " --cap-add "),
			pod: fmt.Sprintf("securityContext.capabilities.add: [%s]", strings.Join(has, ", ")), swarm: "--cap-drop " + strings.Join(has, " --cap-drop ")}}
}

// hostDirectories are those of CIS 5.6.
var hostDirectories = []string{"/", "/boot", "/dev", "/etc", "/lib", "/proc", "/sys", "/usr", "/var/lib/docker", "/root", "/bin", "/sbin"}

func hostPaths(c *Container, _ *Host) *found {
	var at []string
	writable := false
	for _, b := range c.Binds {
		if slices.Contains(hostDirectories, path.Clean(b.Source)) {
			how := "read-only"
			if b.Writable {
				how, writable = "writable", true
			}
			at = append(at, fmt.Sprintf("%s (%s)", redact.Sanitize(b.Source), how))
		}
	}
	if len(at) == 0 {
		return nil
	}
	f := &found{evidence: "mounted from the host: " + strings.Join(at, ", "),
		change: change{remove: true, compose: "those volumes, or add :ro", run: "--volume of them, or with :ro", pod: "those hostPath volumes, or readOnly: true"}}
	if !writable {
		f.severity, f.leadsTo = incident.Info, "A program in it can read the host's own files, keys and passwords among them."
	}
	return f
}

func hostDevices(c *Container, _ *Host) *found {
	if len(c.Devices) == 0 {
		return nil
	}
	return &found{evidence: "devices: " + redact.Sanitize(strings.Join(c.Devices, ", ")), change: change{remove: true, compose: "devices", run: "--device", then: "Keep those that it needs."}}
}

// securityOpt is true where one of its options has a name and one of some values; Docker
// writes NAME=VALUE, older versions NAME:VALUE.
func (c *Container) securityOpt(name string, values ...string) bool {
	return slices.ContainsFunc(c.SecurityOpts, func(o string) bool {
		rest, ok := strings.CutPrefix(o, name)
		return ok && (rest == "" && slices.Contains(values, "") || rest != "" && strings.ContainsAny(rest[:1], "=:") && slices.Contains(values, rest[1:]))
	})
}

// seccompOff is one that somebody turned it off for. A pod has none unless it asks for
// one, or its kubelet gives it to all.
func seccompOff(c *Container, _ *Host) *found {
	if c.Privileged || !c.securityOpt("seccomp", "unconfined") {
		return nil
	}
	f := &found{evidence: "seccomp is unconfined", change: change{remove: true, compose: `security_opt: ["seccomp=unconfined"]`, run: "--security-opt seccomp=unconfined"}}
	if !c.byEngine() {
		f.change = change{pod: "securityContext.seccompProfile.type: RuntimeDefault", then: "For all pods of a node: seccompDefault: true in the kubelet's configuration."}
	}
	return f
}

func newPrivileges(c *Container, h *Host) *found {
	switch {
	case c.Privileged, h.NoNewPrivileges, c.securityOpt("no-new-privileges", "", "true"), c.Seen != nil && c.Seen.NoNewPrivileges:
		return nil
	}
	return &found{evidence: "no-new-privileges is not set", change: change{compose: `security_opt: ["no-new-privileges:true"]`, run: "--security-opt no-new-privileges",
		pod: "securityContext.allowPrivilegeEscalation: false"}}
}

func rootUser(c *Container, h *Host) *found {
	user, _, _ := strings.Cut(c.User, ":")
	if h.Confined || c.Mapped || user != "" && user != "0" && user != "root" || user == "" && c.Manifest {
		return nil
	}
	return &found{evidence: fmt.Sprintf("user %q", redact.Sanitize(c.User)), change: change{compose: `user: "1000:1000"`, run: "--user 1000:1000", swarm: "--user 1000:1000",
		pod: "securityContext.runAsNonRoot: true and runAsUser: 1000", then: "Its files must belong to that user."}}
}

// shownNames is how many variables are named.
const shownNames = 8

func envSecrets(c *Container, _ *Host) *found {
	if len(c.SecretNames) == 0 {
		return nil
	}
	names := c.SecretNames
	more := ""
	if len(names) > shownNames {
		names, more = names[:shownNames], fmt.Sprintf(" and %d more", len(names)-shownNames)
	}
	f := &found{evidence: "variables whose values look like secrets: " + redact.Sanitize(strings.Join(names, ", ")) + more,
		change: change{pod: "a mounted Secret, or valueFrom.secretKeyRef, instead of the value",
			compose: "secrets, and the variable NAME_FILE: /run/secrets/NAME where the image takes it", run: "a mounted file instead of --env",
			swarm: "--secret-add NAME"}}
	if c.Manifest {
		f.leadsTo = "Everybody who may read the manifest, or the pod, can read them."
	} else if !c.byEngine() {
		// They may come from a Secret: the runtime does not know.
		f.severity, f.leadsTo = incident.Info, "Everybody who may run crictl inspect on the node, or read its /proc entries, can read them."
		f.change.pod = "a mounted Secret instead of the variables"
	}
	return f
}

func apiWithoutTLS(f *Facts) *found {
	if len(f.Host.OpenAPI) == 0 {
		return nil
	}
	return &found{evidence: "the engine says: " + redact.Sanitize(f.Host.OpenAPI[0]),
		fix: `Take the tcp:// address out of "hosts" in /etc/docker/daemon.json (or dockerd's -H), or set "tlsverify": true with tlscacert, tlscert and tlskey; ssh://HOST needs neither.`}
}
