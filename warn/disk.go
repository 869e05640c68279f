package warn

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/recorder"
	"github.com/oomwatch/oomwatch/redact"
	"github.com/oomwatch/oomwatch/units"
)

// Disk takes one reading of a filesystem that containers write to.
func (w *Warner) Disk(d *incident.Disk, at time.Time) []Alert {
	w.tick(at)
	st := w.state(d.ID)
	if !st.seen.IsZero() && at.Sub(st.seen) > blind {
		st.series = series{}
	}
	st.seen, st.disk, st.ended = at, d, false
	used := d.Size - d.Free
	st.last = recorder.Unknown()
	st.last.At, st.last.Used, st.last.Limit = at, used, d.Size
	st.held = used
	st.series.add(at, used)
	st.judge(&w.opt.Rules)
	out := w.settle(st)
	if len(d.Fill) > 0 {
		out = append(out, w.explainDisk(st)...)
	}
	return out
}

// Log takes one reading of a container's log file.
func (w *Warner) Log(l *incident.LogFile, at time.Time) []Alert {
	return w.counted(l.Container, at, func(st *state) {
		st.log = l
		st.judgeLog(&w.opt.Rules, at)
	})
}

// diskRoom: little is left of a filesystem.
func (st *state) diskRoom(r *Rules) level {
	if r.DiskPercent == 0 || st.disk.Size <= 0 {
		return calm
	}
	switch left := st.disk.Free; {
	case left > enoughDisk+enoughDisk/4:
		return calm
	case left > enoughDisk:
		return min(between, over(100*st.share(), r.DiskPercent, r.DiskPercent-hysteresis))
	}
	return over(100*st.share(), r.DiskPercent, r.DiskPercent-hysteresis)
}

// inodes: few further files can be made on a filesystem.
func (st *state) inodes(r *Rules) level {
	d := st.disk
	if r.InodesPercent == 0 || d.Inodes <= 0 || d.InodesFree > enoughInodes {
		return calm
	}
	return over(100*(1-float64(d.InodesFree)/float64(d.Inodes)), r.InodesPercent, r.InodesPercent-hysteresis)
}

// judgeLog: a log file that nothing bounds grows quickly.
func (st *state) judgeLog(r *Rules, at time.Time) {
	l := calm
	switch f := st.log; {
	case f == nil || r.LogPerHour == 0:
	case f.Unbounded && f.Bytes >= smallLog && f.PerHour >= r.LogPerHour:
		l = alarm
	case f.PerHour >= r.LogPerHour/2:
		l = between
	}
	st.see(LogGrowth, l, at, 0, r.ResolveAfter)
}

// onlyUser is the container that alone writes to a filesystem; HostID where there are
// several, or the engine's own files are on it.
func (st *state) onlyUser() string {
	id := HostID
	for _, u := range st.disk.Uses {
		if u.Kind == "layer" || id != HostID && id != u.Container {
			return HostID
		}
		id = u.Container
	}
	return id
}

// diskName is a filesystem in words.
func (st *state) diskName() string {
	d := st.disk
	for _, u := range d.Uses {
		if u.Kind == "layer" {
			if d.Tool == crictl {
				return "the node's disk (" + redact.Sanitize(engineRoot(d.Path)) + ")"
			}
			return "the engine's disk (" + redact.Sanitize(engineRoot(d.Path)) + ")"
		}
	}
	if len(d.Uses) == 0 {
		return "the filesystem of " + redact.Sanitize(d.Path)
	}
	u := d.Uses[0]
	name := redact.Sanitize(u.Mount) + " of " + redact.Sanitize(u.Name)
	if n := len(d.Uses) - 1; n > 0 {
		name += fmt.Sprintf(" and %s", units.Count(n, "other place"))
	}
	switch u.Kind {
	case "tmpfs":
		return name + " (tmpfs)"
	case "volume":
		return "the volume at " + name
	}
	return name
}

// crictl asks a runtime of Kubernetes.
const crictl = "crictl"

