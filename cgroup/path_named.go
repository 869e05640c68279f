package cgroup

import "strings"

// byParent takes a component that only its parent explains.
func (p *pathParser) byParent(c string) bool {
	switch p.parent {
	case "docker":
		if c == "buildkit" {
			p.enter("buildkit", "")
			return true
		}
		if p.grandparent == "" || damagedID(c) {
			p.enter("docker", shortenedID(c))
			return true
		}
	case "libpod_parent":
		if c == "conmon" {
			p.monitor("podman", "")
			return true
		}
	case "default", "k8s.io":
		if p.grandparent == "" { // ctr run: any name is an id there
			p.enterNamed("containerd", c)
			return true
		}
	case "garden":
		if c != "good" && c != "bad" { // the two CPU classes above the handles
			p.enterNamed("garden", c)
		}
		return true
	case "good", "bad":
		if p.grandparent == "garden" {
			p.enterNamed("garden", c)
			return true
		}
	case "nomad", "nomad.slice", "share", "reserve", "share.slice", "reserve.slice":
		if p.nomad(c) {
			return true
		}
	}
	switch {
	case strings.HasPrefix(c, "bpm-"):
		p.enterNamed("garden", c)
		return true
	case strings.HasPrefix(c, "job_") && isDigits(c[len("job_"):]) && p.slurm():
		if !p.inContainer() {
			p.id.Unit = "slurm/" + c
		}
		return true
	}
	return false
}

// nomad takes <alloc uuid>.<task>[.scope] below nomad's own slice.
func (p *pathParser) nomad(c string) bool {
	inside := p.parent == "nomad" || p.parent == "nomad.slice" ||
		p.grandparent == "nomad" || p.grandparent == "nomad.slice"
	name := strings.TrimSuffix(c, ".scope")
	if !inside || len(name) < 38 || !isPodUID(name[:36], '-') || name[36] != '.' && name[36] != '-' {
		return false
	}
	p.enterNamed("nomad", unescapeUnit(name))
	return true
}

// slurm is true below /slurm[_node]/uid_N or a slurmstepd scope.
func (p *pathParser) slurm() bool {
	return strings.HasSuffix(p.parent, "slurmstepd.scope") ||
		strings.HasPrefix(p.parent, "uid_") && (p.grandparent == "slurm" || strings.HasPrefix(p.grandparent, "slurm_"))
}

// lxc takes /lxc/<name> (LXC, Proxmox), lxc.payload.<name> and
// lxc.payload/<name> (LXC 3.1 on, LXD, Incus), and their monitors.
func (p *pathParser) lxc(c string) bool {
	if name, ok := strings.CutPrefix(c, "lxc.payload."); ok {
		p.enterNamed("lxc", name)
		return true
	}
	if name, ok := strings.CutPrefix(c, "lxc.monitor."); ok {
		p.monitor("lxc", name)
		return true
	}
	switch p.parent {
	case "lxc", "lxc.payload":
		p.enterNamed("lxc", c)
	case "lxc.monitor":
		p.monitor("lxc", c)
	default:
		return false
	}
	return true
}

// nspawn takes machine-<name>.scope below machine.slice and
// systemd-nspawn@<name>.service, and nspawn's own "supervisor" beside "payload".
func (p *pathParser) nspawn(c string) bool {
	if c == "supervisor" && p.id.Runtime == "nspawn" && isNspawn(p.parent) {
		name := p.id.Name
		p.id.Name, p.id.Runtime = "", ""
		p.monitor("nspawn", name)
		return true
	}
	name, ok := nspawnName(c)
	if !ok || strings.HasPrefix(c, "machine-") && p.parent != "machine.slice" {
		return false
	}
	runtime := "nspawn"
	switch {
	case strings.HasPrefix(name, "qemu-"): // a virtual machine of libvirt
		return false
	case strings.HasPrefix(name, "lxc-"): // libvirt's LXC driver
		runtime = "lxc"
	}
	p.enterNamed(runtime, name)
	return true
}

func isNspawn(c string) bool { _, ok := nspawnName(c); return ok }

func nspawnName(c string) (string, bool) {
	if n, ok := strings.CutPrefix(c, "systemd-nspawn@"); ok {
		n, ok = strings.CutSuffix(n, ".service")
		return unescapeUnit(n), ok && n != ""
	}
	if n, ok := strings.CutPrefix(c, "machine-"); ok {
		n, ok = strings.CutSuffix(n, ".scope")
		return unescapeUnit(n), ok && n != ""
	}
	return "", false
}
