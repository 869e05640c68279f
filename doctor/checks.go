package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/oomwatch/oomwatch/cgroup"
	"github.com/oomwatch/oomwatch/config"
	"github.com/oomwatch/oomwatch/internal/build"
	"github.com/oomwatch/oomwatch/kmsg"
	"github.com/oomwatch/oomwatch/observe"
	"github.com/oomwatch/oomwatch/store"
	"github.com/oomwatch/oomwatch/trace"
	"github.com/oomwatch/oomwatch/units"
	"github.com/oomwatch/oomwatch/watcher/journal"
	"github.com/oomwatch/oomwatch/watcher/kernlog"
	"github.com/oomwatch/oomwatch/web"
)

const noKernel = "which process the kernel killed, whose limit was reached, who held the memory; children killed while their container lives"

// inHand is the step for a pod's manifest, or for everything else.
func inHand(pod bool, manifest, other string) string {
	if pod {
		return manifest
	}
	return other
}

// checkKernelLog opens the log as the daemon would, reads one record, and then
// what all of it says.
func checkKernelLog(pod bool) []Finding {
	log := Finding{Capability: "kernel log", State: OK, SeesDeaths: true}
	r, err := kmsg.Open(kmsg.ReaderOptions{})
	if err == nil {
		log.Found = "the kernel's ring can be read by " + r.Way()
		if r.Way() == kmsg.SyslogWay {
			log.State = Weak
			log.Found += ", polled: " + kmsg.DefaultPath + " cannot be opened"
			log.Invisible = "how many records were overwritten unread; a kill is reported 1 to 3 s later"
			log.Fix = inHand(pod, "nothing to do: a pod opens the device only with securityContext.privileged: true, which is not worth 3 s",
				"give it the device: in a container --device /dev/kmsg")
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		_, err = r.Next(ctx)
		cancel()
		if errors.Is(err, kmsg.ErrCaughtUp) {
			err = nil // an empty ring is a readable one
		}
		if began := r.Began(); !began.IsZero() {
			log.Found += "; its oldest record is of " + units.Clock(began)
		}
		_ = r.Close() // it was only read
	}
	if err != nil {
		log.State, log.Found, log.Invisible = Missing, err.Error(), noKernel
		var access *kmsg.AccessError
		if errors.As(err, &access) {
			log.Found, log.Fix = access.Reason, access.Fix
		}
	}
	restrict := Finding{Capability: "dmesg_restrict", State: OK}
	b, rerr := os.ReadFile("/proc/sys/kernel/dmesg_restrict")
	switch v := strings.TrimSpace(string(b)); {
	case rerr != nil:
		restrict.State, restrict.Found = Weak, rerr.Error()
		restrict.Fix = inHand(pod, "have the pod see the node's /proc (hostPID: true)", "mount the host's /proc, which shows who may read the kernel log")
	case v == "0":
		restrict.Found = "0: the kernel lets everybody read its log, as far as the device's own permissions do"
	case err == nil:
		restrict.Found = v + ": CAP_SYSLOG is needed to read the log, and this process has it"
	default:
		restrict.State, restrict.Found = Missing, v+": CAP_SYSLOG is needed to read the log"
		restrict.Fix = inHand(pod, "run as root (securityContext.runAsUser: 0) and add SYSLOG to securityContext.capabilities.add", "run as root, or give the program CAP_SYSLOG (systemd: AmbientCapabilities=CAP_SYSLOG; Docker: --cap-add SYSLOG; a shell: setcap cap_syslog+ep on the binary)")
	}
	out := []Finding{log, restrict}
	if err == nil {
		out = append(out, checkOOMText())
	}
	return out
}

// checkJournal says how far back the journal reaches, which outlives the ring.
func checkJournal(ctx context.Context, pod bool) Finding {
	f := Finding{Capability: "journal", State: OK}
	h, err := journal.Reach(ctx)
	if err == nil {
		f.Found = "its oldest line of the kernel is of " + units.Clock(h.From)
		return f
	}
	f.State, f.Found = Weak, err.Error()
	f.Invisible = "kills that the kernel's ring has overwritten; what systemd-oomd, earlyoom, the engine's daemon and the kubelet say of an end"
	if pod {
		f.Invisible = "kills that the kernel's ring has overwritten; which probe failed, what systemd-oomd and earlyoom say of an end"
	}
	f.Fix = inHand(pod, "use an image with journalctl in it (examples/kubernetes/Dockerfile.journal), and give the pod the node's /var/log/journal, /run/log/journal and /etc/machine-id as read-only hostPath volumes (journal.enabled of the chart)",
		"keep a journal that this process may read (mkdir -p /var/log/journal; systemctl restart systemd-journald), and install journalctl where oomwatch runs")
	return f
}

// checkOOMText reads all that the kernel log holds now and says whether any of
// it is an OOM report in a form that this version does not know.
func checkOOMText() Finding {
	f := Finding{Capability: "OOM text", State: OK, Found: "every OOM report in the kernel log is understood"}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	k := &kernlog.Source{Once: true}
	// What it tells of is not asked for here; what it cannot read is.
	_ = k.Run(ctx, func(observe.Observation) {})
	if n, line := k.Unrecognised(); n > 0 {
		f.State = Weak
		f.Found = fmt.Sprintf("unrecognised OOM text: %s, the first %q", units.Count(int(n), "line"), line)
		f.Invisible = "what those lines say"
		f.Fix = "report that line, with the ten around it, at " + build.ReportAt + ": this kernel writes its OOM reports in a form that is new to oomwatch"
	}
	return f
}

// nodeCgroups is the step for a pod that does not see its node's control groups.
const nodeCgroups = "give the pod a read-only hostPath volume of the node's /sys/fs/cgroup, mounted at " + cgroup.DefaultRoot

// checkCgroups opens the hierarchies and reads this process's own cgroup.
func checkCgroups(pod bool) []Finding {
	const noCgroups = "memory in use, breakdown and trend before a death; kills that the kernel log does not show"
	mode := Finding{Capability: "control groups", State: OK}
	namespaces := []Finding{
		{Capability: "cgroup namespace", State: OK, Found: "the host's: paths are the kernel log's"},
		{Capability: "pid namespace", State: OK, Found: "the host's: pids are the kernel log's"},
	}
	psi := Finding{Capability: "memory pressure", State: OK, Found: "PSI can be read"}
	cg, err := cgroup.Open(cgroup.DefaultRoot, cgroup.DefaultProc)
	if err != nil {
		mode.State, mode.Found, mode.Invisible = Missing, err.Error(), noCgroups
		mode.Fix = inHand(pod, nodeCgroups, "mount the host's control groups at "+cgroup.DefaultRoot+" (Docker: -v /sys/fs/cgroup:/sys/fs/cgroup:ro)")
		return []Finding{mode}
	}
	defer cg.Close()
	mode.Found = "cgroup " + string(cg.Mode())
	if err := readOwn(cg); err != nil {
		mode.State, mode.Invisible = Weak, noCgroups
		mode.Found += "; this process's own memory cannot be read: " + err.Error()
		mode.Fix = inHand(pod, nodeCgroups+", and hostPID: true", "mount the host's control groups readable, and let /proc show the host's processes")
	}
	for _, p := range cg.Problems() {
		switch {
		case errors.Is(p, cgroup.ErrPrivateCgroups):
			namespaces[0] = Finding{Capability: "cgroup namespace", State: Missing, Found: "private: every path differs from the kernel log's",
				Invisible: "which container a kernel record speaks of, by its path", Fix: inHand(pod, nodeCgroups, "mount the host's /sys/fs/cgroup into this container, on cgroup v1 start it with --cgroupns=host")}
		case errors.Is(p, cgroup.ErrPrivatePIDs):
			namespaces[1] = Finding{Capability: "pid namespace", State: Missing, Found: "private: /proc shows a container's processes",
				Invisible: "which container a killed pid belonged to", Fix: inHand(pod, "set hostPID: true in the pod's spec", "start this container with --pid=host")}
		case errors.Is(p, cgroup.ErrNoPSI):
			psi = Finding{Capability: "memory pressure", State: Missing, Found: p.Error(),
				Invisible: "how hard the kernel worked to find memory before a death", Fix: "boot with psi=1"}
		default:
			mode.State, mode.Invisible = Missing, noCgroups
			mode.Found += "; " + p.Error()
		}
	}
	return append(append([]Finding{mode}, namespaces...), psi)
}

// readOwn proves that a cgroup's memory can be read, with this process's.
func readOwn(cg *cgroup.FS) error {
	path, err := cg.PathOf(os.Getpid())
	if err != nil {
		return err
	}
	if path == "/" {
		return nil // the root of a v2 hierarchy has no memory files
	}
	h, err := cg.Open(path)
	if err != nil {
		return err
	}
	defer h.Close()
	var s cgroup.Sample
	return h.Read(&s, 0)
}

// checkTracefs tries to open a tracefs instance: it tells who sends a signal.
func checkTracefs() Finding {
	f := Finding{Capability: "tracefs", State: OK, Found: "shows who sends a fatal signal, while the daemon runs"}
	in, err := trace.Open(trace.Options{})
	if err == nil {
		err = in.Close()
	}
	if err != nil {
		f.State, f.Found = Weak, err.Error()
		f.Invisible = "who sent a SIGKILL that neither the kernel nor the engine explains"
		var access *trace.AccessError
		if errors.As(err, &access) {
			f.Found, f.Fix = access.Path+": "+access.Reason, access.Fix
		}
	}
	return f
}

// checkStore finds out whether the store could be written, without making it.
func checkStore(path string) Finding {
	f := Finding{Capability: "store", State: OK, Found: path + " can be written"}
	fail := func(err error, fix string) Finding {
		f.State, f.Found, f.Fix = Missing, err.Error(), fix
		f.Invisible = "the past: `oomwatch run` needs a store that it can write"
		return f
	}
	const elsewhere = "give another place with --store PATH, or run as a user who may write there"
	st, err := os.Stat(path)
	switch {
	case err == nil && !st.Mode().IsRegular():
		return fail(fmt.Errorf("%s is not a file", path), "give a file with --store PATH")
	case err == nil:
		file, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			return fail(err, elsewhere)
		}
		_ = file.Close() // nothing was written
	case !errors.Is(err, fs.ErrNotExist):
		return fail(err, elsewhere)
	}
	dir := filepath.Dir(path)
	for {
		st, err := os.Stat(dir)
		if err == nil && !st.IsDir() {
			return fail(fmt.Errorf("%s is not a folder", dir), elsewhere)
		}
		if err == nil {
			break
		}
		if !errors.Is(err, fs.ErrNotExist) || dir == filepath.Dir(dir) {
			return fail(err, elsewhere)
		}
		dir = filepath.Dir(dir)
	}
	probe, err := os.CreateTemp(dir, ".oomwatch-doctor-*")
	if err != nil {
		return fail(err, elsewhere)
	}
	_ = probe.Close() // it is empty
	if err := os.Remove(probe.Name()); err != nil {
		return fail(err, elsewhere)
	}
	if st == nil {
		f.Found = path + " is not there yet and can be made"
	}
	if on := store.FilesystemOf(dir); on != nil {
		f.State, f.Fix = Weak, on.Fix
		f.Found += ", on " + on.Name + ": " + on.Risk
	}
	return f
}

