package durable_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"gateagent/agent/durable"
)

func TestWriteFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pins.json")
	for _, tt := range []struct {
		name, content string
		left          string // what an earlier crash left beside it
		mode          fs.FileMode
	}{
		{name: "a new file", content: "one", mode: 0o600},
		{name: "another content", content: "two and longer", mode: 0o600},
		{name: "after a crash", content: "three", left: "half of som", mode: 0o600},
		{name: "empty, for all to read", content: "", mode: 0o644},
	} {
		if tt.left != "" {
			if err := os.WriteFile(path+durable.Suffix, []byte(tt.left), 0o666); err != nil {
				t.Fatal(err)
			}
		}
		if err := durable.WriteFile(path, []byte(tt.content), tt.mode); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		is(t, path, tt.content)
		if s, err := os.Stat(path); err != nil || s.Mode().Perm() != tt.mode {
			t.Errorf("%s: %v, %v", tt.name, s.Mode(), err)
		}
		if names, err := os.ReadDir(filepath.Dir(path)); err != nil || len(names) != 1 {
			t.Errorf("%s: %v, %v", tt.name, names, err)
		}
	}
}

// A link that somebody has laid where the new file is written leads nowhere.
func TestWriteFileLink(t *testing.T) {
	dir := t.TempDir()
	path, other := filepath.Join(dir, "trust.jws"), filepath.Join(dir, "other")
	if err := os.WriteFile(other, []byte("untouched"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(other, path+durable.Suffix); err != nil {
		t.Fatal(err)
	}
	if err := durable.WriteFile(path, []byte("new"), 0o600); err != nil {
		t.Fatal(err)
	}
	is(t, path, "new")
	is(t, other, "untouched")
}

func TestWriteFileFails(t *testing.T) {
	dir := t.TempDir()
	if err := durable.WriteFile(filepath.Join(dir, "gone", "floor"), nil, 0o600); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("into a folder that is not there: %v", err)
	}
	// A file does not take the place of a folder that is not empty.
	path := filepath.Join(dir, "sets")
	if err := os.MkdirAll(filepath.Join(path, "vn"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := durable.WriteFile(path, []byte("x"), 0o600); err == nil {
		t.Error("a folder was replaced")
	}
	if names, err := os.ReadDir(dir); err != nil || len(names) != 1 {
		t.Errorf("left: %v, %v", names, err)
	}
}

func is(t *testing.T, path, want string) {
	t.Helper()
	if b, err := os.ReadFile(path); err != nil || string(b) != want {
		t.Errorf("%s: %q, %v; want %q", filepath.Base(path), b, err, want)
	}
}
