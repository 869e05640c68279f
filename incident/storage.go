package incident

import "time"

// Disk is one reading of a filesystem that containers write to. What could not be read
// is not told at all.
type Disk struct {
	// ID is the same at each reading of the same filesystem, as long as it is mounted.
	ID string `json:"id"`
	// Path is a directory on it, on its host.
	Path string `json:"path"`
	Size int64  `json:"size_bytes"`
	Free int64  `json:"free_bytes"` // to an ordinary user
	// Inodes is 0 for a filesystem that makes them as they are needed.
	Inodes     int64     `json:"inodes,omitempty"`
	InodesFree int64     `json:"inodes_free,omitempty"`
	Uses       []DiskUse `json:"uses,omitempty"`
	// Tool is the command that asks the engine: "docker", "podman" or "crictl"; "" for docker.
	Tool string `json:"tool,omitempty"`
	// Fill is what fills it, the largest first; empty until that was looked at.
	Fill []DiskFill `json:"fill,omitempty"`
}

// DiskUse is a place of a container that is on a filesystem.
type DiskUse struct {
	Container string `json:"container"` // its id
	Name      string `json:"name,omitempty"`
	Mount     string `json:"mount"`
	Kind      string `json:"kind"` // as in Filesystem
}

// DiskFill is one thing that fills a filesystem.
type DiskFill struct {
	// Kind is "log", "layer", "volumes", "images" or "build_cache".
	Kind string `json:"kind"`
	// Container is the id, and Name the name, of the container it belongs to; "" for what
	// belongs to none.
	Container string `json:"container,omitempty"`
	Name      string `json:"name,omitempty"`
	Bytes     int64  `json:"bytes"`
	// PerHour is by how much it grows, in bytes; nil where that is not known.
	PerHour *int64 `json:"bytes_per_hour,omitempty"`
	// Unbounded is true for a log without max-size, and Prunable how much of it a prune
	// would give back.
	Unbounded bool  `json:"unbounded,omitempty"`
	Prunable  int64 `json:"prunable_bytes,omitempty"`
	// N is how many there are, of images and volumes.
	N int `json:"n,omitempty"`
}

// LogFile is one reading of a container's log file.
type LogFile struct {
	Container string `json:"container"`
	Bytes     int64  `json:"bytes"`
	// PerHour is by how much it grows, by the last minutes.
	PerHour   int64 `json:"bytes_per_hour"`
	Unbounded bool  `json:"unbounded,omitempty"`
	// Free is what its filesystem has left; -1 where that is not known.
	Free int64 `json:"free_bytes"`
}

// Places are where a container writes to on its host.
type Places struct {
	Filesystems []Filesystem
	// LogPath is its log file; "" where its driver writes none. LogUnbounded is true where
	// nothing bounds it.
	LogPath      string
	LogUnbounded bool
}

// DiskUsage is what an engine says of its disk.
type DiskUsage struct {
	At time.Time
	// Fill is what is on it. Logs are not: the engine does not count them.
	Fill []DiskFill
}
