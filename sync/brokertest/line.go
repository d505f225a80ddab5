package brokertest

import (
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// Line stands between a client and a broker as a network does: it can be cut,
// and it counts what came down.
type Line struct {
	t    testing.TB
	l    net.Listener
	to   string
	down atomic.Int64

	mu   sync.Mutex
	open map[net.Conn]struct{}
	done bool
	wg   sync.WaitGroup
}

// StartLine lays a line to a broker until the test ends.
func StartLine(t testing.TB, broker string) *Line {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	line := &Line{t: t, l: l, to: strings.TrimPrefix(broker, "mqtt://"), open: make(map[net.Conn]struct{})}
	line.wg.Go(line.accept)
	t.Cleanup(func() {
		_ = l.Close()
		line.mu.Lock()
		line.done = true
		line.mu.Unlock()
		line.closeAll()
		line.wg.Wait()
	})
	return line
}

// URL is what mqttlink.Options.Broker takes.
func (l *Line) URL() string { return "mqtt://" + l.l.Addr().String() }

// Cut breaks every connection; new ones are let through.
func (l *Line) Cut() { l.closeAll() }

// Down counts the bytes that went to clients.
func (l *Line) Down() int64 { return l.down.Load() }

func (l *Line) closeAll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.open {
		_ = c.Close()
	}
}

func (l *Line) accept() {
	for {
		near, err := l.l.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", l.to)
		if err != nil {
			_ = near.Close()
			continue
		}
		if !l.keep(near, far) {
			return
		}
		l.wg.Go(func() { l.copy(near, far, &l.down) })
		l.wg.Go(func() { l.copy(far, near, nil) })
	}
}

func (l *Line) keep(conns ...net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range conns {
		if l.done {
			_ = c.Close()
			continue
		}
		l.open[c] = struct{}{}
	}
	return !l.done
}

// copy brings bytes from one to the other until either ends.
func (l *Line) copy(to, from net.Conn, count *atomic.Int64) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if _, werr := to.Write(buf[:n]); werr != nil {
				err = werr
			} else if count != nil {
				count.Add(int64(n))
			}
		}
		if err != nil {
			break // the end, cut, or the other side is gone
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range [...]net.Conn{to, from} {
		_ = c.Close()
		delete(l.open, c)
	}
}
