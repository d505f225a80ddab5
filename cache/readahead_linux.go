package cache

import (
	"os"

	"golang.org/x/sys/unix"
)

// readSparsely tells the kernel that a file is read in single pages: around a
// header of one page it would fetch sixteen more, from a slow card. What it
// says to that does not matter.
func readSparsely(f *os.File) { _ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_RANDOM) }