// checkDaemon looks for a running daemon, and for the places it would take.
func checkDaemon(ctx context.Context, cfg *config.Config) []Finding {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	daemon := Finding{Capability: "daemon", State: OK}
	st, err := web.NewClient(cfg.Socket).Status(ctx)
	switch {
	case err == nil && st.Ready:
		daemon.Found = fmt.Sprintf("running as pid %d since %s, answers on %s", st.PID, units.Clock(st.StartedAt), cfg.Socket)
	case err == nil:
		daemon.State, daemon.Found = Weak, fmt.Sprintf("running as pid %d, not ready: %s", st.PID, st.Reason)
		daemon.Fix = "fix the source that is named; oomwatch retries it by itself"
	default:
		daemon.State, daemon.Found = Weak, "not running: "+err.Error()
		daemon.Invisible = "deaths from now on: explain finds them only until the kernel's ring is overwritten or the container removed"
		daemon.Fix = "oomwatch run"
		if errors.Is(err, fs.ErrPermission) {
			daemon.Found = err.Error()
			daemon.Fix = "run as the daemon's user or group, or give its socket with --socket"
		}
	}
	found := []Finding{daemon}
	if err == nil {
		found = append(found, statusFindings(st)...)
	}
	listen := Finding{Capability: "listen address", State: OK, Found: string(cfg.Listen) + " is free"}
	if cfg.Listen == "" {
		listen.Found = "off: no page and no metrics"
		return append(found, listen)
	}
	l, lerr := net.Listen("tcp", string(cfg.Listen))
	switch {
	case lerr == nil:
		_ = l.Close() // nothing was accepted
	case errors.Is(lerr, syscall.EADDRINUSE) && err == nil:
		listen.Found = string(cfg.Listen) + " is taken, as it should be while the daemon runs"
	default:
		listen.State, listen.Found = Missing, lerr.Error()
		listen.Invisible = "the page and /metrics: `oomwatch run` needs the address, or --listen off"
		listen.Fix = "end what listens there (ss -ltnp), or give another address with --listen ADDR"
	}
	return append(found, listen)
}

