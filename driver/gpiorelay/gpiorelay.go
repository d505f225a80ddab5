// Package gpiorelay opens a gate by a line of a GPIO chip: a relay, a
// transistor or a lock behind it.
//
// It owns the search for chip and line and the request by which the kernel
// gives the line to this process alone. The timing of pulses is
// driver/pulse's. It speaks the kernel's GPIO interface, second version (Linux
// 5.10 and later), through go-gpiocdev's uapi package and not through its
// Line, whose mutex would make a release wait for a call that hangs.
//
// What the line does after its holder is gone is not ours to say. As long as
// the process lives, a relay closed with on_fault open keeps its line
// requested and active. When the process dies, the kernel frees the line: on
// most chips it keeps its last level, on some (gpio-sim, some expanders) it
// falls or becomes an input. A gate that must open, or must shut, without the
// agent has to be wired so, by a normally-open or normally-closed contact.
package gpiorelay

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"gateagent/agent/gate"
	"gateagent/driver/pulse"
)

// What a caller may decide on, by errors.Is.
var (
	// ErrNoChip: no GPIO chip by that path or label.
	ErrNoChip = errors.New("no such GPIO chip")
	// ErrNoLine: the chip has no line of that name or number.
	ErrNoLine = errors.New("no such line")
	// ErrBusy: the kernel or another program holds the line.
	ErrBusy = errors.New("line in use")
	// ErrPermission: this user may not open the chip.
	ErrPermission = errors.New("permission denied (is the user in the group that owns the chip, usually gpio?)")
	// ErrOldKernel: the kernel lacks the second version of the interface.
	ErrOldKernel = errors.New("this kernel is too old: GPIO lines need Linux 5.10 or later")
)

// DefaultDev is where chips are.
const DefaultDev = "/dev"

// Options describe one relay.
type Options struct {
	// Chip is a path ("/dev/gpiochip0"), a name ("gpiochip0"), or the chip's
	// label ("pinctrl-bcm2711"), which survives a different order at boot.
	Chip string
	// Line is a number on the chip ("17") or a line's name ("GPIO17").
	Line string
	// ActiveLow: the relay draws when the line is low.
	ActiveLow bool
	Pulse     time.Duration // length of an opening
	// Consumer is what other programs see as the line's holder; empty:
	// "gateagent". At most 31 bytes count.
	Consumer string
	// Dev is the folder of the chips; empty: [DefaultDev].
	Dev string
}

// chipInfo and lineInfo are what the kernel says about a chip and a line.
type chipInfo struct {
	name, label string
	lines       int
}

type lineInfo struct {
	name     string
	consumer string // empty when nobody holds the line
}

// chip is what this package needs of a GPIO chip; the kernel's is in
// kernel.go, the bench's in the tests.
type chip interface {
	info() (chipInfo, error)
	line(offset int) (lineInfo, error)
	// request takes a line as an output that is inactive at first. It gives
	// ErrBusy when somebody has it.
	request(offset int, activeLow bool, consumer string) (output, error)
	close() error
}

// output is a requested line. Set may be called from several goroutines.
type output interface {
	pulse.Output
	close() error
}

// Source opens the same relay again and again. It is safe for concurrent use.
type Source struct {
	o        Options
	log      *slog.Logger
	openChip func(path string) (chip, error)

	mu sync.Mutex
	// parked is a line that was left held (on_fault open): still requested, to
	// be taken over by the next Open. Guarded by mu.
	parked output
}

// NewSource checks the options; it touches no device.
func NewSource(o Options, log *slog.Logger) (*Source, error) {
	return newSource(o, log, openKernelChip)
}

func newSource(o Options, log *slog.Logger, openChip func(string) (chip, error)) (*Source, error) {
	if o.Dev == "" {
		o.Dev = DefaultDev
	}
	if o.Consumer == "" {
		o.Consumer = "gateagent"
	}
	switch {
	case o.Chip == "":
		return nil, errors.New("gpio relay: no chip named")
	case o.Line == "":
		return nil, errors.New("gpio relay: no line named")
	}
	if err := pulse.CheckLength(o.Pulse); err != nil {
		return nil, fmt.Errorf("gpio relay: %w", err)
	}
	return &Source{o: o, log: log.With("chip", o.Chip, "line", o.Line), openChip: openChip}, nil
}

// Relay is a requested line with its timing. Its methods are those of
// [pulse.Relay]; Close also gives the line back.
type Relay struct {
	*pulse.Relay
	source *Source
	out    output
	once   sync.Once
	err    error // guarded by once
}

