package serialport_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gateagent/driver/drivertest"
	"gateagent/driver/serialport"
)

func newLine(t *testing.T, device, byID string) *serialport.Line {
	t.Helper()
	l, err := serialport.NewLine(device, byID)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestReadAndUnplug(t *testing.T) {
	pty := drivertest.NewPTY(t)
	p, err := newLine(t, pty.Path, t.TempDir()).Open(9600)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := p.SetReadTimeout(10 * time.Millisecond); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 64)
	if n, err := p.Read(buf); n != 0 || err != nil {
		t.Errorf("nothing sent: %d, %v; want 0, nil", n, err)
	}
	const raw = "\x00\x03\x04\x11\x13\r\n\x1a\x7f\xff" // what a cooked terminal would eat or change
	pty.Send(t, raw)
	if err := p.SetReadTimeout(5 * time.Second); err != nil {
		t.Fatal(err)
	}
	if n, err := p.Read(buf); err != nil || string(buf[:n]) != raw {
		t.Errorf("read %q, %v; want %q", buf[:n], err, raw)
	}
	pty.Unplug()
	for range 2 {
		if n, err := p.Read(buf); n != 0 || !errors.Is(err, serialport.ErrGone) {
			t.Errorf("after unplugging: %d, %v; want 0, %v", n, err, serialport.ErrGone)
		}
	}
}

func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "plain")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	dangling := filepath.Join(dir, "dangling")
	if err := os.Symlink(filepath.Join(dir, "nowhere"), dangling); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, device string
		baud         int
		want         error
	}{
		{"missing", filepath.Join(dir, "none"), 9600, serialport.ErrGone},
		{"dangling link", dangling, 9600, serialport.ErrGone},
		{"a file", file, 9600, serialport.ErrNotSerial},
		{"another kind of device", "/dev/null", 9600, serialport.ErrNotSerial},
		{"bare name", "usb-none", 9600, serialport.ErrGone},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			_, err := newLine(t, tc.device, dir).Open(tc.baud)
			if !errors.Is(err, tc.want) {
				t.Errorf("got %v, want %v", err, tc.want)
			}
			if err != nil && !strings.Contains(err.Error(), tc.device) {
				t.Errorf("%q does not name the device", err)
			}
		})
	}
	if _, err := serialport.NewLine("", ""); err == nil {
		t.Error("a line without a device was made")
	}
}

// TestBusyAlsoForRoot: TIOCEXCL alone does not keep root off; the lock does.
func TestBusyAlsoForRoot(t *testing.T) {
	pty := drivertest.NewPTY(t)
	line := newLine(t, pty.Path, t.TempDir())
	p, err := line.Open(115200)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := newLine(t, pty.Path, t.TempDir()).Open(115200); !errors.Is(err, serialport.ErrBusy) {
		t.Errorf("second open: %v, want %v", err, serialport.ErrBusy)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	again, err := line.Open(115200)
	if err != nil {
		t.Fatalf("open after Close: %v", err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}

// TestNotInherited: a child process must not keep an unplugged line's name.
func TestNotInherited(t *testing.T) {
	pty := drivertest.NewPTY(t)
	p, err := newLine(t, pty.Path, t.TempDir()).Open(9600)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	out, err := exec.Command("sh", "-c", "ls -l /proc/self/fd").Output()
	if err != nil {
		t.Skipf("needs a shell and /proc: %v", err)
	}
	if strings.Contains(string(out), pty.Path+"\n") {
		t.Errorf("a child inherited the line:\n%s", out)
	}
}

// TestFollowsAPlainNode: a line configured by its node is found again by the
// stable name that it had when it was open.
func TestFollowsAPlainNode(t *testing.T) {
	byID := t.TempDir()
	link := filepath.Join(byID, "usb-Fictional_Engine-if00")
	first, second := drivertest.NewPTY(t), drivertest.NewPTY(t)
	if err := os.Symlink(first.Path, link); err != nil {
		t.Fatal(err)
	}
	line := newLine(t, first.Path, byID)
	p, err := line.Open(9600)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(link); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(second.Path, link); err != nil {
		t.Fatal(err)
	}
	if node, err := line.Resolve(); err != nil || node != second.Path {
		t.Errorf("resolved to %s, %v; want %s", node, err, second.Path)
	}
	// Another engine in the same place has another stable name: then the
	// configured node counts.
	if err := os.Remove(link); err != nil {
		t.Fatal(err)
	}
	if node, err := line.Resolve(); err != nil || node != first.Path {
		t.Errorf("resolved to %s, %v; want %s", node, err, first.Path)
	}
}

// TestManyDescriptors: beyond what select(2) holds there is an error, not the
// library's panic.
func TestManyDescriptors(t *testing.T) {
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	if old.Cur < 1200 {
		raised := syscall.Rlimit{Cur: 1200, Max: old.Max}
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &raised); err != nil {
			t.Skipf("needs 1200 open files: %v", err)
		}
		defer func() { _ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &old) }()
	}
	pty := drivertest.NewPTY(t)
	var fill []int
	defer func() {
		for _, fd := range fill {
			_ = unix.Close(fd)
		}
	}()
	grow := func(until int) {
		for {
			fd, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
			if err != nil {
				t.Skipf("needs %d open files: %v", until, err)
			}
			fill = append(fill, fd)
			if fd >= until {
				return
			}
		}
	}
	line := newLine(t, pty.Path, t.TempDir())

	grow(1021) // the line gets 1022 and 1023, the library's pipe what lies beyond
	p, err := line.Open(9600)
	if err == nil {
		if err := p.SetReadTimeout(time.Millisecond); err != nil {
			t.Fatal(err)
		}
		_, err = p.Read(make([]byte, 1))
		if cerr := p.Close(); cerr != nil {
			t.Error(cerr)
		}
	}
	if !errors.Is(err, serialport.ErrDescriptors) {
		t.Errorf("pipe beyond the limit: %v, want %v", err, serialport.ErrDescriptors)
	}
	grow(1030)
	if _, err := line.Open(9600); !errors.Is(err, serialport.ErrDescriptors) {
		t.Errorf("line beyond the limit: %v, want %v", err, serialport.ErrDescriptors)
	}
	for _, fd := range fill {
		_ = unix.Close(fd)
	}
	fill = nil
	p, err = line.Open(9600)
	if err != nil {
		t.Fatalf("with few files open: %v", err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}
