package cgroup

import "strings"

// ParsePath tells from a memory cgroup's path (as the kernel log or
// /proc/PID/cgroup prints it, escapes of the log already undone) who owns it.
//
// The innermost container wins; the outermost one is kept in OuterID, because it
// is the one the host's engine knows. A container id is only ever a whole path
// component of a known shape: a cut, masked or forged one gives none. Everything
// below a container's own component was named by whoever is root in there.
func ParsePath(path string) Identity {
	p := parsePath(path)
	return p.id
}

// ContainerPath is the part of path up to the innermost container's own
// cgroup, where its limit and its counters are: "/docker/<id>" of
// "/docker/<id>/init.scope". It is path itself where there is no container.
func ContainerPath(path string) string {
	p := parsePath(path)
	if p.end == 0 {
		return path
	}
	return path[:p.end]
}

func parsePath(path string) pathParser {
	var p pathParser
	for at := 0; at < len(path); at++ {
		start := at
		if i := strings.IndexByte(path[at:], '/'); i >= 0 {
			at += i
		} else {
			at = len(path)
		}
		c := path[start:at]
		if c == "" || c == "." || c == ".." {
			continue
		}
		if foreign(c) {
			// No runtime and no systemd writes such a name: it imitates
			// the kernel's report, and nothing below it can be trusted.
			break
		}
		p.at = at
		p.component(c)
		p.grandparent, p.parent = p.parent, c
	}
	if p.inContainer() {
		p.id.Unit = ""
	}
	return p
}

// InContainer is true when the path is that of a container or a pod, or of
// something inside one. The monitor beside a container is not in it.
func (id Identity) InContainer() bool { return id.Runtime != "" && !id.Monitor }

// pathParser walks a path from the root. parent and grandparent are the
// components before the present one, at is where that one ends, and end is
// where the innermost container's component ends.
type pathParser struct {
	id                  Identity
	parent, grandparent string
	at, end             int
}

func (p *pathParser) inContainer() bool { return p.id.Runtime != "" }

// component takes the next component, from the most to the least specific shape.
func (p *pathParser) component(c string) {
	switch {
	case p.kubernetes(c), p.scope(c), p.colons(c), p.bare(c), p.byParent(c), p.lxc(c), p.nspawn(c):
	default:
		p.unit(c)
	}
}

// enter records that the path goes on inside container id of runtime. With an
// empty id (cut, masked, or a runtime without ids) an enclosing container that
// has one stays the answer.
func (p *pathParser) enter(runtime, id string) {
	if id == "" {
		if p.id.ContainerID == "" {
			p.leaveName()
			p.id.Runtime, p.end = runtime, p.at
		}
		return
	}
	p.leaveName()
	if p.id.OuterID == "" {
		p.id.OuterID = p.id.ContainerID
	}
	p.id.Runtime, p.id.ContainerID, p.end = runtime, id, p.at
	p.id.Monitor, p.id.MonitorOf = false, ""
}

// enterNamed is enter for a container known by its name. It never hides the id
// of an enclosing container, inside which anybody may have chosen the name.
func (p *pathParser) enterNamed(runtime, name string) {
	if p.id.ContainerID != "" || name == "" {
		return
	}
	p.leaveName()
	p.id.Runtime, p.id.Name, p.end = runtime, name, p.at
	p.id.Monitor, p.id.MonitorOf = false, ""
}

func (p *pathParser) leaveName() {
	if p.id.OuterName == "" {
		p.id.OuterName = p.id.Name
	}
	p.id.Name = ""
}

// monitor records the runtime's own cgroup beside a container. Inside another
// container it is a process of that one like any other.
func (p *pathParser) monitor(runtime, of string) {
	onlyPod := p.id.Runtime == "kubernetes" && p.id.ContainerID == ""
	if p.inContainer() && !onlyPod {
		return
	}
	p.id.Runtime, p.id.Monitor, p.id.MonitorOf = runtime, true, of
}

// kubernetes takes a pod's component: pod<uid> below kubepods (cgroupfs driver)
// or [root-]kubepods[-qos]-pod<uid_>.slice (systemd driver).
func (p *pathParser) kubernetes(c string) bool {
	if uid, ok := strings.CutPrefix(c, "pod"); ok && isPodUID(uid, '-') {
		switch {
		case isKubepods(p.parent):
			p.pod(uid, "guaranteed")
		case (p.parent == "burstable" || p.parent == "besteffort") && isKubepods(p.grandparent):
			p.pod(uid, p.parent)
		default:
			return false
		}
		return true
	}
	if slice, ok := strings.CutSuffix(c, ".slice"); ok {
		return p.podSlice(slice)
	}
	return false
}

