package documents

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"gateagent/agent/durable"
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

// write puts b in place whole. After an error the old file is still there.
func (s store) write(name string, b []byte) error {
	if err := durable.WriteFile(s.path(name), b, 0o600); err != nil {
		return fmt.Errorf("write document %s: %w", name, err)
	}
	return nil
}

// setAside keeps a file that cannot be used for whoever wants to know why.
func (s store) setAside(name string) {
	_ = os.Rename(s.path(name), s.path(name)+".bad")
	_ = durable.SyncDir(s.dir)
}
