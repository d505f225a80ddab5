// Package durable puts small files in place for good: after a power cut at any
// moment the old content is there or the new one, whole.
//
// It owns neither names nor contents, and it takes no lock: a path has one
// writer at a time, which its owner sees to. Files that are built over longer
// times (journals, generations) have ways of their own.
package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Suffix ends the name under which a file is written before it takes its
// place. It is always the same, so that crashes leave one file and not many.
const Suffix = ".new"

// WriteFile replaces the file at path by data: written beside it with the mode
// given, synced, renamed, and the folder synced. After an error the old file is
// still there, unless only the folder could not be synced.
func WriteFile(path string, data []byte, mode fs.FileMode) error {
	beside := path + Suffix
	// One that a crash has left may have another mode or be a link.
	if err := os.Remove(beside); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(beside, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Chmod(mode) // whatever the umask
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(beside, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(beside))
	}
	return SyncDir(filepath.Dir(path))
}

// SyncDir makes what was made, renamed or removed in a folder last.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
