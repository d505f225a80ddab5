package mqttlink

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gateagent/sync/brokertest"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var discard = slog.New(slog.DiscardHandler)

// fast are options for a test: a client that comes back at once.
func fast(url, id string) Options {
	return Options{
		Broker:    url,
		ClientID:  id,
		KeepAlive: 5 * time.Second,
		retry:     &backoff{floor: 20 * time.Millisecond, ceiling: 60 * time.Millisecond},
		again:     &rereads{first: 50 * time.Millisecond, period: time.Hour, refused: 50 * time.Millisecond},
	}
}

// start makes a link, lets set prepare it, and runs it until the test ends or
// stop is called.
func start(t *testing.T, o Options, set func(*Link)) (l *Link, stop func()) {
	t.Helper()
	l, err := New(o, discard)
	if err != nil {
		t.Fatal(err)
	}
	if set != nil {
		set(l)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			select {
			case err := <-done:
				if err != nil {
					t.Errorf("Run: %v", err)
				}
			case <-time.After(20 * time.Second):
				t.Error("Run did not end")
			}
		})
	}
	t.Cleanup(stop)
	return l, stop
}

// eventually waits for cond.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if cond() {
			return
		}
	}
	t.Fatalf("never: %s", what)
}

// inbox collects what a subscription brings.
type inbox struct {
	mu   sync.Mutex
	msgs []string
}

func (b *inbox) take(topic string, body []byte, retained bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.msgs = append(b.msgs, fmt.Sprintf("%s=%s r%t", topic, body, retained))
}

func (b *inbox) count(s string) (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range b.msgs {
		if m == s {
			n++
		}
	}
	return n
}

func publish(t *testing.T, l *Link, topic, body string, retained bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := l.Publish(ctx, topic, []byte(body), 1, retained); err != nil {
		t.Fatalf("publish: %v", err)
	}
}

func TestRoundTrip(t *testing.T) {
	b := brokertest.Start(t)
	b.Publish("a/kept", []byte("old"), true)
	var in inbox
	var ups atomic.Int32
	l, stop := start(t, fast(b.URL(), "one"), func(l *Link) {
		l.Subscribe("a/+", in.take)
		l.OnUp(func() { ups.Add(1) })
	})
	eventually(t, "connected", l.Connected)
	publish(t, l, "a/live", "x", false)
	eventually(t, "message", func() bool { return in.count("a/live=x rfalse") == 1 })
	eventually(t, "retained message, read twice", func() bool { return in.count("a/kept=old rtrue") == 2 })
	if err := l.Publish(t.Context(), "a/zero", []byte("y"), 0, false); err != nil {
		t.Fatal(err)
	}
	eventually(t, "message at QoS 0", func() bool { return in.count("a/zero=y rfalse") == 1 })
	st := l.Status()
	if ups.Load() != 1 || st.Sessions != 1 || st.Published != 2 || st.InFlight != 0 || st.Fault != (Fault{}) {
		t.Errorf("ups %d, status %+v", ups.Load(), st)
	}
	stop()
	if l.Connected() {
		t.Error("still connected after Run")
	}
}

func TestPublishRefusesWhatCannotGo(t *testing.T) {
	l, err := New(Options{Broker: "mqtt://127.0.0.1:1", ClientID: "x"}, discard)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, topic string
		body        []byte
		qos         byte
		want        error
	}{
		{"not connected", "a", nil, 1, ErrNotConnected},
		{"too large", "a", make([]byte, 800<<10+1), 1, ErrTooLarge},
		{"wildcard", "a/+", nil, 1, ErrTooLarge},
		{"space", "a b", nil, 1, ErrTooLarge},
		{"control character", "a\x00", nil, 1, ErrTooLarge},
		{"no topic", "", nil, 1, ErrTooLarge},
	} {
		if err := l.Publish(t.Context(), c.topic, c.body, c.qos, false); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if err := l.Publish(t.Context(), "a", nil, 2, false); err == nil {
		t.Error("QoS 2 was taken")
	}
	if _, err := l.Retained(t.Context(), "a", time.Second); !errors.Is(err, ErrNotConnected) {
		t.Errorf("Retained: %v", err)
	}
}

