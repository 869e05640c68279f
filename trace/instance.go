package trace

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// An instance belongs to the process that holds a lock (flock) on its
// directory. The kernel takes the lock from a process that dies, however it
// dies, and unlike a pid in the name it cannot be mistaken for another's, nor
// does it mean something else in another PID namespace.

// errHeld says that a living process has the instance.
var errHeld = errors.New("a living process uses it")

// create makes a new instance, and the lock that makes it ours.
func create(instances, name string) (dir string, lock *os.File, err error) {
	names := []string{name}
	if name == "" {
		// Two containers can share the host's tracefs and each be PID 1.
		names = []string{namePrefix + strconv.Itoa(os.Getpid())}
		for i := 2; i <= 16; i++ {
			names = append(names, names[0]+"-"+strconv.Itoa(i))
		}
	} else if name != filepath.Base(name) || name == "." || name == ".." {
		return "", nil, fmt.Errorf("trace instance %q: want a name without slashes", name)
	}
	for _, n := range names {
		dir = filepath.Join(instances, n)
		lock, err = createAt(dir)
		if !errors.Is(err, errHeld) {
			return dir, lock, err
		}
	}
	return "", nil, fmt.Errorf("trace instance %s: %w", dir, err)
}

// createAt makes the instance dir; one that is there and nobody's is replaced.
func createAt(dir string) (*os.File, error) {
	// Another process may take our new directory for a leftover until it is
	// locked: then it is made again.
	for range 5 {
		err := os.Mkdir(dir, 0o700)
		switch {
		case errors.Is(err, fs.ErrExist):
			if err := removeUnheld(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, err
			}
			continue
		case err != nil:
			return nil, err
		}
		lock, err := hold(dir)
		if err == nil {
			return lock, nil
		}
		if !errors.Is(err, errHeld) && !errors.Is(err, fs.ErrNotExist) {
			return nil, errors.Join(err, os.Remove(dir))
		}
	}
	return nil, errHeld
}

// hold locks the instance dir for this process.
func hold(dir string) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close() // only read; the reason to close it is the error
		if err == unix.EWOULDBLOCK {
			return nil, errHeld
		}
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	// Whoever held it before may have removed it.
	mine, err := f.Stat()
	if err == nil {
		var now fs.FileInfo
		if now, err = os.Stat(dir); err == nil && !os.SameFile(mine, now) {
			err = fs.ErrNotExist
		}
	}
	if err != nil {
		_ = f.Close() // likewise
		return nil, err
	}
	return f, nil
}

// removeUnheld removes the instance dir, unless a living process has it.
func removeUnheld(dir string) error {
	lock, err := hold(dir)
	if err != nil {
		return err
	}
	defer lock.Close()
	return remove(dir)
}

// removeLeftovers removes the instances that processes of ours left when they
// were killed, and returns their names. One that cannot be removed, because
// somebody looks into it, is turned off and left for the next time.
func removeLeftovers(instances string) (removed []string, err error) {
	entries, err := os.ReadDir(instances)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), namePrefix) {
			continue
		}
		if removeUnheld(filepath.Join(instances, e.Name())) == nil {
			removed = append(removed, e.Name())
		}
	}
	return removed, nil
}

// remove removes the instance dir. One that is busy costs nothing any more.
func remove(dir string) error {
	err := os.Remove(dir)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return err
	}
	off := write(filepath.Join(dir, "events/enable"), "0")
	// A child of ours between fork and exec has our files open for a moment.
	for range 50 {
		if !errors.Is(err, unix.EBUSY) {
			break
		}
		time.Sleep(10 * time.Millisecond)
		err = os.Remove(dir)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("remove the trace instance: %w; rmdir it when nothing reads in it", err), off)
	}
	return nil
}
