package store

import "syscall"

// Filesystem is a kind of file system on which a store is not what one thinks.
type Filesystem struct {
	Name string
	// Risk is what that means for a store, Fix what to do.
	Risk, Fix string
}

const (
	network = "SQLite's log needs shared memory, which a network file system may not have: " +
		"without it oomwatch does not start; while the server is away, every write waits"
	onLocal = "choose a store on a local disk with --store PATH"
)

// filesystems are those, by the magic number that statfs gives (linux/magic.h).
var filesystems = map[int64]Filesystem{
	0x6969:     {"NFS", network, onLocal},
	0xff534d42: {"CIFS", network, onLocal},
	0xfe534d42: {"SMB", network, onLocal},
	0x01021997: {"9p", network, onLocal},
	0x65735546: {"FUSE", network, onLocal},
	0x00c36400: {"Ceph", network, onLocal},
	0x794c7630: {"an overlay", "it is a container's own layer: removing the container removes all incidents and undelivered alerts",
		"mount a volume where the store is: see examples/compose.yaml"},
	0x01021994: {"tmpfs", "in memory: the next boot removes all incidents and undelivered alerts", onLocal},
	0x858458f6: {"ramfs", "in memory: the next boot removes all incidents and undelivered alerts", onLocal},
}

// FilesystemOf says what a store in a folder has to fear from its file system; nil
// for nothing that is known.
func FilesystemOf(dir string) *Filesystem {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return nil // who writes there will hear why
	}
	return riskOf(int64(st.Type))
}

func riskOf(magic int64) *Filesystem {
	if fs, ok := filesystems[magic&0xffffffff]; ok {
		return &fs
	}
	return nil
}
