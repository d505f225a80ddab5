//go:build linux

// Command guest is the first and only process of the bench's guest (PID 1). It
// brings the machine up (file systems, modules, network), plugs cameras in and
// out, starts the agent, and does what the bench asks over one connection.
//
// It owns the guest machine; it is put into the initramfs as /init by
// scripts/hil and is of no use anywhere else. It decides nothing: what passes
// and what fails is judged outside.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"gateagent/scripts/hil/control"
)

// Where the bench waits, as the guest sees it (qemu's user network).
const (
	addressParameter = "hil.bench=" // on the kernel's command line
	ownAddress       = "10.0.2.15"
)

func main() {
	if err := run(); err != nil {
		fmt.Println("HIL-GUEST-FAILED:", err)
	}
	// PID 1 must not end: the kernel would panic, and the console would lose
	// its last lines.
	time.Sleep(200 * time.Millisecond)
	unix.Sync()
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	select {}
}

func run() error {
	if os.Getpid() != 1 {
		return errors.New("this is the init of the bench's guest and only that")
	}
	if err := mounts(); err != nil {
		return err
	}
	if err := loadModules("/modules"); err != nil {
		return err
	}
	if err := network("lo", "127.0.0.1", 8); err != nil {
		return err
	}
	if err := network("eth0", ownAddress, 24); err != nil {
		return err
	}
	bench, err := parameter(addressParameter)
	if err != nil {
		return err
	}
	conn, err := dial(bench)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()

	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM)
	defer stop()
	g := newGuest(conn)
	go links(ctx)
	return g.serve(ctx)
}

// dial waits for the network to come up.
func dial(address string) (net.Conn, error) {
	var err error
	for range 100 {
		var c net.Conn
		if c, err = net.DialTimeout("tcp", address, time.Second); err == nil {
			return c, nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return nil, fmt.Errorf("reach the bench at %s: %w", address, err)
}

// guest does what it is asked.
type guest struct {
	conn     net.Conn
	send     sync.Mutex // guards writing to conn
	ports    ports
	programs programs
}

func newGuest(conn net.Conn) *guest {
	g := &guest{conn: conn}
	g.programs.say = g.say
	return g
}

// say sends a message; when the bench is gone there is nobody to tell.
func (g *guest) say(m control.Message) {
	b, err := json.Marshal(m)
	if err != nil {
		b = []byte(fmt.Sprintf(`{"ID":%d,"Error":"guest: message of impossible form"}`, m.ID))
	}
	g.send.Lock()
	defer g.send.Unlock()
	_, _ = g.conn.Write(append(b, '\n'))
}

func (g *guest) serve(ctx context.Context) error {
	g.say(control.Message{Event: "ready"})
	d := json.NewDecoder(g.conn)
	for {
		var r control.Request
		if err := d.Decode(&r); err != nil {
			return fmt.Errorf("the bench has hung up: %w", err)
		}
		if r.Off != nil {
			g.say(control.Message{ID: r.ID})
			return nil
		}
		go func() {
			m, err := g.do(ctx, r)
			m.ID = r.ID
			if err != nil {
				m.Error = err.Error()
			}
			g.say(m)
		}()
	}
}

func (g *guest) do(ctx context.Context, r control.Request) (m control.Message, err error) {
	switch {
	case r.Plug != nil:
		return m, g.ports.plug(*r.Plug)
	case r.Unplug != nil:
		return m, g.ports.unplug(r.Unplug.Port)
	case r.Show != nil:
		return m, g.ports.show(r.Show.Port, r.Show.Card)
	case r.Start != nil:
		return m, g.programs.start(*r.Start)
	case r.Signal != nil:
		return m, g.programs.signal(*r.Signal)
	case r.Exec != nil:
		return execute(ctx, *r.Exec)
	case r.Put != nil:
		return m, put(*r.Put)
	case r.Nodes != nil:
		m.Nodes = nodes()
		return m, nil
	case r.Relay != nil:
		return m, work(ctx, *r.Relay)
	case r.Watch != nil:
		m.Seen, err = watch(ctx, *r.Watch, g.say)
		return m, err
	}
	return m, errors.New("guest: a request for nothing")
}
