package documents

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

const (
	trustFile       = "trust.jws"
	policyFile      = "policy.jws"
	policyTrustFile = "policy.trust.jws"

	revokedFile      = "revoked.jws"
	revokedTrustFile = "revoked.trust.jws"
)

// maxFile bounds what is read of a file, in bytes; no document is as large.
const maxFile = 1 << 20

// store is the directory. A file is never written in place.
type store struct{ dir string }

func (s store) path(name string) string { return filepath.Join(s.dir, name) }

func (s store) read(name string) ([]byte, error) {
	f, err := os.Open(s.path(name))
	if err != nil {
		return nil, fmt.Errorf("read document: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return nil, fmt.Errorf("read document %s: %w", name, err)
	}
	// A list that gatectl wrote to a file, put here with the image of a box,
	// ends with a line.
	return bytes.TrimSpace(b), nil
}

// write puts b in place whole: written, synced, renamed, the directory synced.
// After an error the old file is still there.
func (s store) write(name string, b []byte) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("write document %s: %w", name, err)
		}
	}()
	f, err := os.CreateTemp(s.dir, name+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) //nolint:errcheck // gone after the rename
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), s.path(name)); err != nil {
		return err
	}
	return s.sync()
}

func (s store) sync() error {
	d, err := os.Open(s.dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// setAside keeps a file that cannot be used for whoever wants to know why.
func (s store) setAside(name string) {
	_ = os.Rename(s.path(name), s.path(name)+".bad")
	_ = s.sync()
}
