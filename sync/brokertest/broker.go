// Package brokertest lends tests a broker on the loopback: mochi inside the
// test process ([Start]), which can be stopped, restarted on the same port
// and told to lie, and a real Mosquitto ([StartMosquitto]), which can be
// killed. It owns those brokers and nothing of ours; it does not ship.
//
// mochi keeps everything in memory, so a restart forgets sessions and
// retained messages. Its order, its DUP flags and its wills after a takeover
// are not those of other brokers: tests of these belong on Mosquitto. It
// also refuses a SUBSCRIBE whose packet id one of its own messages under way
// happens to bear.
package brokertest

import (
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/listeners"
)

// Server is a broker that a test can take away and bring back.
type Server interface {
	// URL is what mqttlink.Options.Broker takes.
	URL() string
	// Kill ends the broker without a goodbye to anybody.
	Kill()
	// Restart brings it back on the same port.
	Restart()
}

// Broker is mochi on the loopback. Its zero value is of no use.
type Broker struct {
	t    testing.TB
	addr string
	hook *hook

	mu     sync.Mutex // guards the following
	server *mochi.Server
	conns  *connListener
	gone   int64 // messages that earlier servers dropped
}

// Start runs a broker until the test ends, and then fails the test if the
// broker itself dropped a message for want of room.
func Start(t testing.TB) *Broker {
	t.Helper()
	b := &Broker{t: t, addr: "127.0.0.1:0", hook: newHook()}
	b.Restart()
	t.Cleanup(func() {
		b.Kill()
		if n := b.Dropped(); n != 0 {
			t.Errorf("the broker dropped %d messages: the test does not show what it means to", n)
		}
	})
	return b
}

// URL is what mqttlink.Options.Broker takes.
func (b *Broker) URL() string { return "mqtt://" + b.addr }

// Address is host:port.
func (b *Broker) Address() string { return b.addr }

// Kill closes every connection without a goodbye and forgets everything.
func (b *Broker) Kill() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.server == nil {
		return
	}
	b.conns.closeAll()
	_ = b.server.Close()
	info := b.server.Info.Clone()
	b.gone += info.MessagesDropped + info.InflightDropped
	b.server, b.conns = nil, nil
}

// Restart starts an empty broker on the same port.
func (b *Broker) Restart() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.server != nil {
		b.t.Fatal("the broker is running")
	}
	l, err := listenAgain(b.addr)
	if err != nil {
		b.t.Fatalf("broker: %v", err)
	}
	b.addr = l.Addr().String()
	// mochi logs whole packets at WARN: nothing of it is wanted.
	s := mochi.New(&mochi.Options{InlineClient: true, Logger: slog.New(slog.DiscardHandler)})
	b.conns = &connListener{Listener: l, open: make(map[net.Conn]struct{})}
	b.hook.server.Store(s)
	if err := s.AddHook(b.hook, nil); err != nil {
		b.t.Fatalf("broker: %v", err)
	}
	if err := s.AddListener(listeners.NewNet("loopback", b.conns)); err != nil {
		b.t.Fatalf("broker: %v", err)
	}
	if err := s.Serve(); err != nil {
		b.t.Fatalf("broker: %v", err)
	}
	b.server = s
}

// Cut closes every connection and leaves the broker running.
func (b *Broker) Cut() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.conns != nil {
		b.conns.closeAll()
	}
}

// Publish publishes as the broker's own client.
func (b *Broker) Publish(topic string, body []byte, retained bool) {
	b.t.Helper()
	b.mu.Lock()
	s := b.server
	b.mu.Unlock()
	if s == nil {
		b.t.Fatal("the broker is not running")
	}
	if err := s.Publish(topic, body, retained, 1); err != nil {
		b.t.Fatalf("publish %s: %v", topic, err)
	}
}

// Retained gives what the broker keeps on a topic; nil for nothing.
func (b *Broker) Retained(topic string) []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.server == nil {
		return nil
	}
	p, ok := b.server.Topics.Retained.Get(topic)
	if !ok {
		return nil
	}
	return p.Payload
}

// Dropped counts messages that the broker threw away for want of room.
func (b *Broker) Dropped() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := b.gone
	if b.server != nil {
		info := b.server.Info.Clone()
		n += info.MessagesDropped + info.InflightDropped
	}
	return n
}

// listenAgain waits a little for a port that has just been given up.
func listenAgain(addr string) (net.Listener, error) {
	var err error
	for range 100 {
		var l net.Listener
		if l, err = net.Listen("tcp", addr); err == nil {
			return l, nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return nil, fmt.Errorf("listen on %s: %w", addr, err)
}

// connListener knows its connections, so that they can be cut.
type connListener struct {
	net.Listener
	mu   sync.Mutex
	open map[net.Conn]struct{}
}

func (l *connListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	tc := &trackedConn{Conn: c, l: l}
	l.open[tc] = struct{}{}
	return tc, nil
}

func (l *connListener) closeAll() {
	l.mu.Lock()
	var all []net.Conn
	for c := range l.open {
		all = append(all, c)
	}
	l.mu.Unlock()
	for _, c := range all {
		_ = c.Close()
	}
}

type trackedConn struct {
	net.Conn
	l      *connListener
	closed atomic.Bool
}

func (c *trackedConn) Close() error {
	if c.closed.Swap(true) {
		return nil
	}
	c.l.mu.Lock()
	delete(c.l.open, c)
	c.l.mu.Unlock()
	return c.Conn.Close()
}
