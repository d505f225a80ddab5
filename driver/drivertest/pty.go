package drivertest

import (
	"errors"
	"fmt"
	"testing"

	"golang.org/x/sys/unix"
)

// PTY is a serial line without hardware: the test holds the engine's end, the
// driver opens Path as it would open /dev/ttyUSB0. To the driver, closing the
// test's end is unplugging.
type PTY struct {
	Path   string
	master int
	peer   int // the driver's end, held by Survive; -1 without
}

// NewPTY makes a pseudo terminal, unplugged when the test ends. The test is
// skipped where there is no /dev/ptmx.
func NewPTY(t testing.TB) *PTY {
	t.Helper()
	p, err := openPTY()
	if err != nil {
		t.Skipf("needs pseudo terminals: %v", err)
	}
	t.Cleanup(p.Unplug)
	return p
}

func openPTY() (*PTY, error) {
	master, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open /dev/ptmx: %w", err)
	}
	n, err := unix.IoctlGetInt(master, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(master, unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("set up the pseudo terminal: %w", err), unix.Close(master))
	}
	return &PTY{Path: fmt.Sprintf("/dev/pts/%d", n), master: master, peer: -1}, nil
}

// Send writes b as the engine would.
func (p *PTY) Send(t testing.TB, b string) {
	t.Helper()
	for rest := []byte(b); len(rest) > 0; {
		n, err := unix.Write(p.master, rest)
		if err != nil {
			t.Fatalf("send to the serial line: %v", err)
		}
		rest = rest[n:]
	}
}

// Survive readies the line for a program that is killed while it has it open
// for itself alone (TIOCEXCL). A real line forgets that with the last close; a
// pseudo terminal does not as long as the test holds its end. It belongs
// before the program starts.
func (p *PTY) Survive(t testing.TB) {
	t.Helper()
	peer, err := unix.Open(p.Path, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatalf("hold the serial line: %v", err)
	}
	p.peer = peer
}

// Free takes off what a killed program left on the line.
func (p *PTY) Free(t testing.TB) {
	t.Helper()
	if err := unix.IoctlSetInt(p.peer, unix.TIOCNXCL, 0); err != nil {
		t.Fatalf("free the serial line: %v", err)
	}
}

// Unplug takes the device away. Doing it twice is no harm.
func (p *PTY) Unplug() {
	if p.peer >= 0 {
		_ = unix.Close(p.peer)
		p.peer = -1
	}
	if p.master >= 0 {
		_ = unix.Close(p.master) // a pseudo terminal holds nothing that could be lost
		p.master = -1
	}
}
