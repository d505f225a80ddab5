package cachetest

import (
	"fmt"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Pages watches which pages of a file the kernel holds in memory.
type Pages struct {
	file *os.File
	data []byte
	held []byte
}

// WatchPages begins to watch a file that does not change its length. The file
// must lie on a disk: in a file system in memory all pages are there.
func WatchPages(path string) (*Pages, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	data, err := unix.Mmap(int(f.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map %s: %w", path, err)
	}
	return &Pages{file: f, data: data, held: make([]byte, (len(data)+4095)/4096)}, nil
}

// Evict drops the file from memory; it must not be mapped and in use elsewhere.
func (p *Pages) Evict() error {
	if err := p.file.Sync(); err != nil {
		return err
	}
	return unix.Fadvise(int(p.file.Fd()), 0, 0, unix.FADV_DONTNEED)
}

// Held counts the pages in memory.
func (p *Pages) Held() (int, error) {
	_, _, e := syscall.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&p.data[0])), uintptr(len(p.data)), uintptr(unsafe.Pointer(&p.held[0])))
	if e != 0 {
		return 0, fmt.Errorf("count pages: %w", e)
	}
	n := 0
	for _, h := range p.held {
		n += int(h & 1)
	}
	return n, nil
}

// Close ends watching.
func (p *Pages) Close() error {
	if err := unix.Munmap(p.data); err != nil {
		return err
	}
	return p.file.Close()
}
