package cgroup

import (
	"cmp"
	"path"
	"path/filepath"
	"slices"
)

// Level is one cgroup of a tree: its own limit and what it uses, all below it
// included. Sizes are bytes.
type Level struct {
	Path  string `json:"path"`
	Limit int64  `json:"limit_bytes"` // Unlimited when it has none
	Usage int64  `json:"usage_bytes"` // -1 when it cannot be read
}

// Ancestors is the cgroups above path, the nearest first and the root last:
// whose limit can be reached beside the cgroup's own. Those that have gone are
// left out; the error is that of a path that cannot be looked at from here.
func (fs *FS) Ancestors(cgroup string) ([]Level, error) {
	if _, err := fs.dir(cgroup); err != nil {
		return nil, err
	}
	var levels []Level
	for p := path.Clean("/" + cgroup); p != "/"; {
		p = path.Dir(p)
		dir, err := fs.dir(p)
		if err != nil {
			break // above what is mounted here
		}
		if isDir(dir) {
			levels = append(levels, fs.level(p, dir))
		}
	}
	return levels, nil
}

// Members is the cgroups directly below path, the largest first, at most n of
// them: who shares a limit.
func (fs *FS) Members(cgroup string, n int) ([]Level, error) {
	dir, err := fs.dir(cgroup)
	if err != nil {
		return nil, err
	}
	var levels []Level
	for _, d := range children(dir) {
		levels = append(levels, fs.level(path.Join("/", cgroup, filepath.Base(d)), d))
	}
	slices.SortStableFunc(levels, func(a, b Level) int { return cmp.Compare(b.Usage, a.Usage) })
	return levels[:min(n, len(levels))], nil
}

func (fs *FS) level(p, dir string) Level {
	usage, limit := "memory.current", "memory.max"
	if fs.version == 1 {
		usage, limit = "memory.usage_in_bytes", "memory.limit_in_bytes"
	}
	l := Level{Path: p, Limit: Unlimited, Usage: -1}
	bp := fs.bufs.Get().(*[]byte)
	defer fs.bufs.Put(bp)
	if b, err := readOnce(filepath.Join(dir, usage), *bp); err == nil {
		if n, ok := parseInt(b); ok {
			l.Usage = n
		}
	}
	if b, err := readOnce(filepath.Join(dir, limit), *bp); err == nil {
		if n, ok := parseLimit(b); ok {
			l.Limit = n
		}
	}
	return l
}