// A broker that forgot everything finds all filters subscribed again.
func TestComesBackAfterBrokerDies(t *testing.T) {
	for _, persistent := range []bool{false, true} {
		t.Run(fmt.Sprintf("persistent=%t", persistent), func(t *testing.T) {
			b := brokertest.Start(t)
			var in inbox
			o := fast(b.URL(), "one")
			o.Persistent = persistent
			l, _ := start(t, o, func(l *Link) { l.Subscribe("a/#", in.take) })
			for round := range 3 {
				eventually(t, "connected", l.Connected)
				msg := fmt.Sprintf("n%d", round)
				publish(t, l, "a/b/c", msg, false)
				eventually(t, "message", func() bool { return in.count("a/b/c="+msg+" rfalse") == 1 })
				b.Kill()
				eventually(t, "fault", func() bool { return l.Status().Fault.Code == FaultUnreachable })
				b.Restart()
			}
			eventually(t, "connected", l.Connected)
			if f := l.Status().Fault; f.Code != FaultTaken && f.Code != "" {
				t.Errorf("fault %v", f)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	b := brokertest.Start(t)
	b.Forbid(func(_, filter string) bool { return strings.HasPrefix(filter, "secret") })
	var in inbox
	var last atomic.Value
	o := fast(b.URL(), "one")
	o.OnFault = func(f Fault) { last.Store(f) }
	l, _ := start(t, o, func(l *Link) {
		l.Add(Subscription{Filter: "secret/+", QoS: 1, Once: true, Handle: in.take})
		l.Subscribe("open/+", in.take)
	})
	eventually(t, "connected", l.Connected)
	if st := l.Status(); st.Fault.Code != FaultSubscribe || len(st.Refused) != 1 || st.Refused[0] != "secret/+" {
		t.Errorf("status %+v", st)
	}
	if f, _ := last.Load().(Fault); f.Code != FaultSubscribe {
		t.Errorf("OnFault heard %v", f)
	}
	publish(t, l, "open/x", "1", false)
	eventually(t, "message", func() bool { return in.count("open/x=1 rfalse") == 1 })
	if _, err := l.Retained(t.Context(), "secret/x", 5*time.Second); !errors.Is(err, ErrRefused) {
		t.Errorf("Retained: %v", err)
	}
	b.Forbid(nil) // the access list is mended: no new connection is needed
	eventually(t, "no fault", func() bool { return l.Connected() && l.Status().Fault.Code == "" })
	publish(t, l, "secret/x", "2", false)
	eventually(t, "message", func() bool { return in.count("secret/x=2 rfalse") == 1 })
	if n := l.Status().Sessions; n != 1 {
		t.Errorf("%d sessions", n)
	}

	b.Refuse(func(client string) bool { return client == "two" })
	l2, _ := start(t, fast(b.URL(), "two"), nil)
	eventually(t, "refused", func() bool { return l2.Status().Fault.Code == FaultRefused })
	if d := l2.Status().Fault.Detail; !strings.Contains(d, "not authorised") {
		t.Errorf("detail %q", d)
	}
	b.Refuse(nil)
	eventually(t, "accepted", l2.Connected)
}

// rawBroker answers each connection with f.
func rawBroker(t *testing.T, f func(net.Conn)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
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
			wg.Go(func() { defer c.Close(); f(c) })
		}
	})
	t.Cleanup(func() { _ = ln.Close(); wg.Wait() })
	return "mqtt://" + ln.Addr().String()
}

func TestUnknownConnackIsNoSuccess(t *testing.T) {
	url := rawBroker(t, func(c net.Conn) {
		_, _ = c.Read(make([]byte, 512))
		_, _ = c.Write([]byte{0x20, 2, 0, 77})
		_, _ = io.Copy(io.Discard, c)
	})
	l, _ := start(t, fast(url, "one"), nil)
	eventually(t, "refused", func() bool { return strings.Contains(l.Status().LastError, "CONNACK 77") })
	if l.Status().Sessions != 0 {
		t.Error("it thinks it was connected")
	}
}

// A broker that takes messages and never acknowledges costs the session, and
// the window does not fill for ever.
func TestSilentBroker(t *testing.T) {
	url := rawBroker(t, func(c net.Conn) {
		_, _ = c.Read(make([]byte, 512))
		_, _ = c.Write([]byte{0x20, 2, 0, 0})
		_, _ = io.Copy(io.Discard, c)
	})
	o := fast(url, "one")
	o.AckTimeout = 100 * time.Millisecond
	o.Window = 2
	l, _ := start(t, o, nil)
	eventually(t, "connected", l.Connected)
	var failed atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if errors.Is(l.Publish(t.Context(), "a", []byte("x"), 1, false), ErrNotConnected) {
				failed.Add(1)
			}
		})
	}
	wg.Wait()
	if failed.Load() != 8 {
		t.Errorf("%d of 8 publishes failed", failed.Load())
	}
	eventually(t, "a new session", func() bool { return l.Status().Sessions > 1 })
}