// tool is the command that asks the engine of a disk.
func tool(d *incident.Disk) string { return cmp.Or(d.Tool, "docker") }

// engineRoot cuts a folder of the engine down to the engine's own.
func engineRoot(p string) string {
	if root, _, ok := strings.Cut(p, "/log/pods/"); ok && path.IsAbs(root) {
		return root + "/log/pods" // a runtime of Kubernetes names no folder of its own
	}
	for _, below := range []string{"/overlay2/", "/overlay/", "/containers/", "/vfs/", "/btrfs/", "/zfs/", "/image/", "/rootfs/"} {
		if root, _, ok := strings.Cut(p, below); ok && path.IsAbs(root) {
			return root
		}
	}
	return p
}

// showDisk puts the filesystem into an incident that warns of it.
func (st *state) showDisk(inc *incident.Incident) {
	if st.disk == nil {
		return
	}
	inc.Filesystems = []incident.Filesystem{st.filesystem()}
	for _, f := range st.disk.Fill {
		inc.Evidence = append(inc.Evidence, fillEvidence(&f, inc.Time))
	}
	if step := st.prune(); step != "" && !slices.Contains(inc.Advice, step) {
		inc.Advice = append(inc.Advice, step)
	}
}

// filesystem is the disk in the words of an incident.
func (st *state) filesystem() incident.Filesystem {
	d := st.disk
	f := incident.Filesystem{Mount: d.Path, Kind: "layer", Source: d.Path, Size: &d.Size, Free: &d.Free}
	if id := st.onlyUser(); id != HostID {
		f.Mount, f.Kind = d.Uses[0].Mount, d.Uses[0].Kind
	}
	if f.Kind == "tmpfs" {
		f.Source = ""
	}
	if d.Inodes > 0 {
		f.Inodes, f.InodesFree = &d.Inodes, &d.InodesFree
	}
	return f
}

// explainDisk adds what fills a filesystem to a warning that was told before the largest
// thing on it was known: logs are seen at once, what the engine counts comes later.
func (w *Warner) explainDisk(st *state) []Alert {
	e := st.open[string(incident.LimitDisk)]
	if e == nil {
		return nil
	}
	largest, _, _ := strings.Cut(fillText(&st.disk.Fill[0]), ": ")
	if slices.ContainsFunc(e.Incident.Evidence, func(x incident.Evidence) bool { return x.Means == fills && strings.HasPrefix(x.Text, largest+": ") }) {
		return nil
	}
	w.dirty = true
	inc := *e.Incident
	inc.Evidence, inc.Advice = slices.DeleteFunc(slices.Clone(inc.Evidence), func(x incident.Evidence) bool { return x.Means == fills }), slices.Clone(inc.Advice)
	if before, _, told := strings.Cut(inc.Summary, mostly); told {
		inc.Summary = before + st.mostly()
	}
	st.showDisk(&inc)
	e.Incident = &inc
	return []Alert{{Incident: e.Incident, Update: true}}
}

// fills is what the evidence of a thing on a disk means.
const fills = "it is on that disk"

// fillEvidence is one thing that fills a disk, as evidence.
func fillEvidence(f *incident.DiskFill, at time.Time) incident.Evidence {
	return incident.Evidence{Source: "filesystem", Time: at, Text: fillText(f), Means: fills}
}

