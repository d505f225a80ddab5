package mqttlink

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"
)

// dialer gives the default dialler. The kernel gives a connection up when
// sent data stays unacknowledged for unacked: a cut cable shows within that
// time even while pings wait behind it.
func dialer(connect, unacked time.Duration) func(context.Context, string) (net.Conn, error) {
	d := &net.Dialer{
		Timeout:         connect,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 10 * time.Second, Count: 3},
		ControlContext:  userTimeout(unacked),
	}
	return func(ctx context.Context, address string) (net.Conn, error) {
		return d.DialContext(ctx, "tcp", address)
	}
}

// dial opens the socket and, for mqtts, TLS on it.
func (l *Link) dial(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, l.o.ConnectTimeout)
	defer cancel()
	c, err := l.o.Dial(ctx, l.address)
	if err != nil || !l.secure {
		return c, err
	}
	cfg := l.o.TLS.Clone()
	if cfg.ServerName == "" {
		cfg.ServerName, _, _ = net.SplitHostPort(l.address)
	}
	tc := tls.Client(c, cfg)
	if err := tc.HandshakeContext(ctx); err != nil {
		_ = c.Close()
		return nil, fmt.Errorf("TLS: %w", err)
	}
	return tc, nil
}

// frameConn stands between the socket and the client library and mends what
// the library leaves open:
//
//   - it would allocate any packet size that the peer names, up to 256 MiB:
//     a PUBLISH with a larger body is passed on cut to one byte above the
//     bound, so that it is acknowledged, recognised and dropped without a
//     reconnect that would only bring it again; any other large packet ends
//     the connection;
//   - it puts a deadline on publishes only: here each write has one;
//   - it takes an unknown CONNACK code for success: the code is kept.
type frameConn struct {
	net.Conn
	r       *bufio.Reader
	maxBody int
	write   time.Duration
	failed  func(error)
	connack atomic.Uint32
	closed  atomic.Bool // by this side: whoever did it knows why

	// Only the reading goroutine touches what follows.
	head []byte // bytes to hand out before anything else
	pass int    // bytes of the present packet still to hand out
	skip int    // bytes to throw away after them
}

// maxControl bounds every packet but PUBLISH: a SUBACK has a byte a filter.
const maxControl = 16 << 10

func newFrameConn(c net.Conn, maxBody int, write time.Duration, failed func(error)) *frameConn {
	return &frameConn{Conn: c, r: bufio.NewReaderSize(c, 4096), maxBody: maxBody, write: write, failed: failed}
}

// Read hands out the incoming packets, large ones shortened.
func (c *frameConn) Read(p []byte) (int, error) {
	n, err := c.read(p)
	if err != nil && !c.closed.Load() {
		c.failed(fmt.Errorf("read: %w", err))
	}
	return n, err
}

func (c *frameConn) read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if len(c.head) == 0 && c.pass == 0 {
		if err := c.next(); err != nil {
			return 0, err
		}
	}
	if len(c.head) > 0 {
		n := copy(p, c.head)
		c.head = c.head[n:]
		return n, nil
	}
	n, err := c.r.Read(p[:min(len(p), c.pass)])
	c.pass -= n
	return n, err
}

const (
	packetConnack = 2
	packetPublish = 3
)

// next reads the fixed header of the next packet.
func (c *frameConn) next() error {
	if c.skip > 0 {
		if _, err := io.CopyN(io.Discard, c.r, int64(c.skip)); err != nil {
			return err
		}
		c.skip = 0
	}
	first, err := c.r.ReadByte()
	if err != nil {
		return err
	}
	length, err := readLength(c.r)
	if err != nil {
		return err
	}
	kind := first >> 4
	switch {
	case kind == packetConnack && length == 2:
		b, err := c.r.Peek(2)
		if err != nil {
			return err
		}
		c.connack.Store(uint32(b[1]))
	case kind != packetPublish && length > maxControl:
		return fmt.Errorf("the broker sent a packet of type %d with %d bytes", kind, length)
	case kind == packetPublish && length > c.maxBody:
		b, err := c.r.Peek(2)
		if err != nil {
			return err
		}
		keep := 2 + int(b[0])<<8 + int(b[1]) + c.maxBody + 1
		if first&0x06 != 0 {
			keep += 2 // the packet id
		}
		if keep < length {
			c.skip = length - keep
			length = keep
		}
	}
	c.head = appendLength(append(c.head[:0:0], first), length)
	c.pass = length
	return nil
}

// readLength reads MQTT's remaining length: seven bits a byte, at most four.
func readLength(r io.ByteReader) (int, error) {
	n := 0
	for shift := 0; shift < 28; shift += 7 {
		b, err := r.ReadByte()
		if err != nil {
			return 0, err
		}
		n |= int(b&0x7f) << shift
		if b&0x80 == 0 {
			return n, nil
		}
	}
	return 0, errors.New("the broker sent a length of more than four bytes")
}

func appendLength(to []byte, n int) []byte {
	for n > 0x7f {
		to = append(to, byte(n)|0x80)
		n >>= 7
	}
	return append(to, byte(n))
}

// Write bounds each write.
func (c *frameConn) Write(p []byte) (int, error) {
	if err := c.Conn.SetWriteDeadline(time.Now().Add(c.write)); err != nil {
		return 0, err
	}
	n, err := c.Conn.Write(p)
	if err != nil && !c.closed.Load() {
		c.failed(fmt.Errorf("write: %w", err))
	}
	return n, err
}

// Close closes the connection from this side.
func (c *frameConn) Close() error {
	c.closed.Store(true)
	return c.Conn.Close()
}

// SetWriteDeadline does nothing: each Write sets its own, and the library
// would lift it again under a write of its other goroutines.
func (c *frameConn) SetWriteDeadline(time.Time) error { return nil }

// SetDeadline bounds reading alone, for the same reason.
func (c *frameConn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }
