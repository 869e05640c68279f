package kmsg

import "strings"

// parseFault reads the kernel's lines that explain a death without being an OOM kill.
func parseFault(t string, escaped bool) (f Fault, ok bool) {
	switch {
	case strings.HasPrefix(t, "cgroup: fork rejected by pids controller in "):
		return Fault{Kind: FaultForkRejected, Cgroup: decode(strings.TrimPrefix(t, "cgroup: fork rejected by pids controller in "), escaped)}, true
	case strings.HasPrefix(t, "INFO: task "):
		return hungTask(t, escaped)
	case strings.Contains(t, "BUG: soft lockup"):
		return softLockup(t, escaped)
	}
	if i := strings.Index(t, ": page allocation failure"); i > 0 && i <= 64 {
		return Fault{Kind: FaultPageAllocation, Comm: decode(t[:i], escaped)}, true
	}
	if f, ok := trapFault(t, escaped); ok {
		return f, true
	}
	return diskFault(t, escaped)
}

// hungTask reads "INFO: task docker:20744 blocked for more than 120 seconds".
func hungTask(t string, escaped bool) (f Fault, ok bool) {
	s := strings.TrimPrefix(t, "INFO: task ")
	i := strings.LastIndex(s, " blocked for more than ")
	if i < 0 {
		return f, false
	}
	colon := strings.LastIndexByte(s[:i], ':')
	if colon < 0 {
		return f, false
	}
	pid, ok := atoi(s[colon+1 : i])
	return Fault{Kind: FaultHungTask, PID: pid, Comm: decode(s[:colon], escaped)}, ok
}

// softLockup reads "watchdog: BUG: soft lockup - CPU#64 stuck for 26s! [comm:pid]".
func softLockup(t string, escaped bool) (f Fault, ok bool) {
	f.Kind = FaultSoftLockup
	open := strings.Index(t, "! [")
	end := strings.LastIndexByte(t, ']')
	if open < 0 || end < open {
		return f, strings.Contains(t, " stuck for ")
	}
	who := t[open+3 : end]
	if colon := strings.LastIndexByte(who, ':'); colon >= 0 {
		if pid, ok := atoi(who[colon+1:]); ok {
			f.PID, f.Comm = pid, decode(who[:colon], escaped)
		}
	}
	return f, true
}

// trapFault reads "name[pid]: segfault at ... in lib[...]" and "traps: name[pid]
// general protection fault ip:... in lib[...]". Newer kernels put
// "name[ns-pid]: " before it when the process is in a pid namespace.
func trapFault(t string, escaped bool) (f Fault, ok bool) {
	s, traps := strings.CutPrefix(t, "traps: ")
	what, kind := -1, FaultTrap
	for _, m := range []struct {
		mark string
		kind FaultKind
	}{{"]: segfault at ", FaultSegfault}, {"] general protection", FaultTrap}, {"]: general protection", FaultTrap}, {"] trap ", FaultTrap}} {
		if i := strings.LastIndex(s, m.mark); i >= 0 && i > what {
			what, kind = i, m.kind
		}
	}
	if what < 0 || !traps && kind == FaultTrap && !strings.Contains(s[what:], " ip:") {
		return f, false
	}
	open := strings.LastIndexByte(s[:what], '[')
	if open < 0 {
		return f, false
	}
	pid, ok := atoi(s[open+1 : what])
	if !ok {
		return f, false
	}
	name := s[:open]
	if i := strings.LastIndex(name, "]: "); i >= 0 && len(name) > 15 {
		name = name[i+3:]
	} else if i >= 0 {
		name = name[i+3:]
	}
	f = Fault{Kind: kind, PID: pid, Comm: decode(name, escaped)}
	tail := s[what:]
	if i := strings.Index(tail, " in "); i >= 0 {
		obj := tail[i+4:]
		if j := strings.LastIndexByte(obj, '['); j > 0 {
			f.Object = decode(obj[:j], escaped)
		}
	}
	return f, true
}

