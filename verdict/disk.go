package verdict

import (
	"fmt"
	"path"
	"strings"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/redact"
)

// filesystemOf finds the one that a file is on; nil where that cannot be told.
func filesystemOf(all []incident.Filesystem, file string) *incident.Filesystem {
	if !path.IsAbs(file) {
		return nil
	}
	file = path.Clean(file)
	var best *incident.Filesystem
	for i := range all {
		d := &all[i]
		below := d.Mount == "/" || file == d.Mount || strings.HasPrefix(file, d.Mount+"/")
		if below && (best == nil || len(d.Mount) > len(best.Mount)) {
			best = d
		}
	}
	return best
}

// judgeDisk weighs a program's word that it had no room against the filesystems
// it could write to. last is true when the word is among its last lines.
func judgeDisk(f *Facts, disk *DiskFull, last bool) judgement {
	v := judgement{cause: incident.LimitDisk, confidence: incident.Possible, disk: disk}
	at := filesystemOf(f.Filesystems, disk.Path)
	switch {
	case disk.Quota:
		v.fs, v.confidence = at, incident.Likely
		v.why = "a quota was reached, which the free space does not show"
	case at != nil && at.Full():
		v.fs, v.confidence = at, incident.Certain
	case at != nil && at.Kind == "tmpfs":
		v.fs, v.confidence = at, incident.Likely
		v.why = "a tmpfs ends with its container, so what was free in it is not known"
	case at == nil:
		for i := range f.Filesystems {
			if d := &f.Filesystems[i]; d.Full() && (v.fs == nil || d.Mount == "/") {
				v.fs, v.confidence = d, incident.Likely
				v.why = "the message does not name the file; this one is full"
			}
		}
	}
	switch {
	case v.fs == nil && f.FilesystemsUnread != "":
		v.why = "its log says so, and the filesystem was not looked at: " + f.FilesystemsUnread
	case v.fs == nil && len(f.Filesystems) > 0:
		v.why = "its log says so, and no filesystem that it could write to was found full just after its end"
	case v.fs == nil:
		v.why = "its log says so, and no filesystem was looked at"
	}
	if !last {
		v.confidence = weaker(v.confidence, incident.Possible)
		v.why = joinWhy(v.why, "the message is not among its last lines")
	}
	return v
}

// diskEvidence gives the numbers of what was looked at: the one that was full,
// or all, where none was.
func diskEvidence(f *Facts, v judgement, out []incident.Evidence) []incident.Evidence {
	for i := range f.Filesystems {
		d := &f.Filesystems[i]
		if v.fs != nil && d != v.fs || d.Size == nil {
			continue
		}
		means := "there was room in it just after the end"
		switch {
		case d.Free == nil:
			means = "its size; how much was free at the end is not known"
		case d.Full():
			means = "it was full just after the end"
		}
		out = append(out, incident.Evidence{Source: "filesystem", Time: endTime(f), Text: d.String(), Means: means})
	}
	return out
}

// diskSummary says where there was no room.
func diskSummary(v judgement) string {
	named := ""
	if v.disk != nil && v.disk.Path != "" {
		named = " (" + redact.Sanitize(redact.Line(v.disk.Path)) + ")"
	}
	switch {
	case v.disk != nil && v.disk.Quota:
		return "a disk quota was reached" + named
	case v.fs == nil:
		return "no space left on a disk or volume it wrote to" + named
	case v.fs.NoInodes():
		return "no inodes left on " + v.fs.String() + named
	}
	return "no space left on " + v.fs.String() + named
}

// adviceDisk is what to do about the filesystem that was full.
func adviceDisk(inc *incident.Incident, v judgement) string {
	w := wordsOf(inc)
	look := "Find what fills it: " + w.disk + "."
	d := v.fs
	if d == nil || v.disk != nil && v.disk.Quota {
		return look
	}
	src := redact.Sanitize(d.Source)
	switch {
	case d.NoInodes():
		return fmt.Sprintf("Remove small files, which use up the %d inodes and not the bytes: find %s -xdev -printf '%%h\\n' | sort | uniq -c | sort -n | tail shows where they are.", *d.Inodes, src)
	case d.Kind == "tmpfs" && d.Size != nil:
		s := fmt.Sprintf("%s is a tmpfs of %s: have the program remove what it no longer needs there, or give it a volume.", redact.Sanitize(d.Mount), incident.FormatBytes(*d.Size))
		if inc.Container != nil && inc.Container.MemoryLimit != nil {
			s += fmt.Sprintf(" A larger one (%s) counts against the container's memory limit of %s.", w.size, incident.FormatBytes(*inc.Container.MemoryLimit))
		}
		return s
	case d.Kind == "layer":
		return fmt.Sprintf("Write to a volume instead of the container's own layer, and free space on %s (%s free): %s.", src, incident.FormatBytes(*d.Free), w.disk)
	case d.Free != nil:
		return fmt.Sprintf("Free space on the filesystem of %s (%s of %s free): du -xh %s | sort -h | tail shows what fills it; else enlarge it.", src, incident.FormatBytes(*d.Free), incident.FormatBytes(*d.Size), src)
	}
	return look
}
