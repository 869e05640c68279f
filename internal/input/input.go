// Package input opens the files that a user names. It reads regular files and pipes,
// refuses what has no end (devices) or is no file, and never hangs: the end of the
// context ends every wait.
package input

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Errors of Open, wrapped in an *fs.PathError.
var (
	ErrDevice = errors.New("it is a device, not a file")
	ErrSilent = errors.New("nobody wrote into this pipe")
)

// File is an open regular file or pipe.
type File struct {
	*os.File
	// Info is what the file was when it was opened.
	Info fs.FileInfo
	stop func() bool
}

// Again is true where the file can be opened and read once more, which a pipe cannot.
func (f *File) Again() bool { return f.Info.Mode().IsRegular() }

// Close implements io.Closer.
func (f *File) Close() error {
	if !f.stop() {
		return nil // the end of the context has closed it
	}
	return f.File.Close()
}

// pollEvery is how often a wait for a pipe's writer looks whether the context has ended.
const pollEvery = 100 * time.Millisecond

// Open opens a file for reading. For a pipe that nobody writes into yet it waits. When
// ctx ends the file is closed, and with it a read that waits.
func Open(ctx context.Context, name string) (*File, error) {
	// Non-blocking: else the open of a pipe itself would wait, deaf to ctx.
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	st, err := f.Stat()
	if err == nil {
		err = readable(ctx, f, st)
	}
	if err != nil {
		_ = f.Close() // nothing was written
		return nil, err
	}
	return &File{File: f, Info: st, stop: context.AfterFunc(ctx, func() {
		_ = f.Close() // a read that waits ends with an error
	})}, nil
}

// readable returns an error for what is neither a regular file nor a pipe.
func readable(ctx context.Context, f *os.File, st fs.FileInfo) error {
	switch mode := st.Mode(); {
	case mode.IsRegular():
		return nil
	case mode&fs.ModeNamedPipe != 0:
		return awaitWriter(ctx, f)
	case mode.IsDir():
		return &fs.PathError{Op: "read", Path: f.Name(), Err: unix.EISDIR}
	case mode&fs.ModeCharDevice != 0 && f.Name() == os.DevNull:
		return nil // an empty file, as shells use it
	default:
		return &fs.PathError{Op: "read", Path: f.Name(), Err: ErrDevice}
	}
}

// awaitWriter waits until somebody writes into a pipe, or has.
func awaitWriter(ctx context.Context, f *os.File) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	for ctx.Err() == nil {
		var n int
		var perr error
		if err := conn.Control(func(fd uintptr) {
			n, perr = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(pollEvery.Milliseconds()))
		}); err != nil {
			return err
		}
		if n > 0 || perr != nil && perr != unix.EINTR {
			return perr
		}
	}
	return &fs.PathError{Op: "read", Path: f.Name(), Err: ErrSilent}
}

// ReadFile reads a whole file of at most most bytes.
func ReadFile(ctx context.Context, name string, most int64) ([]byte, error) {
	f, err := Open(ctx, name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, &fs.PathError{Op: "read", Path: name, Err: ctx.Err()}
	case err != nil:
		return nil, err
	case int64(len(b)) > most:
		return nil, &fs.PathError{Op: "read", Path: name, Err: fmt.Errorf("it is longer than %d bytes", most)}
	}
	return b, nil
}
