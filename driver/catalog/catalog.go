// Package catalog is the hardware that the product supports, on one screen:
// the driver names a configuration may use, and what builds each of them.
//
// It owns the two tables and nothing else. A constructor checks its options
// and touches no device; the function it gives opens the device, and opens it
// again after it was gone. Retrying is the lane's business.
package catalog

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"gateagent/agent/gate"
)

// Scanner is an open device that reads codes. Scan waits for the next code and
// gives an error when the device is gone; then only a new Scanner helps. At the
// end of a recording the error is gate.ErrNoMoreScans, and none does.
//
// Scanners have figures of their own kind as well: cameras a method Stats that
// gives opticalscan.Stats, serial engines one that gives serialscan.Stats.
type Scanner interface {
	Scan(ctx context.Context) (gate.Scan, error)
	Close() error
}

// Relay is an open device that opens the gate. Pulse returns when the gate is
// open, which then shuts by itself; Hold and Release take no lock.
type Relay interface {
	Pulse(ctx context.Context) error
	Hold() error
	Release()
	Close(onFault gate.OnFault) error
}

// OpenScanner opens the scanner that it was built for. The one before must be
// closed.
type OpenScanner func(ctx context.Context) (Scanner, error)

// OpenRelay opens the relay that it was built for. The one before must be
// closed.
type OpenRelay func(ctx context.Context) (Relay, error)

// ScannerSpec says which scanner, and how. A driver looks at its own fields
// only; zero values mean the driver's defaults.
type ScannerSpec struct {
	Driver string

	// Device of v4l2cam and serialscan: a stable name below /dev, or a node.
	Device string
	// Width and Height of pictures, in pixels, as asked of the camera
	// (v4l2cam).
	Width, Height int
	FPS           int // pictures a second (v4l2cam, replaycam; there 0 plays in step)

	// Source of replaycam: a folder of pictures, a motion JPEG file, or "-" for
	// standard input.
	Source string
	Loop   bool // replaycam: begin again at the end

	Baud      int           // serialscan: bits per second
	Framing   string        // serialscan: a name of serialscan.Framings; empty: auto
	Silence   time.Duration // serialscan: the pause that ends a payload
	MaxLength int           // serialscan: bytes of one payload
}

// RelaySpec says which relay, and how.
type RelaySpec struct {
	Driver string

	Chip      string // gpiorelay: path, name or label of the chip
	Line      string // gpiorelay: number or name of the line
	ActiveLow bool   // gpiorelay
	Consumer  string // gpiorelay: shown as the line's holder; empty: gateagent
	Pulse     time.Duration
}

// NewScanner finds the driver and has it check its options. The error for a
// name that is none lists those that are.
func NewScanner(s ScannerSpec, log *slog.Logger) (OpenScanner, error) {
	build, ok := scanners[s.Driver]
	if !ok {
		return nil, unknown("scanner", s.Driver, ScannerNames())
	}
	return build(s, log.With("driver", s.Driver))
}

// NewRelay finds the driver and has it check its options. The error for a name
// that is none lists those that are.
func NewRelay(s RelaySpec, log *slog.Logger) (OpenRelay, error) {
	build, ok := relays[s.Driver]
	if !ok {
		return nil, unknown("relay", s.Driver, RelayNames())
	}
	return build(s, log.With("driver", s.Driver))
}

// ScannerNames lists the scanner drivers, sorted.
func ScannerNames() []string { return slices.Sorted(maps.Keys(scanners)) }

// RelayNames lists the relay drivers, sorted.
func RelayNames() []string { return slices.Sorted(maps.Keys(relays)) }

func unknown(kind, name string, known []string) error {
	return fmt.Errorf("unknown %s driver %q; known: %s", kind, name, strings.Join(known, ", "))
}
