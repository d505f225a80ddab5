package serialport

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// DefaultByID is where udev keeps the stable names of serial lines.
const DefaultByID = "/dev/serial/by-id"

// Line names a serial line for good, whatever node the kernel gives it next.
// It is safe for concurrent use.
type Line struct {
	device string
	byID   string

	mu sync.Mutex
	// stable is the by-id name that pointed to the node when it was opened
	// last; guarded by mu.
	stable string
}

// NewLine makes a Line of what a configuration says: a path (a stable one
// below /dev/serial, or a node), or a bare name in the by-id folder. byID is
// that folder; empty means [DefaultByID].
func NewLine(device, byID string) (*Line, error) {
	if device == "" {
		return nil, errors.New("no serial device named")
	}
	if byID == "" {
		byID = DefaultByID
	}
	if !strings.Contains(device, "/") {
		device = filepath.Join(byID, device)
	}
	return &Line{device: device, byID: byID}, nil
}

// Device is the name the line was made with, as a path.
func (l *Line) Device() string { return l.device }

// Resolve gives the node that stands for the line now. A symbolic link is
// followed anew each time. A line configured by its node, which udev had given
// a stable name when it was last open, is looked for under that name first:
// so it is found again as ttyUSB1. The error is [ErrGone] when there is none.
func (l *Line) Resolve() (string, error) {
	l.mu.Lock()
	stable := l.stable
	l.mu.Unlock()
	for _, path := range []string{stable, l.device} {
		if path == "" {
			continue
		}
		node, err := filepath.EvalSymlinks(path)
		if err == nil {
			return node, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", openError(err)
		}
	}
	return "", ErrGone
}

// Open finds the line's node and opens it at the given speed, in bits per
// second. Errors name the configured device and wrap the package's sentinels.
func (l *Line) Open(baud int) (*Port, error) {
	node, err := l.Resolve()
	if err != nil {
		return nil, fmt.Errorf("open serial line %s: %w", l.device, err)
	}
	p, err := open(node, baud)
	if err != nil {
		if node != l.device {
			return nil, fmt.Errorf("open serial line %s (%s): %w", l.device, node, err)
		}
		return nil, fmt.Errorf("open serial line %s: %w", l.device, err)
	}
	l.remember(node)
	return p, nil
}

// remember looks for the stable name of node. A line that is configured by a
// link has one already.
func (l *Line) remember(node string) {
	if info, err := os.Lstat(l.device); err == nil && info.Mode()&fs.ModeSymlink != 0 {
		return
	}
	entries, err := os.ReadDir(l.byID)
	if err != nil {
		return // no udev here; the node's own name is all there is
	}
	for _, e := range entries {
		link := filepath.Join(l.byID, e.Name())
		if target, err := filepath.EvalSymlinks(link); err == nil && target == node {
			l.mu.Lock()
			l.stable = link
			l.mu.Unlock()
			return
		}
	}
}