// statusFindings are what the running daemon itself says of its store, its sources and its
// receivers: it may run as another user, and with another configuration, than doctor.
func statusFindings(st *web.Status) []Finding {
	var found []Finding
	if st.Store != "" {
		found = append(found, Finding{Capability: "daemon's store", State: OK, Found: st.Store})
	}
	for _, s := range st.Sources {
		if !s.Up {
			found = append(found, Finding{Capability: "daemon's source", State: Weak, Found: s.Name + ": " + s.Reason, Fix: s.Fix})
		}
	}
	for _, d := range st.Deliveries {
		f := Finding{Capability: "daemon's receiver", State: OK, Found: fmt.Sprintf("%s: %d delivered, %d pending", d.Receiver, d.Delivered, d.Pending)}
		switch {
		case !d.Configured:
			continue
		case d.Down != "":
			f.State, f.Found = Missing, d.Receiver+" takes no alerts: "+d.Down
			f.Invisible, f.Fix = "alerts to it, until it takes them again", "fix that, then run: oomwatch notify retry "+d.Receiver
		case d.Parked > d.Pruned:
			f.State, f.Found = Weak, fmt.Sprintf("%s refused %s: %s", d.Receiver, units.Count(int(d.Parked-d.Pruned), "alert"), d.Error)
			f.Fix = "see why: oomwatch notify status; then run: oomwatch notify retry " + d.Receiver
		}
		found = append(found, f)
	}
	if st.Recorder != nil {
		found = append(found, recorderFinding(st.Recorder))
	}
	return found
}

