package mqttlink

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gateagent/sync/brokertest"
)

// A peer that is there and says nothing is found out by its missing answer to
// a ping.
func TestNoAnswerToPing(t *testing.T) {
	url := rawBroker(t, func(c net.Conn) {
		_, _ = c.Read(make([]byte, 512))
		_, _ = c.Write([]byte{0x20, 2, 0, 0})
		_, _ = io.Copy(io.Discard, c)
	})
	o := fast(url, "one")
	o.KeepAlive = time.Second
	o.WriteTimeout = 300 * time.Millisecond
	l, _ := start(t, o, nil)
	eventually(t, "given up", func() bool { return strings.Contains(l.Status().LastError, "pingresp") })
}

// The bytes of TLS are the library's affair no more than those of TCP.
func TestTLS(t *testing.T) {
	b := brokertest.Start(t)
	web := httptest.NewUnstartedServer(nil)
	web.StartTLS()
	defer web.Close()
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: web.TLS.Certificates})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { proxy(c, b.Address()) })
		}
	})
	t.Cleanup(wg.Wait)
	t.Cleanup(func() { _ = ln.Close() })
	roots := x509.NewCertPool()
	roots.AddCert(web.Certificate())
	url := "mqtts://" + ln.Addr().String()

	o := fast(url, "one")
	o.TLS = &tls.Config{RootCAs: roots}
	var in inbox
	l, stop := start(t, o, func(l *Link) { l.Subscribe("a", in.take) })
	eventually(t, "connected", l.Connected)
	publish(t, l, "a", "x", false)
	eventually(t, "message", func() bool { return in.count("a=x rfalse") == 1 })
	stop()

	o = fast(url, "two")
	o.TLS = &tls.Config{} // knows no such authority
	l, _ = start(t, o, nil)
	eventually(t, "refused", func() bool { return strings.Contains(l.Status().LastError, "x509") })
}

func proxy(c net.Conn, to string) {
	defer c.Close()
	d, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer d.Close()
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = io.Copy(d, c); _ = d.(*net.TCPConn).CloseWrite() })
	wg.Go(func() { _, _ = io.Copy(c, d); _ = c.Close() })
	wg.Wait()
}

func TestUserTimeoutIsSet(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("TCP_USER_TIMEOUT is Linux's")
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c, err := dialer(time.Second, 7*time.Second)(t.Context(), ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	const tcpUserTimeout = 0x12
	if err := raw.Control(func(fd uintptr) {
		ms, err := syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout)
		if err != nil || ms != 7000 {
			t.Errorf("%d ms, %v", ms, err)
		}
	}); err != nil {
		t.Fatal(err)
	}
}

// A hundred broken sessions leave nothing behind: each client is given up
// with all its goroutines.
func TestSessionsLeaveNothingBehind(t *testing.T) {
	b := brokertest.Start(t)
	o := fast(b.URL(), "one")
	o.retry = &backoff{floor: time.Millisecond, ceiling: 2 * time.Millisecond}
	o.WriteTimeout = time.Second
	l, stop := start(t, o, func(l *Link) { l.Subscribe("a/#", func(string, []byte, bool) {}) })
	eventually(t, "connected", l.Connected)
	before := runtime.NumGoroutine()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for ctx.Err() == nil {
				if l.Publish(ctx, "a/b", make([]byte, 1000), 1, false) != nil {
					time.Sleep(time.Millisecond)
				}
			}
		})
	}
	for range 100 {
		n := l.Status().Sessions
		b.Cut()
		eventually(t, "a new session", func() bool { return l.Status().Sessions > n })
	}
	cancel()
	wg.Wait()
	eventually(t, "as many goroutines as before", func() bool { return runtime.NumGoroutine() <= before+8 })
	eventually(t, "nothing in flight", func() bool { return l.Status().InFlight == 0 })
	stop()
}
