package verdict

import (
	"github.com/oomwatch/oomwatch/internal/lazyre"
	"strings"
)

// DiskFull is what a program's log says about a filesystem, or a quota, that
// had no room left.
type DiskFull struct {
	// Line is the line that said it, as given, and Index its place in the tail.
	Line  string
	Index int
	// Path is the file that could not be written, where the lines tell it.
	Path string
	// Quota is true when it was a quota and not the filesystem.
	Quota bool
}

// FindDiskFull looks for the newest word, in the last lines of a log, that a
// write met a full filesystem or quota. It returns nil when there is none.
func FindDiskFull(tail []string) *DiskFull {
	lines, first := plainLines(tail)
	for i := len(lines) - 1; i >= 0; i-- {
		l := lines[i]
		if !diskWords(l) {
			continue
		}
		loc := reDisk.FindStringSubmatchIndex(l)
		if loc == nil || reNotDisk.MatchString(l) {
			continue
		}
		from := loc[0]
		for g := 2; g < len(loc); g += 2 {
			if loc[g] >= 0 {
				from = loc[g]
			}
		}
		pre, post := l[:from], l[loc[1]:]
		if reProse.MatchString(pre) && !strings.Contains(pre, ": ") || strings.HasSuffix(post, "?") {
			continue
		}
		text := l[from:loc[1]]
		return &DiskFull{Line: tail[first+i], Index: first + i, Path: diskPath(lines, i, pre, post),
			Quota: strings.Contains(strings.ToLower(text), "quota") || strings.Contains(text, "EDQUOT")}
	}
	return nil
}

// diskWords is a quick look for lines that cannot match.
func diskWords(l string) bool {
	for _, w := range [...]string{"o space left", "quota exceeded", "disk", "Disk", "ENOSPC", "EDQUOT", "StorageFull", "QuotaExceeded"} {
		if strings.Contains(l, w) {
			return true
		}
	}
	return false
}

// diskPath finds the file: after the message, just before it, or in the lines
// that Node.js prints below.
func diskPath(lines []string, at int, pre, post string) string {
	if strings.Contains(pre, "shared memory segment") {
		return "/dev/shm"
	}
	if g := rePathAfter.FindStringSubmatch(post); g != nil {
		return g[1]
	}
	if g := rePathBefore.FindStringSubmatch(strings.TrimRight(pre, " ")); g != nil {
		return g[1] + g[2]
	}
	for i := at + 1; i < min(at+24, len(lines)); i++ {
		if g := reNodePath.FindStringSubmatch(lines[i]); g != nil {
			return g[1]
		}
	}
	return ""
}

var (
	// reDisk is the text of ENOSPC and EDQUOT as an error says it, or a
	// program's own words for it.
	reDisk = lazyre.New(`(?:^|[:\])=,(] ?["']?|- |\b(?:errno|code:?|Errcode:)[ =]?28[ :,)"]+|\d: )(?:ENOSPC: )?([Nn]o space left on (?:device|disk)|[Dd]isk quota exceeded|EDQUOT\b)` +
		`|\b(?:Error|ERROR|error|failed): (ENOSPC|EDQUOT)\b|Errno::(ENOSPC|EDQUOT)\b|\b(database or disk is full)\b|\bkind: (StorageFull|QuotaExceeded)\b` +
		`|\b(There is not enough space on the disk)\b|\b(Disk is full) writing '|\b(possibly out of free disk space)\b|\b(OutOfDiskSpace)\b`)
	// reNotDisk are other things that run out under the same errno: watches,
	// semaphores, control groups, and kernel tables.
	reNotDisk = lazyre.New(`(?i)inotify|file watchers|\bwatch(?:es|er)?\b|semaphore|semget|sem_open|shmget|msgget|/sys/fs/cgroup|/sys/fs/bpf|mkdir /proc/|epoll|ipset|\bbpf\b`)

	rePathAfter  = lazyre.New(`^(?:, [a-z]+)?(?: @ [a-z_]{1,30} -| ?:)? ?["']?((?:/|\./)[^"'\s,)]+)`)
	rePathBefore = lazyre.New(`["']([^"'\s]*[/.][^"'\s]+)["'][^"']{0,60}$|(?:^|[\s(])(/[^\s:"'()]+)(?:\): [\w :]{0,60})?[:)]?[\s(]*$`)
	reNodePath   = lazyre.New(`^\s*path: '([^']+)'`)
)
