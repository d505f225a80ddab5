package main

import (
	"bytes"
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

// field gives a number of kilobytes or bytes from a file of /proc/self.
func field(file, name string) (int64, error) {
	data, err := os.ReadFile("/proc/self/" + file)
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(data) {
		if rest, ok := bytes.CutPrefix(line, []byte(name+":")); ok {
			var n int64
			_, err := fmt.Sscan(string(rest), &n)
			return n, err
		}
	}
	return 0, fmt.Errorf("/proc/self/%s has no %s", file, name)
}

// written gives the bytes that this process passed to write calls.
func written() int64 {
	n, err := field("io", "wchar")
	if err != nil {
		panic(err) // Linux has it
	}
	return n
}

// anonymous gives the memory of this process that is its own, in bytes: files
// that are mapped do not count, the kernel can drop them.
func anonymous() int64 {
	n, err := field("status", "RssAnon")
	if err != nil {
		panic(err)
	}
	return n << 10
}

// peak watches the anonymous memory until it is told to stop.
type peak struct {
	most atomic.Int64
	stop chan struct{}
	done chan struct{}
}

func watchMemory() *peak {
	p := &peak{stop: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(p.done)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			p.most.Store(max(p.most.Load(), anonymous()))
			select {
			case <-p.stop:
				return
			case <-tick.C:
			}
		}
	}()
	return p
}

func (p *peak) end() int64 {
	close(p.stop)
	<-p.done
	return p.most.Load()
}

// pages watches which pages of a file are in memory.
type pages struct {
	file *os.File
	data []byte
	vec  []byte
}

func watchPages(path string) (*pages, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	data, err := syscall.Mmap(int(f.Fd()), 0, int(info.Size()), syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map %s: %w", path, err)
	}
	return &pages{file: f, data: data, vec: make([]byte, (len(data)+4095)/4096)}, nil
}

// evict drops the file from memory. Its pages must be clean.
func (p *pages) evict() error {
	if err := p.file.Sync(); err != nil {
		return err
	}
	const dontNeed = 4 // POSIX_FADV_DONTNEED
	if _, _, e := syscall.Syscall6(syscall.SYS_FADVISE64, p.file.Fd(), 0, 0, dontNeed, 0, 0); e != 0 {
		return fmt.Errorf("evict: %w", e)
	}
	return nil
}

// resident counts the pages in memory.
func (p *pages) resident() (int, error) {
	_, _, e := syscall.Syscall(syscall.SYS_MINCORE, uintptr(unsafe.Pointer(&p.data[0])), uintptr(len(p.data)), uintptr(unsafe.Pointer(&p.vec[0])))
	if e != 0 {
		return 0, fmt.Errorf("count pages: %w", e)
	}
	n := 0
	for _, v := range p.vec {
		n += int(v & 1)
	}
	return n, nil
}

func (p *pages) close() {
	_ = syscall.Munmap(p.data) // nothing was written
	p.file.Close()
}
