package triage

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/kmsg"
	"github.com/oomwatch/oomwatch/units"
	rules "github.com/oomwatch/oomwatch/verdict"
)

// Scope says whose memory ran out.
type Scope string

// The scopes of a kill.
const (
	OwnLimit    Scope = "limit"  // its container's or unit's own limit
	SharedLimit Scope = "shared" // a limit above it
	HostMemory  Scope = "host"
	NodeMemory  Scope = "node"
	NoScope     Scope = "" // the kernel did not print it
)

// Death is one process that the kernel's OOM killer killed, as far as triage
// needs to know. A size of 0 is not known.
type Death struct {
	// Time is zero, and Uptime (since boot) is told, where there is no date.
	Time      time.Time
	Uptime    time.Duration
	HasUptime bool

	PID  int
	Comm string
	// Service is the name that its readings are kept under; "" from a log.
	Service string
	// Container and Pod are its ids, Name and Unit its names, as far as known.
	Container, Pod, Name, Unit string
	// Machine is the host that a log of several names, without its domain.
	Machine string
	// Pattern is its cgroup's path with what differs from one container of a
	// service to the next replaced by *.
	Pattern string

	Scope Scope
	Limit int64
	// RSS is what the victim held without the pages of files, which may be
	// charged to others; Shmem and Kernel what of its cgroup's memory is shared
	// memory or tmpfs, and kernel memory.
	RSS, Shmem, Kernel int64
	// TotalVM and AnonRSS are as printed, to know a kill that is told twice.
	TotalVM, AnonRSS int64

	// Host is the host's memory, Held the sum of the task table, Hog the
	// program that held the most of it in all its HogTasks processes, HogPID
	// the largest of these. HogLost is what of HogHeld the victim held.
	Host, Held, HogHeld, HogLost int64
	Hog                          string
	HogTasks, HogPID             int
	SysRq                        bool
	Unverified                   bool
	// Along is true for what died with the process that the kernel had picked,
	// in one report: with its group (memory.oom.group) or its memory.
	Along bool
}

// FromEpisode is kill i of an episode of a kernel log. It holds nothing of the
// log's memory.
func FromEpisode(e *kmsg.Episode, i int) Death {
	k := &e.Kills[i]
	d := Death{
		Time: k.Time, Uptime: k.Uptime, HasUptime: k.HasUptime, PID: k.PID, Comm: strings.Clone(k.Comm),
		AnonRSS: k.AnonRSS.Bytes, TotalVM: k.TotalVM.Bytes, SysRq: e.SysRq, Unverified: e.Unverified,
		RSS: k.AnonRSS.Bytes + k.ShmemRSS.Bytes, Along: i > 0,
	}
	if d.Time.IsZero() && !d.HasUptime {
		d.Time, d.Uptime, d.HasUptime = e.Time, e.Uptime, e.HasUptime
	}
	d.Machine = strings.Clone(shortName(e.Host))
	path := rules.VictimPath(e)
	if c, unit := rules.OwnerOf(path); c != nil {
		d.Container, d.Name = strings.Clone(c.ID), strings.Clone(c.Name)
		if c.Pod != nil {
			d.Pod = strings.Clone(c.Pod.UID)
		}
	} else {
		d.Unit = strings.Clone(unit)
	}
	d.Pattern = pattern(path)
	d.Scope = scope(e, path)
	if e.Limit.Printed && e.Limit.Bytes < units.NoLimit {
		d.Limit = e.Limit.Bytes
	}
	for _, name := range []string{"total_shmem", "shmem"} {
		if d.Shmem == 0 {
			d.Shmem = e.Stats[name]
		}
	}
	if d.Kernel = e.Stats["kernel"]; d.Kernel == 0 {
		d.Kernel = e.KmemUsage.Bytes
	}
	if e.HostTotal.Printed {
		d.Host = e.HostTotal.Bytes
	}
	d.table(e, k.PID)
	return d
}

// table sums the task table by program. What the victim held is its row where
// the kill line had no sizes.
func (d *Death) table(e *kmsg.Episode, pid int) {
	if len(e.Tasks) == 0 {
		return
	}
	sums := make(tasks, 16)
	seen := make(map[int]bool, len(e.Tasks))
	for i := range e.Tasks {
		t := &e.Tasks[i]
		held := t.RSS.Bytes
		if t.RSSAnon.Printed {
			held = t.RSSAnon.Bytes + t.RSSShmem.Bytes
		}
		if t.PID == pid && d.RSS == 0 {
			d.RSS = held
		}
		// Old kernels list threads, each with the memory of its process.
		id := t.TGID
		if id == 0 {
			id = t.PID
		}
		if seen[id] {
			continue
		}
		seen[id] = true
		sums.add(t.Comm, id, held, id == pid)
		d.Held += held
	}
	sums.into(d)
}

func scope(e *kmsg.Episode, path string) Scope {
	switch e.Constraint {
	case kmsg.ConstraintNone:
		return HostMemory
	case kmsg.ConstraintCpuset, kmsg.ConstraintMemoryPolicy:
		return NodeMemory
	case kmsg.ConstraintMemcg:
		if path == "" || e.OOMMemcg == "" || e.OOMMemcg == path || ownedAlike(e.OOMMemcg, path) {
			return OwnLimit
		}
		return SharedLimit
	}
	if e.Limit.Printed {
		return OwnLimit
	}
	return NoScope
}

// ownedAlike tells whether two paths are of the same container or unit.
func ownedAlike(a, b string) bool {
	ca, ua := rules.OwnerOf(a)
	cb, ub := rules.OwnerOf(b)
	if ca != nil && cb != nil {
		// LXC's have a name and no id.
		return ca.ID == cb.ID && (ca.ID != "" || ca.Name != "" && ca.Name == cb.Name)
	}
	return ca == nil && cb == nil && ua != "" && ua == ub
}