// recorderFinding tells what a running daemon records.
func recorderFinding(r *web.RecorderStatus) Finding {
	f := Finding{Capability: "recorder", State: OK,
		Found: fmt.Sprintf("%s, each read every %.1f s; the history takes %s", units.Count(r.Containers, "container"), r.PeriodSeconds, units.Bytes(r.HistoryBytes))}
	if r.PeriodSeconds > 1 {
		f.State = Weak
		f.Invisible = "what comes and goes between two readings"
		f.Fix = "nothing to do: with many containers the period grows, so that reading them costs no more"
	}
	return f
}

// checkReceivers tells who would be told. It sends nothing.
func checkReceivers(cfg *config.Config, warnings []string) []Finding {
	f := Finding{Capability: "receivers", State: OK}
	var names []string
	only := true
	for _, r := range cfg.Receivers {
		names = append(names, fmt.Sprintf("%s (%s)", r.Name, r.Type))
		only = only && r.Type == "stdout"
	}
	f.Found = strings.Join(names, ", ")
	if only {
		f.State = Weak
		f.Found += ": alerts are printed, and nobody is woken"
		f.Fix = "give --webhook URL or --slack-webhook URL, or receivers in a configuration file; then: oomwatch notify test"
	}
	out := []Finding{f}
	for _, w := range warnings {
		out = append(out, Finding{Capability: "secrets", State: Weak, Found: w})
	}
	return out
}
