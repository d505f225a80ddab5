package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// guardMemory keeps the memory of this program out of core dumps, whoever
// writes them: it holds keys. The limit is for files; a dump that is piped to a
// program ignores it, but has no pages in it when the filter is zero.
func guardMemory(log *slog.Logger) {
	if err := syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{}); err != nil {
		log.Warn("core dumps are not switched off", "error", err)
	}
	if err := os.WriteFile("/proc/self/coredump_filter", []byte("0"), 0o600); err != nil {
		log.Warn("memory is not kept out of core dumps", "error", err)
	}
}

// swappable says why memory of this program can come to lie on a disk, "" when
// it cannot. A compressed area in memory (zram) is no disk.
func swappable() string {
	disk := swapOnDisk(readText("/proc/swaps"))
	if disk == "" || noSwapInGroup(readText("/proc/self/cgroup")) {
		return ""
	}
	return disk
}

// swapOnDisk gives the first swap area that is no zram.
func swapOnDisk(swaps string) string {
	for i, line := range strings.Split(swaps, "\n") {
		if fields := strings.Fields(line); i > 0 && len(fields) > 1 && !strings.HasPrefix(fields[0], "/dev/zram") {
			return fields[0]
		}
	}
	return ""
}

// noSwapInGroup says whether the control group of this program forbids swap, as
// MemorySwapMax=0 in the unit does.
func noSwapInGroup(groups string) bool {
	for line := range strings.SplitSeq(groups, "\n") {
		if path, ok := strings.CutPrefix(line, "0::"); ok {
			most := readText(filepath.Join("/sys/fs/cgroup", filepath.Clean("/"+path), "memory.swap.max"))
			return strings.TrimSpace(most) == "0"
		}
	}
	return false
}

// readText gives a small file of the kernel's, "" where there is none.
func readText(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return string(b)
}
