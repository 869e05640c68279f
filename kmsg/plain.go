package kmsg

import "io"

// Plain reads a log through gzip or zstd where its content says so, for readers of what
// is not the kernel's in it. name is for errors; done is to be called at the end.
func Plain(r io.Reader, name string) (plain io.Reader, done func(), err error) {
	return decompress(r, name)
}
