package cache

import (
	"os"

	"golang.org/x/sys/unix"
)

// readSparsely tells the kernel that a file is read in single pages: around a
// header of one page it would fetch sixteen more, from a slow card. What it
// says to that does not matter.
func readSparsely(f *os.File) { _ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_RANDOM) }

// fetch begins to read a piece of a file that will be looked at soon.
func fetch(f *os.File, at, length int64) {
	_ = unix.Fadvise(int(f.Fd()), at, length, unix.FADV_WILLNEED) // it goes without, page by page
}
