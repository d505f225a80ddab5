//go:build unix

package cache

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// lockFile takes the lock on path, which it makes when missing, and waits
// at most lockWait for whoever holds it. Closing the file gives it up, and so
// does the end of the process. The file is never removed.
func lockFile(path string, how int) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|os.O_CREATE, fileMode)
	if err != nil {
		return nil, err
	}
	for end := time.Now().Add(lockWait); ; time.Sleep(lockWait / 40) {
		err := syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB)
		switch {
		case err == nil:
			return f, nil
		case errors.Is(err, syscall.EINTR):
		case !errors.Is(err, syscall.EWOULDBLOCK):
			return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
		case time.Now().After(end):
			return nil, errors.Join(fmt.Errorf("%s: %w", path, ErrInUse), f.Close())
		}
	}
}

// lockDir makes this process the owner of a directory.
func lockDir(path string) (*os.File, error) { return lockFile(path, syscall.LOCK_EX) }

// probeLock fails when another process holds the lock of an existing file.
func probeLock(path string) error {
	f, err := lockFile(path, syscall.LOCK_SH)
	if err != nil {
		return err
	}
	return f.Close()
}

// noSpace says whether err means that the disk, the quota or the file has
// reached its limit. bbolt flattens some errors to text.
func noSpace(err error) bool {
	for _, e := range []syscall.Errno{syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG} {
		if errors.Is(err, e) || endsWith(err.Error(), e.Error()) {
			return true
		}
	}
	return false
}

func endsWith(s, end string) bool { return len(s) >= len(end) && s[len(s)-len(end):] == end }
