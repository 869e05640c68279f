// Package voices reads what other programs than the kernel say in a journal or log of a
// container's end: user-space OOM killers, the engine's daemon, the kubelet, containerd.
package voices

import (
	"github.com/oomwatch/oomwatch/internal/lazyre"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/redact"
)

// maxText bounds one line.
const maxText = 16 << 10

// row is one shape of line. Its groups are named as the fields of incident.Voice: id,
// cgroup, unit, pod, ns, container, probe, uid, pid, comm, grace, signal.
type row struct {
	who   string   // the voice
	from  []string // identifiers in the log that may say it
	kind  incident.VoiceKind
	has   string // a text without which the shape is not tried
	shape *lazyre.Regexp
}

// kubelets are the programs that a kubelet's lines come from.
var kubelets = []string{"kubelet", "k3s", "rke2", "k0s", "microk8s.daemon-kubelite"}

// rows are all shapes; a new one is a row here and a line in testdata/lines.txt.
var rows = []row{
	{"systemd-oomd", []string{"systemd-oomd"}, incident.VoiceKilled, "Marked ", lazyre.New(`^Marked (?P<cgroup>/\S+) for killing`)},
	{"systemd-oomd", []string{"systemd-oomd"}, incident.VoiceKilled, "Killed ", lazyre.New(`^Killed (?P<cgroup>/\S+) due to (?:memory|swap|pressure)`)},
	{"systemd-oomd", []string{"systemd"}, incident.VoiceKilled, "systemd-oomd killed", lazyre.New(`^(?P<unit>\S+\.(?:scope|service|slice)): systemd-oomd killed (?:\d+|some) process\(?e?s?\)? ?\(?e?s?\)? ?in this unit`)},
	{"earlyoom", []string{"earlyoom"}, incident.VoiceKilled, "sending SIG", lazyre.New(`^sending SIG(?P<signal>TERM|KILL) to process (?P<pid>\d{1,10})(?: uid \d+)? "(?P<comm>[^"]{0,64})"`)},
	{"nohang", []string{"nohang", "nohang-desktop"}, incident.VoiceKilled, "", lazyre.New(`(?:Sending SIG|\[ OK \] Sending SIG|Send(?:ing)? SIG)(?P<signal>TERM|KILL) to (?:the )?(?:process )?(?:\[?(?P<comm>[^\]()"]{1,64})\]? ?\()?(?:pid:? ?)?(?P<pid>\d{1,10})`)},
	{"nohang", []string{"nohang", "nohang-desktop"}, incident.VoiceKilled, "Victim", lazyre.New(`^\s*(?:Victim|Process) (?:is )?(?:found|terminated|killed).{0,40}?[Pp][Ii][Dd]:? ?(?P<pid>\d{1,10})(?:.{0,40}?[Nn]ame:? ?"?(?P<comm>[^",]{1,64}))?`)},
	{"oomd", []string{"oomd"}, incident.VoiceKilled, "illing cgroup", lazyre.New(`(?:Trying to kill|[Kk]illing cgroup):? ?"?(?P<cgroup>/?[^\s",]+)`)},
	{"oomd", []string{"oomd"}, incident.VoiceKilled, "oomd kill:", lazyre.New(`oomd kill: [\d. ]{1,80}(?P<cgroup>\S*/\S+)`)},
	{"dockerd", []string{"dockerd", "docker"}, incident.VoiceForce, "using the force", lazyre.New(`(?i)container (?:(?P<id>[0-9a-f]{12,64}) )?failed to (?:exit|stop) within (?P<grace>[0-9.]+ ?(?:ms|s|m|h|seconds?)?) of (?:signal (?P<signal>\d{1,2})|kill|the stop signal)[^=]{0,80}using the force(?:.{0,200}\bcontainer(?:ID)?="?(?P<id2>[0-9a-f]{12,64}))?`)},
	{"dockerd", []string{"dockerd", "docker"}, incident.VoiceForce, "using the force", lazyre.New(`(?i)failed to (?:exit|stop).{0,120}using the force(?:.{0,200}\bcontainer(?:ID)?="?(?P<id>[0-9a-f]{12,64}))?`)},
	{"kubelet", kubelets, incident.VoiceEvicted, "viction manager", lazyre.New(`(?i)eviction manager: (?:pod is evicted successfully"? pod="?(?P<ns>[a-z0-9.\-]{1,253})/(?P<pod>[a-z0-9.\-]{1,253})"?|pod (?P<pod2>[a-z0-9.\-]{1,253})_(?P<ns2>[a-z0-9.\-]{1,253})\((?P<uid>[0-9a-f\-]{32,36})\) is evicted successfully)`)},
	{"kubelet", kubelets, incident.VoiceProbe, "Message for Container", lazyre.New(`Message for Container.{0,200}?(?:"ID":"(?P<id>[0-9a-f]{64})".{0,20}?)?pod="?(?P<ns>[a-z0-9.\-]{1,253})/(?P<pod>[a-z0-9.\-]{1,253})"?.{0,400}\bContainer (?P<container>[a-z0-9\-]{1,253}) failed (?P<probe>liveness|startup) probe\b`)},
	{"kubelet", kubelets, incident.VoiceProbe, `Namespace:"`, lazyre.New(`Namespace:"(?P<ns>[a-z0-9.\-]{1,253})".{0,40}?Name:"(?P<pod>[a-z0-9.\-]{1,253})".{0,600}?(?:\bContainer (?P<container>[a-z0-9\-]{1,253}) )?failed (?P<probe>liveness|startup) probe\b`)},
	{"kubelet", kubelets, incident.VoiceProbe, "SyncLoop (", lazyre.New(`SyncLoop \((?:probe\)" probe="(?P<probe>liveness)" status="unhealthy" pod="(?P<ns>[a-z0-9.\-]{1,253})/(?P<pod>[a-z0-9.\-]{1,253})"|container unhealthy\): "(?P<pod2>[a-z0-9.\-]{1,253})_(?P<ns2>[a-z0-9.\-]{1,253})\((?P<uid>[0-9a-f\-]{32,36})\)")`)},
	{"containerd", []string{"containerd", "k3s", "dockerd"}, incident.VoiceTaskOOM, "TaskOOM", lazyre.New(`TaskOOM.{0,200}?(?:container_id:\\?"|ContainerID:)(?P<id>[0-9a-f]{12,64})`)},
}