// A peer that stops reading is found out by the write deadline, although no
// write of the library's other goroutines carries one.
func TestStuckPeer(t *testing.T) {
	hold := make(chan struct{})
	url := rawBroker(t, func(c net.Conn) {
		_ = c.(*net.TCPConn).SetReadBuffer(4096)
		_, _ = c.Read(make([]byte, 512))
		_, _ = c.Write([]byte{0x20, 2, 0, 0})
		<-hold
	})
	t.Cleanup(func() { close(hold) })
	o := fast(url, "one")
	o.WriteTimeout = 200 * time.Millisecond
	l, _ := start(t, o, nil)
	eventually(t, "connected", l.Connected)
	big := make([]byte, 300<<10)
	eventually(t, "the stuck peer is given up", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		_ = l.Publish(ctx, "a", big, 1, false) // fills the socket, or finds the link down already
		return l.Status().LastError != ""
	})
}

func TestCancelEndsEveryState(t *testing.T) {
	t.Run("dialling", func(t *testing.T) {
		o := fast("mqtt://127.0.0.1:1", "one")
		entered := make(chan struct{}, 1)
		o.Dial = func(ctx context.Context, _ string) (net.Conn, error) {
			entered <- struct{}{}
			<-ctx.Done()
			return nil, ctx.Err()
		}
		_, stop := start(t, o, nil)
		<-entered
		began := time.Now()
		stop()
		if d := time.Since(began); d > 5*time.Second {
			t.Errorf("took %v", d)
		}
	})
	t.Run("handshake", func(t *testing.T) {
		entered := make(chan struct{}, 100)
		url := rawBroker(t, func(c net.Conn) { entered <- struct{}{}; _, _ = io.Copy(io.Discard, c) })
		_, stop := start(t, fast(url, "one"), nil)
		<-entered
		began := time.Now()
		stop()
		if d := time.Since(began); d > 5*time.Second {
			t.Errorf("took %v", d)
		}
	})
}

func TestOversizeIsDroppedWithoutLosingTheLink(t *testing.T) {
	b := brokertest.Start(t)
	var in inbox
	o := fast(b.URL(), "one")
	o.MaxBody = 1000
	l, _ := start(t, o, func(l *Link) { l.Subscribe("a/+", in.take) })
	b.Publish("a/huge", make([]byte, 3<<20), true) // and again on each subscribe
	eventually(t, "oversize counted", func() bool { return l.Status().Oversize >= 1 })
	b.Publish("a/edge", bytes.Repeat([]byte("x"), 1000), false)
	b.Publish("a/small", []byte("ok"), false)
	eventually(t, "the rest", func() bool {
		return in.count("a/small=ok rfalse") == 1 && in.count("a/edge="+strings.Repeat("x", 1000)+" rfalse") == 1
	})
	if st := l.Status(); st.Sessions != 1 {
		t.Errorf("sessions %d", st.Sessions)
	}
}