// diskFault reads the storage layers' lines. A full file system prints nothing;
// these are failures.
func diskFault(t string, escaped bool) (f Fault, ok bool) {
	switch {
	case strings.Contains(t, "out-of-data-space"), strings.Contains(t, "with error 28"), strings.HasSuffix(t, "error 28"):
		f.Kind = FaultNoSpace
	case strings.Contains(t, "emounting filesystem read-only"), strings.Contains(t, "ilesystem has been shut down"),
		strings.Contains(t, "switching pool to read-only mode"), strings.Contains(t, "Detected aborted journal"):
		f.Kind = FaultReadOnly
	case strings.Contains(t, "I/O error"):
		f.Kind = FaultIOError
	default:
		return f, false
	}
	f.Object = decode(diskDevice(t), escaped)
	return f, true
}

// diskDevice finds the device that a storage line names.
func diskDevice(t string) string {
	for _, m := range []struct{ before, after string }{{"(device ", ")"}, {"I/O error, dev ", ","}, {"I/O error on dev ", ","},
		{"EXT4-fs (", ")"}, {"XFS (", ")"}, {"BTRFS error (device ", ")"}, {"device-mapper: thin: ", ": "}} {
		if s, ok := cutText(t, m.before, m.after); ok && len(s) < 64 {
			return s
		}
	}
	return ""
}

// isSuspect tells text that is clearly an OOM report in a form not known here.
func isSuspect(t string) bool {
	for _, s := range []string{"oom-kill:", "Out of memory: Kill", "Out of memory: kill", "Memory cgroup out of memory", "Killed process ", "Out of memory (", "oom_kill: ", "oom-killer: ", "OOM killer: kill", "OOM: kill", "OOM: Kill"} {
		if strings.HasPrefix(t, s) {
			return true
		}
	}
	i := strings.Index(t, "nvoked oom-killer:")
	return i > 0 && i < 64
}

// parseKiller reads the lines of user-space OOM killers, by the program's name
// in the log.
func parseKiller(r *Record) (f Fault, ok bool) {
	// A program writes a name as it is; the kernel would have escaped it.
	t := valid(r.Text)
	f = Fault{Kind: FaultUserspaceOOM, Killer: r.Ident}
	switch r.Ident {
	case "earlyoom":
		return f, earlyoom(t, &f)
	case "systemd-oomd":
		s, found := strings.CutPrefix(t, "Killed ")
		i := strings.Index(s, " due to ")
		if !found || i < 0 {
			return f, false
		}
		f.Cgroup, f.Signal = s[:i], "SIGKILL"
		return f, true
	case "nohang", "oomd", "oomd_bin":
		return f, otherKiller(t, &f)
	}
	return f, false
}

// earlyoom reads `sending SIGTERM to process 7378 uid 1000 "tail": ...`.
func earlyoom(t string, f *Fault) bool {
	s, ok := strings.CutPrefix(t, "sending ")
	if !ok {
		return false
	}
	sig, s, ok := strings.Cut(s, " to process ")
	if !ok || !strings.HasPrefix(sig, "SIG") {
		return false
	}
	pid, s, ok := leadingInt(s)
	if !ok {
		return false
	}
	f.Signal, f.PID = sig, int(pid)
	if i := strings.IndexByte(s, '"'); i >= 0 {
		if j := strings.Index(s[i+1:], `": `); j >= 0 {
			f.Comm = s[i+1 : i+1+j]
		}
	}
	return true
}

// otherKiller reads nohang's `[ OK ] Sending SIGTERM to PID 12 (name)` and oomd's
// `oom kill: cgroup ...`.
func otherKiller(t string, f *Fault) bool {
	if i := strings.Index(t, "ending SIG"); i >= 0 {
		s := t[i+len("ending "):]
		if sp := strings.IndexByte(s, ' '); sp > 0 {
			f.Signal = s[:sp]
			for _, mark := range []string{"PID ", "pid ", "process "} {
				if j := strings.Index(s, mark); j >= 0 {
					if pid, _, ok := leadingInt(s[j+len(mark):]); ok {
						f.PID = int(pid)
					}
					break
				}
			}
			if name, ok := cutText(s, "(", ")"); ok {
				f.Comm = name
			}
			return true
		}
	}
	if i := strings.Index(t, "oom kill"); i >= 0 {
		f.Signal = "SIGKILL"
		if j := strings.IndexByte(t, '/'); j >= 0 {
			f.Cgroup = strings.TrimRight(strings.SplitN(t[j:], " ", 2)[0], ",.")
		}
		return true
	}
	return false
}
