package central

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"

	"gateagent/agent/durable"
)

// lock keeps a second central from writing the same file.
func lock(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return ErrSinkInUse
	}
	return err
}

func syncDirOf(path string) error { return durable.SyncDir(filepath.Dir(path)) }
