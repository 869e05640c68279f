package recorder

// Above is the limit above a container that leaves the least room: a pod's, a slice's,
// a compose parent's. All below it share it.
type Above struct {
	// Path is its cgroup.
	Path string
	// Limit is how many bytes may be used; Held of them are, and cannot be reclaimed.
	Limit, Held int64
}

// Room is what is left of it, in bytes.
func (a *Above) Room() int64 { return max(a.Limit-a.Held, 0) }

// Held is how many of the bytes in use cannot be reclaimed; Absent where that was not
// read.
func (x *Reading) Held() int64 {
	if x.Anon < 0 {
		return Absent
	}
	// Shared memory and tmpfs count as page cache, and cannot be dropped.
	return x.Anon + max(x.Shmem, 0) + max(x.Kernel-max(x.Reclaimable, 0), 0)
}

// Unsplit is how many bytes of kernel memory Held counts although they may be
// reclaimable: v1 does not tell how much of it is. It is 0 where the kernel tells.
func (x *Reading) Unsplit() int64 {
	if x.Reclaimable >= 0 {
		return 0
	}
	return max(x.Kernel, 0)
}
