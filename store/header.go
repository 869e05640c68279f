package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// pageSize is SQLite's default, which all our files have.
const pageSize = 4096

// sound is a header as our files have it, with what differs between them taken from
// head. It is good for reading only: it knows of no free pages.
func sound(head []byte, size int64) []byte {
	h := bytes.Clone(head)
	copy(h, header)
	binary.BigEndian.PutUint16(h[16:], pageSize)
	copy(h[18:24], []byte{2, 2, 0, 64, 32, 32})               // WAL, no reserved bytes, the fixed shares
	binary.BigEndian.PutUint32(h[28:], uint32(size/pageSize)) // the size that holds if the two counters agree:
	copy(h[92:96], h[24:28])
	clear(h[32:40])                       // free pages
	binary.BigEndian.PutUint32(h[44:], 4) // format of the schema
	clear(h[52:56])                       // no vacuum by itself
	binary.BigEndian.PutUint32(h[56:], 1) // UTF-8
	clear(h[64:68])
	binary.BigEndian.PutUint32(h[applicationAt:], applicationID)
	clear(h[72:92])
	return h
}

// mended makes a copy of a damaged file with a sound header, to be read, and returns
// its name; "" where the header is sound, or the copy cannot be made.
func mended(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return "", err
	}
	head := make([]byte, headerSize)
	if _, err := io.ReadFull(f, head); err != nil {
		return "", fmt.Errorf("read the header of %s: %w", path, err)
	}
	good := sound(head, st.Size())
	// Free pages and the size are no damage.
	like := bytes.Clone(head)
	copy(like[28:40], good[28:40])
	copy(like[92:96], good[92:96])
	if bytes.Equal(like, good) && (binary.BigEndian.Uint32(head[28:]) == uint32(st.Size()/pageSize)) {
		return "", nil
	}
	to := path + ".mended"
	if err := copyFile(path+"-wal", to+"-wal"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if err := copyFile(path, to); err != nil {
		return "", errors.Join(err, dropMended(to))
	}
	out, err := os.OpenFile(to, os.O_WRONLY, 0)
	if err == nil {
		_, err = out.WriteAt(good, 0)
		err = errors.Join(err, out.Close())
	}
	if err != nil {
		return "", errors.Join(err, dropMended(to))
	}
	return to, nil
}

// dropMended removes what mended has made.
func dropMended(path string) error {
	var errs []error
	for _, suffix := range []string{"", "-wal", "-shm"} {
		errs = append(errs, removeHalf(path+suffix))
	}
	return errors.Join(errs...)
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, fileMode)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
