package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"
)

// process is a program on this machine that runs beside the guest.
type process struct {
	cmd  *exec.Cmd
	done chan struct{}
	mu   sync.Mutex
	said bytes.Buffer
}

// Write keeps the program's output for [process.output].
func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.said.Write(b)
}

func (p *process) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.said.String()
}

func spawn(name string, args ...string) (*process, error) {
	p := &process{cmd: exec.Command(name, args...), done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = p, p
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		_ = p.cmd.Wait() // how it ended shows in what it said
		close(p.done)
	}()
	return p, nil
}

// end asks the program to end, and makes it after a while.
func (p *process) end() {
	if p == nil {
		return
	}
	_ = p.cmd.Process.Signal(os.Interrupt) // it may be gone
	select {
	case <-p.done:
	case <-time.After(5 * time.Second):
		_ = p.cmd.Process.Kill() // as above
		<-p.done
	}
}

// startBroker runs Mosquitto on a free port of the loopback, which the guest
// sees at 10.0.2.2, and gives the port.
func startBroker(ctx context.Context, dir string) (*process, int, error) {
	program, err := lookPath("mosquitto")
	if err != nil {
		return nil, 0, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, 0, err
	}
	port := l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		return nil, 0, err
	}
	conf := fmt.Sprintf("listener %d 127.0.0.1\nallow_anonymous true\npersistence false\n", port)
	file := filepath.Join(dir, "mosquitto.conf")
	if err := os.WriteFile(file, []byte(conf), 0o644); err != nil {
		return nil, 0, err
	}
	p, err := spawn(program, "-c", file)
	if err != nil {
		return nil, 0, err
	}
	for range 100 {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			_ = c.Close()
			return p, port, nil
		}
		select {
		case <-p.done:
			return nil, 0, fmt.Errorf("mosquitto ended: %s", p.output())
		case <-ctx.Done():
			p.end()
			return nil, 0, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	p.end()
	return nil, 0, errors.New("mosquitto does not listen")
}
