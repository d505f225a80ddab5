package snapshot

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"gateagent/sync/wire"
)

// chunkDir keeps chunks that were verified until the version that needs them
// is in force, so that neither a lost link nor a killed process makes the box
// fetch them again. A chunk is a file under its digest. None is synced to the
// disk: it is held to its digest again when it is read, and what a power cut
// spoiled is fetched again.
type chunkDir struct{ dir string }

// partSuffix marks a file that is being written.
const partSuffix = ".part"

func (d chunkDir) path(digest string) string { return filepath.Join(d.dir, digest) }

// put keeps a chunk.
func (d chunkDir) put(digest string, body []byte) error {
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return fmt.Errorf("keep a chunk: %w", err)
	}
	part := d.path(digest) + partSuffix
	err := os.WriteFile(part, body, 0o600)
	if err == nil {
		err = os.Rename(part, d.path(digest))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("keep a chunk: %w", err), remove(part))
	}
	return nil
}

// errNotHeld is a chunk that is not there, or is not the one it is said to be.
var errNotHeld = errors.New("a chunk that was fetched is damaged or gone")

// get reads a chunk back. One that is damaged is removed.
func (d chunkDir) get(p parcel) ([]byte, error) {
	body, err := os.ReadFile(d.path(p.digest))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, errNotHeld
	case err == nil && p.is(body):
		return body, nil
	}
	// Unreadable counts as damaged: a file that stays in the way shows when
	// the chunk is written again.
	return nil, errors.Join(errNotHeld, remove(d.path(p.digest)))
}

// missing gives those of a list that are not there, in its order, and how many
// bytes of it are.
func (d chunkDir) missing(list []parcel) (out []parcel, held int64) {
	sizes := make(map[string]int64)
	for _, f := range d.files() {
		if info, err := f.Info(); err == nil && info.Mode().IsRegular() {
			sizes[f.Name()] = info.Size()
		}
	}
	for _, p := range list {
		if size, ok := sizes[p.digest]; ok && size == int64(p.size) {
			held += size
		} else {
			out = append(out, p)
		}
	}
	return out, held
}

// keep removes every chunk that is not in the list.
func (d chunkDir) keep(list []parcel) error {
	files := d.files()
	if len(files) == 0 {
		return nil
	}
	named := make(map[string]bool, len(list))
	for _, p := range list {
		named[p.digest] = true
	}
	var errs []error
	for _, f := range files {
		// Nothing but what put writes is touched.
		digest := strings.TrimSuffix(f.Name(), partSuffix)
		if !wire.ValidDigest(digest) || digest == f.Name() && named[digest] {
			continue
		}
		errs = append(errs, remove(d.path(f.Name())))
	}
	return errors.Join(errs...)
}

func (d chunkDir) files() []fs.DirEntry {
	files, err := os.ReadDir(d.dir)
	if err != nil {
		return nil // not there yet; anything else shows when it is written to
	}
	return files
}

// free gives the bytes that may still be written.
func (d chunkDir) free() (int64, error) {
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return 0, err
	}
	return freeSpace(d.dir)
}

func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
