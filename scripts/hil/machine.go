package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"gateagent/scripts/hil/control"
)

// machine is a running guest.
type machine struct {
	*control.Conn
	qmp   *qmp
	qemu  *exec.Cmd
	dir   string
	wait  sync.WaitGroup
	ended chan struct{} // closed when qemu is gone

	mu      sync.Mutex
	console []string // last lines of the kernel's console
	events  []control.Message
	news    chan struct{} // closed and replaced at each event
	bootIn  time.Duration
}

const consoleLines = 60

// boot starts a guest and waits until its init reports.
func boot(ctx context.Context, k kernel, initramfs []byte, verbose bool) (*machine, error) {
	dir, err := os.MkdirTemp("", "hil-") // sockets want short paths
	if err != nil {
		return nil, err
	}
	m := &machine{dir: dir, ended: make(chan struct{}), news: make(chan struct{})}
	if err := m.start(ctx, k, initramfs, verbose); err != nil {
		m.stop()
		return nil, fmt.Errorf("%w\n%s", err, m.lastWords())
	}
	return m, nil
}

func (m *machine) start(ctx context.Context, k kernel, initramfs []byte, verbose bool) error {
	began := time.Now()
	listen, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer func() { _ = listen.Close() }()
	port := listen.Addr().(*net.TCPAddr).Port
	initrd := filepath.Join(m.dir, "initrd")
	if err := os.WriteFile(initrd, initramfs, 0o600); err != nil {
		return err
	}
	socket := filepath.Join(m.dir, "qmp")
	m.qemu = exec.Command("qemu-system-aarch64",
		"-M", "virt,gic-version=3", "-accel", "tcg,thread=multi", "-cpu", "cortex-a53", "-smp", "2", "-m", "768",
		"-display", "none", "-monitor", "none", "-serial", "stdio", "-no-reboot", "-nodefaults",
		"-netdev", "user,id=n0", "-device", "virtio-net-pci,netdev=n0,romfile=",
		"-qmp", "unix:"+socket+",server=on,wait=off",
		"-kernel", k.image, "-initrd", initrd,
		"-append", fmt.Sprintf("console=ttyAMA0 quiet panic=-1 hil.bench=10.0.2.2:%d", port))
	out, err := m.qemu.StdoutPipe()
	if err != nil {
		return err
	}
	m.qemu.Stderr = m.qemu.Stdout
	if err := m.qemu.Start(); err != nil {
		return fmt.Errorf("start qemu: %w", err)
	}
	m.wait.Go(func() {
		m.readConsole(out, verbose)
		_ = m.qemu.Wait() // killed or powered off: both are right
		close(m.ended)
	})
	if m.qmp, err = dialQMP(socket); err != nil {
		return err
	}
	conn, err := m.accept(ctx, listen)
	if err != nil {
		return err
	}
	ready := make(chan struct{})
	m.Conn = control.NewConn(conn, func(e control.Message) {
		if e.Event == "ready" {
			close(ready)
			return
		}
		m.note(e, verbose)
	})
	m.wait.Go(func() { _ = m.Run() }) // its end shows in Ask
	select {
	case <-ready:
	case <-m.ended:
		return errors.New("the guest ended before it was ready")
	case <-ctx.Done():
		return fmt.Errorf("wait for the guest: %w", ctx.Err())
	}
	m.bootIn = time.Since(began)
	return nil
}

func (m *machine) accept(ctx context.Context, l net.Listener) (net.Conn, error) {
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	done := make(chan struct{})
	defer close(done)
	m.wait.Go(func() {
		select {
		case <-m.ended:
			_ = l.Close()
		case <-done:
		}
	})
	conn, err := l.Accept()
	if err != nil {
		return nil, fmt.Errorf("the guest did not report: %w", err)
	}
	return conn, nil
}

func (m *machine) readConsole(r io.Reader, verbose bool) {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		if verbose {
			fmt.Println("   console |", lines.Text())
		}
		m.mu.Lock()
		if m.console = append(m.console, lines.Text()); len(m.console) > consoleLines {
			m.console = m.console[1:]
		}
		m.mu.Unlock()
	}
}

func (m *machine) note(e control.Message, verbose bool) {
	if verbose {
		fmt.Printf("   %s | %s%s\n", e.Name, e.Text, map[bool]string{true: fmt.Sprintf(" (exit %d)", e.Code)}[e.Event == "exit"])
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.events = append(m.events, e)
	close(m.news)
	m.news = make(chan struct{})
}

// mark gives the present end of the events, for [machine.line] and
// [machine.exit].
func (m *machine) mark() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.events)
}

// line waits for an output line of a program, after a mark, that contains a
// word.
func (m *machine) line(ctx context.Context, after int, name, word string) error {
	_, err := m.event(ctx, after, name+" to say "+word, func(e control.Message) bool {
		return e.Name == name && e.Event == "line" && strings.Contains(e.Text, word)
	})
	return err
}

// exit waits for a program to end, after a mark, and gives its exit code.
func (m *machine) exit(ctx context.Context, after int, name string) (int, error) {
	e, err := m.event(ctx, after, name+" to end", func(e control.Message) bool { return e.Name == name && e.Event == "exit" })
	return e.Code, err
}

// event waits for an event after a mark.
func (m *machine) event(ctx context.Context, after int, what string, wanted func(control.Message) bool) (control.Message, error) {
	for {
		m.mu.Lock()
		fresh, news := m.events[after:], m.news
		m.mu.Unlock()
		for _, e := range fresh {
			if after++; wanted(e) {
				return e, nil
			}
		}
		select {
		case <-news:
		case <-m.ended:
			return control.Message{}, errors.New("the guest ended")
		case <-ctx.Done():
			return control.Message{}, fmt.Errorf("wait for %s: %w", what, ctx.Err())
		}
	}
}

// lastWords are what a reader needs when something failed.
func (m *machine) lastWords() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	lines := append([]string(nil), m.console...)
	from := max(0, len(m.events)-40)
	for _, e := range m.events[from:] {
		lines = append(lines, e.Name+": "+e.Text)
	}
	return strings.Join(lines, "\n")
}

// stop ends the guest, whatever state it is in.
func (m *machine) stop() {
	if m.Conn != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		_, _ = m.Ask(ctx, control.Request{Off: &control.Off{}}) // it may be past answering
		cancel()
		select {
		case <-m.ended:
		case <-time.After(3 * time.Second):
		}
		_ = m.Close()
	}
	if m.qmp != nil {
		_ = m.qmp.close()
	}
	if m.qemu != nil && m.qemu.Process != nil {
		_ = m.qemu.Process.Kill() // gone already, mostly
	}
	m.wait.Wait()
	_ = os.RemoveAll(m.dir)
}