// fillText is one thing that fills a disk, in words.
func fillText(f *incident.DiskFill) string {
	var s string
	switch f.Kind {
	case "log":
		s = fmt.Sprintf("the log of %s: %s", redact.Sanitize(f.Name), incident.FormatBytes(f.Bytes))
	case "layer":
		s = fmt.Sprintf("the writable layer of %s: %s", redact.Sanitize(f.Name), incident.FormatBytes(f.Bytes))
	case "volumes":
		s = fmt.Sprintf("%s that no container uses: %s", units.Count(f.N, "volume"), incident.FormatBytes(f.Bytes))
	case "images":
		s = fmt.Sprintf("%s: %s", units.Count(f.N, "image"), incident.FormatBytes(f.Bytes))
	default:
		s = fmt.Sprintf("the build cache: %s", incident.FormatBytes(f.Bytes))
	}
	if f.PerHour != nil && *f.PerHour >= 1<<20 {
		s += fmt.Sprintf(", growing %s/h", incident.FormatBytes(*f.PerHour))
	}
	if f.Unbounded {
		s += ", json-file without max-size"
	}
	if f.Prunable > 0 && f.Kind != "volumes" {
		s += fmt.Sprintf(", of which no container uses %s", incident.FormatBytes(f.Prunable))
	}
	return s
}

// prune is the step that frees the most, with how much; "" where nothing is known.
func (st *state) prune() string {
	best := -1
	for i := range st.disk.Fill {
		f := &st.disk.Fill[i]
		if f.Prunable > 0 && (best < 0 || f.Prunable > st.disk.Fill[best].Prunable) {
			best = i
		}
	}
	if best >= 0 && st.disk.Fill[best].Prunable >= 1<<20 {
		f := &st.disk.Fill[best]
		frees := incident.FormatBytes(f.Prunable)
		switch f.Kind {
		case "images":
			if st.disk.Tool == crictl {
				return fmt.Sprintf("crictl rmi --prune removes the images that no container uses, and frees up to %s.", frees)
			}
			return fmt.Sprintf("%s image prune -a removes the images that no container uses, and frees about %s.", tool(st.disk), frees)
		case "build_cache":
			return fmt.Sprintf("%s builder prune -a removes the build cache, and frees about %s.", tool(st.disk), frees)
		}
		return fmt.Sprintf("Look at the volumes that no container uses (%s volume ls -f dangling=true): removing those that nobody needs frees up to %s.", tool(st.disk), frees)
	}
	for i := range st.disk.Fill {
		if f := &st.disk.Fill[i]; f.Kind == "log" && f.Unbounded {
			return boundLog(f.Name)
		}
	}
	return ""
}

// boundLog is how to bound the log of a container.
func boundLog(name string) string {
	return fmt.Sprintf("Bound the log of %s: re-create it with --log-opt max-size=10m --log-opt max-file=3 (compose: logging.options); until then truncate -s 0 \"$(docker inspect -f '{{.LogPath}}' %s)\" empties it.",
		redact.Sanitize(name), redact.Sanitize(name))
}

// linkDisks links a death for want of room to the warnings of the disks that its
// container writes to, and says what fills them.
func (w *Warner) linkDisks(st *state, inc *incident.Incident) {
	for _, id := range w.ids() {
		d := w.states[id]
		if d.disk == nil || !slices.ContainsFunc(d.disk.Uses, func(u incident.DiskUse) bool { return u.Container == st.id }) {
			continue
		}
		for _, of := range sorted(d.open) {
			st.linked = appendUnique(st.linked, d.open[of].Incident.ID)
		}
		if len(d.open) == 0 {
			continue
		}
		for i := range d.disk.Fill {
			e := fillEvidence(&d.disk.Fill[i], inc.Time)
			if !slices.ContainsFunc(inc.Evidence, func(x incident.Evidence) bool { return x.Text == e.Text }) {
				inc.Evidence = append(inc.Evidence, e)
			}
		}
	}
}

func diskForecastWords(st *state, who string) told {
	d := st.disk
	ttl, err := seconds(st.forecast.seconds), seconds(st.forecast.err)
	slope := float64(d.Free) / max(st.forecast.seconds, 1)
	return told{
		confidence: incident.Likely, source: "filesystem",
		text:    fmt.Sprintf("%s of %s free, %s written: full in %s ± %s", incident.FormatBytes(d.Free), incident.FormatBytes(d.Size), units.Rate(slope), ttl, err),
		means:   "at the present rate it is full then",
		summary: fmt.Sprintf("%s is full in about %s (± %s): %s of %s free, %s written%s", who, ttl, err, incident.FormatBytes(d.Free), incident.FormatBytes(d.Size), units.Rate(slope), st.mostly()),
		advice:  st.diskAdvice(),
	}
}

