package dataset

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// tempName begins the names of directories for sorting.
const tempName = ".gatectl-sort-"

// tempDir is a directory for sorting, of this process alone: whoever holds the
// lock of the file in it is alive.
type tempDir struct {
	path string
	lock *os.File
	n    int
}

// newTempDir makes one in a directory, and removes those whose owner has died.
func newTempDir(in string) (*tempDir, error) {
	if err := os.MkdirAll(in, 0o755); err != nil {
		return nil, fmt.Errorf("make a directory for sorting: %w", err)
	}
	if err := removeDead(in); err != nil {
		return nil, err
	}
	for tries := 0; ; tries++ {
		path, err := os.MkdirTemp(in, tempName+"*")
		if err != nil {
			return nil, fmt.Errorf("make a directory for sorting: %w", err)
		}
		lock, err := lockFile(filepath.Join(path, "lock"))
		if err == nil && exists(lock.Name()) {
			return &tempDir{path: path, lock: lock}, nil
		}
		// Another process may have taken it for a dead one's before it was
		// locked.
		if err == nil {
			err = lock.Close()
		}
		if err = errors.Join(err, os.RemoveAll(path)); tries == 3 {
			return nil, errors.Join(errors.New("make a directory for sorting: it does not stay"), err)
		}
	}
}

// removeDead removes directories for sorting that nobody owns any more.
func removeDead(in string) error {
	left, err := filepath.Glob(filepath.Join(in, tempName+"*"))
	if err != nil {
		return fmt.Errorf("look for what was left of sorting: %w", err)
	}
	for _, path := range left {
		lock, err := lockFile(filepath.Join(path, "lock"))
		if err != nil {
			continue // it lives, or is somebody else's
		}
		if err := errors.Join(os.RemoveAll(path), lock.Close()); err != nil {
			return fmt.Errorf("remove what was left of sorting: %w", err)
		}
	}
	return nil
}

// create makes a file for its owner alone.
func (d *tempDir) create() (*os.File, error) {
	d.n++
	f, err := os.OpenFile(filepath.Join(d.path, strconv.Itoa(d.n)), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("sort on the disk: %w", err)
	}
	return f, nil
}

func (d *tempDir) remove() error {
	return errors.Join(os.RemoveAll(d.path), d.lock.Close())
}

// errBusy is the error of lockFile when another process holds the lock.
var errBusy = errors.New("in use by another process")

// lockFile takes the lock on a file, which it makes when missing. Closing the
// file gives it up, and so does the end of the process.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = errBusy
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
	}
	return f, nil
}
