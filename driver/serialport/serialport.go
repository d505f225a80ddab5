// Package serialport opens a serial line by a name that survives unplugging,
// keeps other programs off it, and says plainly when the device is gone.
//
// It owns the descriptors of an open line and the search for its node. It
// knows nothing of what comes down the line: driver/serialscan frames it.
//
// It stands on go.bug.st/serial and goes round what that library does not do:
// it never lists ports (the listing opens, and so resets, lines in use), takes
// flock on the node because root passes TIOCEXCL, keeps the descriptor from
// child processes, and answers an error where select(2) cannot hold the
// descriptor and the library would panic.
//
// Units: baud in bits per second, durations as time.Duration.
package serialport

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"

	"go.bug.st/serial"
	"golang.org/x/sys/unix"
)

// What a caller may decide on, by errors.Is.
var (
	// ErrGone: the device was unplugged, or its node is not there (yet).
	ErrGone = errors.New("the device is gone")
	// ErrBusy: another program holds the line.
	ErrBusy = errors.New("in use by another program")
	// ErrPermission: this user may not open the node.
	ErrPermission = errors.New("permission denied (is the user in the group that owns the device, usually dialout?)")
	// ErrNotSerial: the path leads to something that is no serial line.
	ErrNotSerial = errors.New("not a serial line")
	// ErrDescriptors: the process has so many files open that the line's
	// descriptor is beyond what select(2) takes.
	ErrDescriptors = errors.New("too many open files: a serial line needs a descriptor below 1024")
)

// maxDescriptor is FD_SETSIZE: the first descriptor that select(2) cannot hold.
const maxDescriptor = 1024

// BaudMin and BaudMax bound the speeds that are accepted, in bits per second.
const (
	BaudMin = 300
	BaudMax = 4_000_000
)

// Port is an open serial line: 8 data bits, no parity, one stop bit, raw. One
// goroutine uses it; Close is called by that goroutine, or after it ended.
type Port struct {
	node string
	port serial.Port
	lock int // our own descriptor on the same node, holding flock
}

// open opens the node at path and takes it for this process alone.
func open(path string, baud int) (*Port, error) {
	if baud < BaudMin || baud > BaudMax {
		return nil, fmt.Errorf("baud rate %d is not within %d..%d", baud, BaudMin, BaudMax)
	}
	lock, err := unix.Open(path, unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, openError(err)
	}
	p := &Port{node: path, lock: lock}
	if err := p.take(baud); err != nil {
		_ = p.release() // the first error says more
		return nil, err
	}
	return p, nil
}

// take locks the node and opens it through the library.
func (p *Port) take(baud int) error {
	if _, err := unix.IoctlGetTermios(p.lock, unix.TCGETS); err != nil {
		if errors.Is(err, unix.EIO) {
			return ErrGone
		}
		return ErrNotSerial
	}
	if err := unix.Flock(p.lock, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			return ErrBusy
		}
		return fmt.Errorf("lock: %w", err)
	}
	if err := p.openLibrary(baud); err != nil {
		return err
	}
	// The library ignores whether it got the line for itself; ask again.
	if err := unix.IoctlSetInt(p.lock, unix.TIOCEXCL, 0); err != nil {
		return fmt.Errorf("take the line exclusively: %w", openError(err))
	}
	return nil
}

// openLibrary opens the node a second time through the library and keeps the
// new descriptor from child processes: the library opens without O_CLOEXEC,
// and a child that inherits it would hold the line, so that an unplugged
// device comes back under another name. The fork lock closes the gap between
// opening and marking.
func (p *Port) openLibrary(baud int) error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	port, err := serial.Open(p.node, &serial.Mode{BaudRate: baud, DataBits: 8, Parity: serial.NoParity, StopBits: serial.OneStopBit})
	if err != nil {
		return libraryError(err)
	}
	p.port = port
	highest, err := closeOnExec(p.lock)
	if err != nil {
		return fmt.Errorf("keep the line from child processes: %w", err)
	}
	if highest >= maxDescriptor {
		return ErrDescriptors
	}
	return nil
}

// closeOnExec marks every descriptor of this process that stands on the same
// device as fd, and gives the highest of them.
func closeOnExec(fd int) (highest int, err error) {
	var own unix.Stat_t
	if err := unix.Fstat(fd, &own); err != nil {
		return 0, err
	}
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0, err
	}
	for _, e := range entries {
		var n int
		if _, err := fmt.Sscan(e.Name(), &n); err != nil {
			continue
		}
		var st unix.Stat_t
		if unix.Fstat(n, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFCHR || st.Rdev != own.Rdev {
			continue
		}
		if _, err := unix.FcntlInt(uintptr(n), unix.F_SETFD, unix.FD_CLOEXEC); err != nil {
			return 0, err
		}
		highest = max(highest, n)
	}
	return highest, nil
}

// Node is the path of the device node that was opened, for example
// "/dev/ttyUSB0".
func (p *Port) Node() string { return p.node }

// SetReadTimeout bounds the next reads.
func (p *Port) SetReadTimeout(d time.Duration) error { return p.port.SetReadTimeout(d) }

// Read waits for bytes at most as long as the read timeout and gives (0, nil)
// when none came: do not hand a Port to bufio or io.ReadFull, which take that
// for a broken reader. After an unplug it gives [ErrGone].
func (p *Port) Read(b []byte) (n int, err error) {
	// The library's own pipe may have got a descriptor that select(2) cannot
	// hold although the line's own fits; it answers with a panic.
	defer func() {
		if recover() != nil {
			n, err = 0, ErrDescriptors
		}
	}()
	n, err = p.port.Read(b)
	if err != nil {
		return n, libraryError(err)
	}
	return n, nil
}

// Close gives the line back. No Read may be under way: the library closes the
// descriptor before it wakes readers, and the number may by then stand for
// another file.
func (p *Port) Close() error { return p.release() }

// release closes the library's descriptor first, so that the exclusive mode is
// lifted, then the one that holds the lock.
func (p *Port) release() error {
	var err error
	if p.port != nil {
		err = p.port.Close()
		p.port = nil
	}
	if p.lock >= 0 {
		err = errors.Join(err, unix.Close(p.lock))
		p.lock = -1
	}
	return err
}

// openError turns what open(2) says into the errors above.
func openError(err error) error {
	switch {
	case errors.Is(err, unix.EBUSY):
		return ErrBusy
	case errors.Is(err, fs.ErrPermission):
		return ErrPermission
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENXIO), errors.Is(err, unix.ENODEV), errors.Is(err, unix.EIO):
		return ErrGone
	case errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE):
		return ErrDescriptors
	}
	return err
}

// libraryError does the same for what the library says. PortClosed is its word
// for an unplugged device, since we never close while a read is under way.
func libraryError(err error) error {
	if pe, ok := errors.AsType[*serial.PortError](err); ok {
		switch pe.Code() {
		case serial.PortClosed, serial.PortNotFound:
			return ErrGone
		case serial.PortBusy:
			return ErrBusy
		case serial.PermissionDenied:
			return ErrPermission
		}
		return err
	}
	return openError(err)
}