func diskRoomWords(st *state, who string) told {
	d := st.disk
	return told{
		confidence: incident.Possible, source: "filesystem",
		text:    fmt.Sprintf("%s of %s free, %.1f %% in use", incident.FormatBytes(d.Free), incident.FormatBytes(d.Size), 100*st.share()),
		means:   "when nothing is left, every write to it fails",
		summary: fmt.Sprintf("%s has %s of its %s free%s", who, incident.FormatBytes(d.Free), incident.FormatBytes(d.Size), st.mostly()),
		advice:  st.diskAdvice(),
	}
}

func inodesWords(st *state, who string) told {
	d := st.disk
	return told{
		confidence: incident.Possible, source: "filesystem",
		text:    fmt.Sprintf("%d of %d inodes free", d.InodesFree, d.Inodes),
		means:   "without inodes no file can be created, however much space is free",
		summary: fmt.Sprintf("%s has %d of its %d inodes free: many small files use them up, not bytes (%s free)", who, d.InodesFree, d.Inodes, incident.FormatBytes(d.Free)),
		advice:  fmt.Sprintf("Find where the files are: find %s -xdev -printf '%%h\\n' | sort | uniq -c | sort -n | tail", redact.Sanitize(d.Path)),
	}
}

func logWords(st *state, who string) told {
	l := st.log
	t := told{
		confidence: incident.Likely, source: "filesystem",
		text:    fmt.Sprintf("its log is %s and grows %s/h, json-file without max-size", incident.FormatBytes(l.Bytes), incident.FormatBytes(l.PerHour)),
		means:   "nothing bounds it but the engine's disk",
		summary: fmt.Sprintf("the log of %s grows %s in an hour and nothing bounds it (json-file without max-size): it is %s", who, incident.FormatBytes(l.PerHour), incident.FormatBytes(l.Bytes)),
		advice:  boundLog(who),
	}
	if l.Free >= 0 && l.PerHour > 0 {
		full := time.Duration(float64(l.Free) / float64(l.PerHour) * float64(time.Hour))
		t.summary += fmt.Sprintf("; the engine's disk has %s free, full in about %s", incident.FormatBytes(l.Free), incident.FormatDuration(full))
	}
	return t
}

// mostly names the largest thing on a disk; "" where that is not known.
func (st *state) mostly() string {
	if len(st.disk.Fill) == 0 {
		return ""
	}
	return mostly + fillText(&st.disk.Fill[0])
}

const mostly = "; the largest known: "

func (st *state) diskAdvice() string {
	d := st.disk
	if id := st.onlyUser(); id != HostID {
		u := d.Uses[0]
		enter := tool(d) + " exec " + redact.Sanitize(u.Name)
		if d.Tool == crictl {
			enter = fmt.Sprintf("crictl exec %.12s", u.Container) // it takes ids alone
		}
		if u.Kind == "tmpfs" {
			return fmt.Sprintf("See what is in it: %s du -a %s; what is in a tmpfs counts as its memory, too.", enter, redact.Sanitize(u.Mount))
		}
		return fmt.Sprintf("See what fills it: %s du -a %s | sort -n | tail", enter, redact.Sanitize(u.Mount))
	}
	if d.Tool == crictl {
		return "See what fills it: crictl stats -a for writable layers, crictl images for images, du -xsh " + redact.Sanitize(engineRoot(d.Path)) + "/* /var/lib/kubelet/pods/* | sort -h | tail for the pods' logs and emptyDirs."
	}
	return fmt.Sprintf("See what fills it: %s system df -v for images, layers and volumes (logs are not in it), du -xh %s | sort -h | tail for all.", tool(d), redact.Sanitize(engineRoot(d.Path)))
}
