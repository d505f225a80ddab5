package cachetest

import (
	"bytes"
	"fmt"
	"os"
)

// ProcField gives a number from a file of /proc/self, as it stands there.
func ProcField(file, name string) (int64, error) {
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

// Written gives the bytes that this process has passed to write calls.
func Written() (int64, error) { return ProcField("io", "wchar") }

// Anonymous gives the memory of this process that is its own, in bytes: files
// that are mapped do not count, the kernel can drop them.
func Anonymous() (int64, error) {
	kib, err := ProcField("status", "RssAnon")
	return kib << 10, err
}