// Open finds and requests the line; it is inactive from then on, unless the
// former relay of this source left it held: then it is taken over as it is,
// and released at once.
func (s *Source) Open() (*Relay, error) {
	s.mu.Lock()
	out := s.parked
	s.parked = nil
	s.mu.Unlock()
	if out == nil {
		var err error
		if out, err = s.request(); err != nil {
			return nil, fmt.Errorf("open relay on GPIO chip %s, line %s: %w", s.o.Chip, s.o.Line, err)
		}
	}
	timing, err := pulse.New(out, s.o.Pulse, s.log)
	if err != nil {
		return nil, errors.Join(err, out.close())
	}
	timing.Release()
	if fault := timing.Status().Fault; fault != nil {
		return nil, errors.Join(fmt.Errorf("open relay on GPIO chip %s, line %s: %w", s.o.Chip, s.o.Line, fault),
			timing.Close(gate.OnFaultClosed), out.close())
	}
	return &Relay{Relay: timing, source: s, out: out}, nil
}

func (s *Source) request() (output, error) {
	c, info, err := s.findChip()
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.close() }() // nothing was written that could be lost
	offset, err := findLine(c, info, s.o.Line)
	if err != nil {
		return nil, err
	}
	out, err := c.request(offset, s.o.ActiveLow, s.o.Consumer)
	if errors.Is(err, ErrBusy) {
		if l, lerr := c.line(offset); lerr == nil && l.consumer != "" {
			return nil, fmt.Errorf("%w by %q", err, l.consumer)
		}
		return nil, err
	}
	if err != nil {
		return nil, err
	}
	s.log.Info("gpio relay open", "node", info.name, "label", info.label, "offset", offset, "active_low", s.o.ActiveLow)
	return out, nil
}

// findChip opens the chip by path or name, or else the only one that bears the
// label.
func (s *Source) findChip() (chip, chipInfo, error) {
	path := s.o.Chip
	if !strings.Contains(path, "/") {
		path = filepath.Join(s.o.Dev, path)
	}
	if _, err := os.Stat(path); err == nil {
		c, err := s.openChip(path)
		if err != nil {
			return nil, chipInfo{}, err
		}
		info, err := c.info()
		if err != nil {
			return nil, chipInfo{}, errors.Join(err, c.close())
		}
		return c, info, nil
	}
	if strings.Contains(s.o.Chip, "/") {
		return nil, chipInfo{}, ErrNoChip
	}
	return s.chipByLabel()
}

func (s *Source) chipByLabel() (chip, chipInfo, error) {
	paths, err := filepath.Glob(filepath.Join(s.o.Dev, "gpiochip*"))
	if err != nil {
		return nil, chipInfo{}, fmt.Errorf("look for GPIO chips: %w", err)
	}
	var (
		found chip
		is    chipInfo
		known []string
		first error // why a chip could not be asked
	)
	for _, p := range paths {
		c, err := s.openChip(p)
		if err != nil {
			first = errors.Join(first, err)
			continue
		}
		info, err := c.info()
		if err != nil || info.label != s.o.Chip {
			first = errors.Join(first, err, c.close())
			known = append(known, fmt.Sprintf("%s (%s)", filepath.Base(p), info.label))
			continue
		}
		if found != nil {
			return nil, chipInfo{}, errors.Join(
				fmt.Errorf("the label stands for %s and %s; name the chip by its path", is.name, info.name),
				found.close(), c.close())
		}
		found, is = c, info
	}
	switch {
	case found != nil:
		return found, is, nil
	case first != nil:
		return nil, chipInfo{}, first
	case len(known) > 0:
		return nil, chipInfo{}, fmt.Errorf("%w; there are: %s", ErrNoChip, strings.Join(known, ", "))
	}
	return nil, chipInfo{}, fmt.Errorf("%w; this machine has none", ErrNoChip)
}

// findLine gives the offset of a line by number or by name.
func findLine(c chip, info chipInfo, want string) (int, error) {
	if n, err := strconv.Atoi(want); err == nil {
		if n < 0 || n >= info.lines {
			return 0, fmt.Errorf("%w: the chip has lines 0 to %d", ErrNoLine, info.lines-1)
		}
		return n, nil
	}
	found := -1
	for n := range info.lines {
		l, err := c.line(n)
		if err != nil {
			return 0, fmt.Errorf("ask for line %d: %w", n, err)
		}
		if l.name != want {
			continue
		}
		if found >= 0 {
			return 0, fmt.Errorf("lines %d and %d are both named %q; give the number", found, n, want)
		}
		found = n
	}
	if found < 0 {
		return 0, fmt.Errorf("%w: no line of the chip is named %q", ErrNoLine, want)
	}
	return found, nil
}

// Close leaves the line as onFault says. With closed and guard it falls and is
// given back. With open it stays active and requested for as long as this
// process lives, because the kernel may drop a line that it frees; the
// source's next Open takes it over.
func (r *Relay) Close(onFault gate.OnFault) error {
	r.once.Do(func() {
		r.err = r.Relay.Close(onFault)
		switch {
		case errors.Is(r.err, pulse.ErrHangs):
			// A call is still out with this descriptor; its number must not be
			// given to another file.
		case onFault == gate.OnFaultOpen:
			r.source.park(r.out)
		default:
			r.err = errors.Join(r.err, r.out.close())
		}
	})
	return r.err
}

// park keeps a held line requested.
func (s *Source) park(out output) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.parked = out
}