// probeRow is a row of the kubelet's.
var probeRow = slices.IndexFunc(rows, func(r row) bool { return r.kind == incident.VoiceProbe })

// Line is one line of a log, taken apart.
type Line struct {
	At time.Time
	// Ident is who wrote it, as the log says: "dockerd". Unit is the systemd unit that
	// the journal itself saw it come from; "" where the log does not vouch for it.
	Ident, Unit string
	Text        string
}

// Parse reads a line; ok is false for one that says nothing of an end.
func Parse(l Line) (v incident.Voice, ok bool) {
	text := l.Text[:min(len(l.Text), maxText)]
	for i := range rows {
		r := &rows[i]
		if !strings.Contains(text, r.has) || !r.says(&l) {
			continue
		}
		g := r.shape.FindStringSubmatch(text)
		if g == nil {
			continue
		}
		v = incident.Voice{At: l.At, Who: r.who, Kind: r.kind, Trusted: l.Unit != "", Text: redact.Line(text)}
		for n, name := range r.shape.SubexpNames() {
			if g[n] != "" {
				set(&v, name, g[n])
			}
		}
		return v, true
	}
	return v, false
}

// says is true for a line that the row's program wrote, as far as the log can say.
func (r *row) says(l *Line) bool {
	return slices.Contains(r.from, strings.TrimSuffix(strings.ToLower(l.Ident), ".service")) && (l.Unit == "" || unitFits(r, l.Unit))
}

// unitFits is true where the journal saw the line come from the program's own unit:
// anybody can call itself what it likes.
func unitFits(r *row, unit string) bool {
	unit = strings.TrimSuffix(unit, ".service")
	if r.who == "systemd-oomd" && (unit == "init.scope" || strings.HasPrefix(unit, "user@")) {
		return true
	}
	for _, from := range r.from {
		if unit == from || from == "dockerd" && unit == "docker" || from == "systemd" && unit == "systemd" || unit == "snap."+from || unit == "k3s-agent" && from == "k3s" {
			return true
		}
	}
	return false
}

func set(v *incident.Voice, name, value string) {
	switch name {
	case "id", "id2":
		v.ContainerID = value
	case "cgroup":
		v.Cgroup = value
	case "unit":
		v.Unit = value
	case "pod", "pod2":
		v.PodName = value
	case "ns", "ns2":
		v.PodNamespace = value
	case "container":
		v.Container = value
	case "probe":
		v.Probe = value
	case "uid":
		v.PodUID = value
	case "comm":
		v.Comm = strings.TrimSpace(value)
	case "pid":
		v.PID, _ = strconv.Atoi(value)
	case "signal":
		if n, err := strconv.Atoi(value); err == nil {
			v.Signal = n
		} else {
			v.Signal = incident.SignalNumber("SIG" + value)
		}
	case "grace":
		value = strings.ReplaceAll(strings.TrimSuffix(strings.TrimSuffix(value, "econds"), "econd"), " ", "")
		if d, err := time.ParseDuration(value); err == nil {
			v.Grace = d
		} else if s, err := strconv.ParseFloat(value, 64); err == nil {
			v.Grace = time.Duration(s * float64(time.Second))
		}
	}
}

// Matches are the journal's matches for the programs that Parse knows, as journalctl
// takes them: SYSLOG_IDENTIFIER=NAME, each joined to the next by +.
func Matches() (out []string) {
	var names []string
	for i := range rows {
		for _, name := range rows[i].from {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	for i, name := range names {
		if i > 0 {
			out = append(out, "+")
		}
		out = append(out, "SYSLOG_IDENTIFIER="+name)
	}
	return out
}