// Two boxes with one name throw each other out; both can say so.
func TestTakeover(t *testing.T) {
	m := brokertest.StartMosquitto(t)
	a, _ := start(t, fast(m.URL(), "same"), nil)
	b, _ := start(t, fast(m.URL(), "same"), nil)
	eventually(t, "both say who is to blame", func() bool {
		return a.Status().Fault.Code == FaultTaken && b.Status().Fault.Code == FaultTaken
	})
}

func TestWill(t *testing.T) {
	m := brokertest.StartMosquitto(t)
	var in inbox
	watcher, _ := start(t, fast(m.URL(), "watcher"), func(l *Link) { l.Subscribe("g/state", in.take) })
	eventually(t, "watching", watcher.Connected)
	o := fast(m.URL(), "box")
	o.Will = &Will{Topic: "g/state", Body: []byte("gone"), Retained: true}
	var conns atomic.Value
	o.Dial = func(ctx context.Context, a string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, "tcp", a)
		if err == nil {
			conns.Store(c)
		}
		return c, err
	}
	box, stop := start(t, o, nil)
	eventually(t, "connected", box.Connected)
	_ = conns.Load().(net.Conn).Close() // as if the cable were cut
	eventually(t, "the broker tells", func() bool { return in.count("g/state=gone rfalse") == 1 })
	eventually(t, "back", func() bool { return box.Connected() && box.Status().Sessions == 2 })
	stop()
	eventually(t, "an orderly end says the same", func() bool { return in.count("g/state=gone rfalse") == 2 })
}

// Nobody on this side can contradict the goodbye, not even who hears it.
func TestNothingAfterTheGoodbye(t *testing.T) {
	b := brokertest.Start(t)
	for range 20 {
		o := fast(b.URL(), "box")
		o.Will = &Will{Topic: "g/state", Body: []byte("gone"), Retained: true}
		var l *Link
		l, stop := start(t, o, func(made *Link) {
			l = made
			l.Subscribe("g/state", func(_ string, body []byte, retained bool) {
				if string(body) == "gone" && !retained {
					_ = l.Publish(t.Context(), "g/state", []byte("here"), 1, true)
				}
			})
		})
		eventually(t, "connected", l.Connected)
		publish(t, l, "g/state", "here", true)
		stop()
		eventually(t, "gone", func() bool { return string(b.Retained("g/state")) == "gone" })
		time.Sleep(5 * time.Millisecond)
		if s := string(b.Retained("g/state")); s != "gone" {
			t.Errorf("the last word is %q", s)
		}
	}
}

func TestRetained(t *testing.T) {
	servers := map[string]func(testing.TB) string{
		"mochi":     func(t testing.TB) string { return brokertest.Start(t).URL() },
		"mosquitto": func(t testing.TB) string { return brokertest.StartMosquitto(t).URL() },
	}
	for name, server := range servers {
		t.Run(name, func(t *testing.T) {
			l, _ := start(t, fast(server(t), "one"), nil)
			eventually(t, "connected", l.Connected)
			const n = 40
			for i := range n {
				publish(t, l, fmt.Sprintf("c/%d", i), strings.Repeat(fmt.Sprint(i%10), 100<<10), true)
			}
			var wg sync.WaitGroup
			for w := range 4 {
				wg.Go(func() {
					for i := w; i < n; i += 4 {
						body, err := l.Retained(t.Context(), fmt.Sprintf("c/%d", i), 10*time.Second)
						if err != nil || len(body) != 100<<10 || body[0] != byte('0'+i%10) {
							t.Errorf("chunk %d: %d bytes, %v", i, len(body), err)
						}
					}
				})
			}
			wg.Wait()
			if _, err := l.Retained(t.Context(), "c/none", 100*time.Millisecond); !errors.Is(err, ErrNothingRetained) {
				t.Errorf("nothing there: %v", err)
			}
		})
	}
}