// FromIncident is the kill that an incident tells of; false where it tells none.
func FromIncident(inc *incident.Incident, service string) (Death, bool) {
	if inc.Victim == nil || inc.OOM == nil || inc.Kind == incident.KindWarning {
		return Death{}, false
	}
	d := Death{Time: inc.Time, PID: inc.Victim.PID, Comm: inc.Victim.Comm, Service: service, Unit: inc.Unit, Unverified: inc.Unverified}
	switch inc.Cause {
	case incident.OOMContainer:
		d.Scope = OwnLimit
	case incident.OOMAncestor:
		d.Scope = SharedLimit
	case incident.OOMHost:
		d.Scope = HostMemory
	case incident.OOMNode:
		d.Scope = NodeMemory
	default:
		return Death{}, false
	}
	if inc.UptimeSeconds != nil {
		d.Uptime, d.HasUptime = time.Duration(*inc.UptimeSeconds*float64(time.Second)), true
	}
	if c := inc.Container; c != nil {
		d.Container, d.Name = c.ID, c.Name
		if c.Pod != nil {
			d.Pod = c.Pod.UID
		}
	}
	d.Pattern = pattern(inc.OOM.TaskMemcg)
	d.AnonRSS, d.TotalVM = value(inc.Victim.AnonRSS), value(inc.Victim.TotalVM)
	d.RSS = d.AnonRSS + value(inc.Victim.ShmemRSS)
	if l := value(inc.OOM.Limit); l < units.NoLimit {
		d.Limit = l
	}
	d.Host = value(inc.OOM.HostTotal)
	if inc.Memory != nil {
		d.Shmem, d.Kernel = value(inc.Memory.Shmem), value(inc.Memory.Kernel)
	}
	sums := tasks{}
	for i := range inc.Processes {
		p := &inc.Processes[i]
		d.Held += value(p.RSS)
		sums.add(p.Comm, p.PID, value(p.RSS), p.PID == d.PID)
	}
	sums.into(&d)
	return d, true
}

func value(n *int64) int64 {
	if n == nil {
		return 0
	}
	return *n
}

// shortName is a host's name without its domain: one log may have it, another not.
func shortName(host string) string {
	if short, _, ok := strings.Cut(host, "."); ok && short != "" && strings.Trim(short, "0123456789") != "" {
		return short
	}
	return host // no domain, or an address
}

// local tells whether the owner's name means something on its own machine only:
// units and paths are alike on many, ids are not.
func (d *Death) local() bool {
	return d.Service == "" && d.Pod == "" && d.Container == ""
}

// owner is what tells this container, pod or unit from others like it; "" where
// the kernel printed no cgroup.
func (d *Death) owner() string {
	switch {
	case d.Service != "":
		return "service " + d.Service
	case d.Pod != "":
		return fmt.Sprintf("pod %s %d", d.Pod, d.Limit) // its containers differ by their limits
	case d.Container != "":
		return "container " + d.Container
	case d.Name != "":
		return "container " + d.Name
	case d.Unit != "":
		return "unit " + d.Pattern
	case d.Pattern != "":
		return "path " + d.Pattern
	}
	return ""
}

// pattern replaces in a cgroup path what differs between two containers of one
// service, two pods of one deployment, two instances of one unit: ids and numbers.
func pattern(path string) string {
	if path == "" {
		return ""
	}
	parts := strings.Split(path, "/")
	for i, p := range parts {
		parts[i] = wild(p)
	}
	return strings.Join(slices.CompactFunc(parts, func(a, b string) bool { return a == "*" && b == "*" }), "/")
}

// wild replaces each run of letters, digits, - and _ that reads like an id, and
// each number, by *.
func wild(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		if pod, ok := strings.CutPrefix(s[i:], "pod"); ok && isUUID(pod) {
			b.WriteString("pod*")
			i += len("pod") + len(uuidShape)
			continue
		}
		j := i
		hex := true
		digits := 0
		for j < len(s) && isWord(s[j]) {
			digit := s[j] >= '0' && s[j] <= '9'
			if digit {
				digits++
			}
			hex = hex && isHex(s[j])
			j++
		}
		switch n := j - i; {
		case n == 0:
			b.WriteByte(s[i])
			i++
			continue
		case digits == n, hex && n >= 32:
			b.WriteByte('*')
		default:
			id := idTail(s[i:j])
			b.WriteString(s[i : j-id])
			if id > 0 {
				b.WriteByte('*')
			}
		}
		i = j
	}
	return b.String()
}

const uuidShape = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx"

// isUUID tells whether s begins with a uid, as pods have one; systemd writes _
// for its -.
func isUUID(s string) bool {
	if len(s) < len(uuidShape) {
		return false
	}
	for i := range len(uuidShape) {
		if c := s[i]; uuidShape[i] == 'x' && !isHex(c) || uuidShape[i] == '-' && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

func isHex(c byte) bool { return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' }

// idTail is how long the id is that a word ends with: at least eight
// hexadecimal digits, a decimal one among them.
func idTail(s string) int {
	n, digits := 0, false
	for n < len(s) {
		c := s[len(s)-1-n]
		if !isHex(c) {
			break
		}
		digits = digits || c <= '9'
		n++
	}
	if n < 8 || !digits {
		return 0
	}
	return n
}

func isWord(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// print is the same for the same kill wherever it is told.
func (d *Death) print() fingerprint {
	return fingerprint{d.PID, d.AnonRSS, d.TotalVM, d.Comm}
}

type fingerprint struct {
	pid      int
	rss, all int64
	comm     string
}
