package main

import (
	"bytes"
	"fmt"
	"path"
	"slices"
	"strings"
)

// archive builds a cpio archive in the "newc" form that the kernel unpacks as
// its first root (Documentation/driver-api/early-userspace/buffer-format.rst).
// It is not compressed: under emulation reading is cheaper than unpacking.
type archive struct {
	out  bytes.Buffer
	dirs []string
	ino  int
}

// File modes of stat(2).
const (
	modeDir    = 0o040000
	modeFile   = 0o100000
	modeDevice = 0o020000 // character device
)

// file adds a file, with the folders above it.
func (a *archive) file(name string, perm uint32, data []byte) {
	a.folders(name)
	a.entry(name, modeFile|perm, 0, 0, data)
}

// device adds a character device.
func (a *archive) device(name string, perm uint32, major, minor int) {
	a.folders(name)
	a.entry(name, modeDevice|perm, major, minor, nil)
}

// folder adds an empty folder.
func (a *archive) folder(name string) { a.folders(path.Join(name, "x")) }

func (a *archive) folders(name string) {
	parts := strings.Split(path.Dir(strings.TrimPrefix(name, "/")), "/")
	for i := range parts {
		dir := strings.Join(parts[:i+1], "/")
		if dir != "." && !slices.Contains(a.dirs, dir) {
			a.dirs = append(a.dirs, dir)
			a.entry(dir, modeDir|0o755, 0, 0, nil)
		}
	}
}

func (a *archive) entry(name string, mode uint32, major, minor int, data []byte) {
	name = strings.TrimPrefix(name, "/")
	a.ino++
	fmt.Fprintf(&a.out, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00",
		a.ino, mode, 0, 0, 1, 0, len(data), 0, 0, major, minor, len(name)+1, 0, name)
	a.pad()
	a.out.Write(data)
	a.pad()
}

func (a *archive) pad() {
	for a.out.Len()%4 != 0 {
		a.out.WriteByte(0)
	}
}

// bytes ends the archive and gives it.
func (a *archive) bytes() []byte {
	a.entry("TRAILER!!!", 0, 0, 0, nil)
	return a.out.Bytes()
}