func (p *pathParser) podSlice(slice string) bool {
	i := strings.LastIndex(slice, "-pod")
	if i < 0 || !isPodUID(slice[i+len("-pod"):], '_') {
		return false
	}
	group, qos := slice[:i], "guaranteed"
	if g, ok := strings.CutSuffix(group, "-burstable"); ok {
		group, qos = g, "burstable"
	} else if g, ok := strings.CutSuffix(group, "-besteffort"); ok {
		group, qos = g, "besteffort"
	}
	if !isKubepods(group) {
		return false
	}
	p.pod(strings.ReplaceAll(slice[i+len("-pod"):], "_", "-"), qos)
	return true
}

// isKubepods accepts the node's root for pods, which a kubelet with its own
// --cgroup-root (kind) prints as kubelet-kubepods.
func isKubepods(c string) bool { return c == "kubepods" || strings.HasSuffix(c, "-kubepods") }

func (p *pathParser) pod(uid, qos string) {
	p.id.PodUID, p.id.QoS = uid, qos
	p.enter("kubernetes", "")
}

// scopePrefixes are the names runtimes put before the id, in a systemd scope
// and between the colons of a scope that was never made.
var scopePrefixes = [...]struct{ prefix, runtime string }{
	{"docker", "docker"},
	{"cri-containerd", "containerd"},
	{"nerdctl", "containerd"},
	{"containerd", "containerd"},
	{"crio", "cri-o"},
	{"libpod-payload", "podman"}, // podman --cgroups=split
	{"libpod", "podman"},
	{"buildkit", "buildkit"},
	{"runc", "oci"},
	{"crun", "oci"},
}

// scope takes PREFIX-<id>.scope; podman and CRI-O write the same without
// ".scope" under the cgroupfs driver.
func (p *pathParser) scope(c string) bool {
	name, isScope := strings.CutSuffix(c, ".scope")
	for _, s := range scopePrefixes {
		rest, ok := strings.CutPrefix(name, s.prefix)
		if !ok || rest == "" || rest[0] != '-' {
			continue
		}
		rest = rest[1:]
		if !isScope && s.runtime != "podman" && s.runtime != "cri-o" {
			continue
		}
		if of, ok := strings.CutPrefix(rest, "conmon-"); ok && isID(of) {
			p.monitor(s.runtime, of)
			return true
		}
		switch {
		case s.runtime == "buildkit" || isBuildStep(rest):
			p.enter("buildkit", "")
		case isID(rest):
			p.enter(s.runtime, rest)
		case damagedID(rest):
			p.enter(s.runtime, shortenedID(rest))
		default:
			continue
		}
		return true
	}
	return false
}

// colons takes <slice>:PREFIX:<id>, a systemd path handed to a runtime that
// uses the cgroupfs driver.
func (p *pathParser) colons(c string) bool {
	slice, rest, ok := strings.Cut(c, ":")
	if !ok {
		return false
	}
	prefix, id, ok := strings.Cut(rest, ":")
	if !ok || slice != "" && !strings.HasSuffix(slice, ".slice") {
		return false
	}
	for _, s := range scopePrefixes {
		if s.prefix != prefix {
			continue
		}
		p.podSlice(strings.TrimSuffix(slice, ".slice"))
		switch {
		case isID(id):
			p.enter(s.runtime, id)
		case damagedID(id):
			p.enter(s.runtime, shortenedID(id))
		default:
			return false
		}
		return true
	}
	return false
}

// bare takes a component that is nothing but an id. Any parent will do: docker's
// --cgroup-parent and containerd's namespaces may have any name.
func (p *pathParser) bare(c string) bool {
	if !isID(c) {
		return p.fargate(c)
	}
	switch {
	case p.parent == "libpod_parent": // podman's pod, its containers are below
		return true
	case p.parent == "docker":
		p.enter("docker", c)
	case p.grandparent == "ecs":
		p.enter("ecs", c)
	case p.id.PodUID != "" && strings.HasPrefix(p.parent, "pod"):
		p.enter("kubernetes", c)
	case p.parent == "k8s.io" || p.parent == "default" || p.parent == "moby":
		p.enter("containerd", c)
	case p.grandparent == "garden" || p.parent == "garden":
		p.enter("garden", c)
	default:
		p.enter("oci", c)
	}
	return true
}

// fargate takes /ecs/<task>/<task>-<10 digits>: the only id that is not 64 hex.
func (p *pathParser) fargate(c string) bool {
	if p.grandparent != "ecs" || len(c) != 32+1+10 || c[32] != '-' || c[:32] != p.parent || !isHex(c[:32]) {
		return false
	}
	for _, d := range []byte(c[33:]) {
		if d < '0' || d > '9' {
			return false
		}
	}
	p.enter("ecs", c)
	return true
}

// unit takes a systemd unit; what lies inside one is still that unit's.
func (p *pathParser) unit(c string) {
	i := strings.LastIndexByte(c, '.')
	if i <= 0 || p.inContainer() {
		return
	}
	switch c[i:] {
	case ".service", ".scope", ".slice", ".mount", ".socket", ".swap":
		p.id.Unit = unescapeUnit(c)
	}
}
