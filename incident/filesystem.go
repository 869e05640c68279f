package incident

import (
	"fmt"

	"github.com/oomwatch/oomwatch/redact"
)

// Filesystem is one that a container could write to, as it was just after its end.
type Filesystem struct {
	// Mount is where the container had it; "/" is its own writable layer.
	Mount string `json:"mount"`
	// Kind is "layer", "volume", "bind" or "tmpfs".
	Kind string `json:"kind"`
	// Source is its directory on the host; "" for a tmpfs.
	Source string `json:"source,omitempty"`
	// Size and Free (to an ordinary user) are in bytes; nil where they are not
	// known. A tmpfs ends with its container: what was free in it is not known.
	Size       *int64 `json:"size_bytes,omitempty"`
	Free       *int64 `json:"free_bytes,omitempty"`
	Inodes     *int64 `json:"inodes,omitempty"`
	InodesFree *int64 `json:"inodes_free,omitempty"`
}

// NoInodes is true where no further file can be made, whatever is free.
func (d *Filesystem) NoInodes() bool {
	return d.Inodes != nil && *d.Inodes > 0 && d.InodesFree != nil && *d.InodesFree == 0
}

// Full is true where next to nothing can be written: less than a hundredth, and
// less than 64 MiB, is free.
func (d *Filesystem) Full() bool {
	return d.NoInodes() || d.Free != nil && d.Size != nil && *d.Free <= min(*d.Size/100, 64<<20)
}

// String names it with its numbers.
func (d *Filesystem) String() string {
	s := redact.Sanitize(d.Mount)
	switch d.Kind {
	case "layer":
		s = "its own layer"
	case "tmpfs":
		s += " (tmpfs)"
	}
	if d.Source != "" {
		s += " on " + redact.Sanitize(d.Source)
	}
	switch {
	case d.NoInodes():
		s += fmt.Sprintf(": all %d inodes are in use", *d.Inodes)
	case d.Free != nil && d.Size != nil:
		s += fmt.Sprintf(": %s of %s free", FormatBytes(*d.Free), FormatBytes(*d.Size))
	case d.Size != nil:
		s += ": " + FormatBytes(*d.Size)
	}
	return s
}
