package mqttlink

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

func TestBackoff(t *testing.T) {
	b := newBackoff()
	tops := []time.Duration{2, 4, 8, 10, 10, 10}
	for range 3 {
		for i, top := range tops {
			if d := b.next(); d < time.Second || d >= top*time.Second {
				t.Errorf("attempt %d: %v is not within 1 s and %d s", i, d, top)
			}
		}
		for range 100 {
			b.next()
		}
		b.reset()
	}
	spread := map[time.Duration]bool{}
	for range 50 {
		spread[b.next().Round(10*time.Millisecond)] = true
	}
	if len(spread) < 30 {
		t.Errorf("50 waits fell on %d values: they come back in step", len(spread))
	}
}

func TestMatches(t *testing.T) {
	for _, c := range []struct {
		filter, topic string
		want          bool
	}{
		{"a/b", "a/b", true},
		{"a/b", "a/b/c", false},
		{"a/b/c", "a/b", false},
		{"a/+/c", "a/b/c", true},
		{"a/+", "a/b/c", false},
		{"a/#", "a/b/c", true},
		{"a/#", "a", true},
		{"#", "a/b", true},
		{"+", "a/b", false},
	} {
		s := &subscription{levels: strings.Split(c.filter, "/")}
		if got := s.matches(strings.Split(c.topic, "/")); got != c.want {
			t.Errorf("%s on %s: %t", c.filter, c.topic, got)
		}
	}
	for filter, want := range map[string]bool{
		"a/+/b": true, "#": true, "a/#": true, "": false, "a#": false, "a/#/b": false, "a+/b": false, "a b": false,
		strings.Repeat("a", 513): false,
	} {
		if validFilter(filter) != want {
			t.Errorf("filter %q: want %t", filter, want)
		}
	}
}

func TestNewChecksTheBroker(t *testing.T) {
	for broker, want := range map[string]string{
		"mqtt://h":           "",
		"mqtt://h:1884":      "",
		"mqtt://[::1]:1883/": "",
		"mqtts://h":          "no TLS settings",
		"tcp://h":            "known are mqtt and mqtts",
		"h:1883":             "must look like",
		"mqtt://":            "must look like",
		"mqtt://u:p@h":       "must look like",
		"mqtt://h/x":         "must look like",
	} {
		_, err := New(Options{Broker: broker, ClientID: "c"}, discard)
		if (err == nil) != (want == "") || (err != nil && !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v", broker, err)
		}
	}
}

// packet builds a PUBLISH.
func packet(qos byte, topic string, payload []byte) []byte {
	var v []byte
	v = append(v, byte(len(topic)>>8), byte(len(topic)))
	v = append(v, topic...)
	if qos > 0 {
		v = append(v, 0, 7)
	}
	v = append(v, payload...)
	return append(appendLength([]byte{3<<4 | qos<<1}, len(v)), v...)
}

type rwConn struct {
	net.Conn
	r io.Reader
}

func (c rwConn) Read(p []byte) (int, error) { return c.r.Read(p) }

// What passes the frame reader is what came, but for bodies above the bound,
// however the bytes arrive and are asked for.
func TestFrames(t *testing.T) {
	const bound = 50
	var in, want []byte
	rnd := rand.New(rand.NewPCG(1, 2))
	add := func(p, out []byte) { in, want = append(in, p...), append(want, out...) }
	add([]byte{0x20, 2, 0, 5}, []byte{0x20, 2, 0, 5})
	add([]byte{0xd0, 0}, []byte{0xd0, 0})
	for range 200 {
		qos := byte(rnd.IntN(2))
		body := bytes.Repeat([]byte{byte(rnd.IntN(256))}, rnd.IntN(3*bound))
		if rnd.IntN(20) == 0 {
			body = bytes.Repeat([]byte{9}, 1<<17)
		}
		topic := strings.Repeat("t", 1+rnd.IntN(5))
		add(packet(qos, topic, body), packet(qos, topic, body[:min(len(body), bound+1)]))
	}
	for name, r := range map[string]io.Reader{
		"at once": bytes.NewReader(in), "by halves": iotest.HalfReader(bytes.NewReader(in)), "by bytes": iotest.OneByteReader(bytes.NewReader(in)),
	} {
		c := newFrameConn(rwConn{r: r}, bound, time.Second, func(error) {})
		got, err := io.ReadAll(iotest.HalfReader(c))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, want %d; %v", name, len(got), len(want), err)
		}
		if c.connack.Load() != 5 {
			t.Errorf("%s: CONNACK %d", name, c.connack.Load())
		}
	}
}

func TestFramesRefuseLargeControlPackets(t *testing.T) {
	for name, in := range map[string][]byte{
		"a SUBACK of 2 MiB":      appendLength([]byte{0x90}, 2<<20),
		"a length of five bytes": {0x30, 0xff, 0xff, 0xff, 0xff, 1},
		"cut off":                {0x30},
	} {
		c := newFrameConn(rwConn{r: bytes.NewReader(in)}, 50, time.Second, func(error) {})
		if n, err := io.Copy(io.Discard, onlyReader{c}); err == nil && n > 0 {
			t.Errorf("%s: passed on %d bytes", name, n)
		}
	}
}

type onlyReader struct{ io.Reader }

// No input makes the reader panic, loop or hand out a body above the bound.
func FuzzFrames(f *testing.F) {
	f.Add(packet(1, "a/b", []byte("hello")))
	f.Add(packet(0, "a", make([]byte, 5000)))
	f.Add([]byte{0x20, 2, 0, 0, 0x30, 0x80})
	f.Add([]byte{0x30, 5, 0xff, 0xff, 1, 2, 3})
	f.Fuzz(func(t *testing.T, in []byte) {
		c := newFrameConn(rwConn{r: bytes.NewReader(in)}, 100, time.Second, func(error) {})
		out, _ := io.ReadAll(c)
		if len(out) > len(in)+4 {
			t.Errorf("%d bytes made %d", len(in), len(out))
		}
	})
}
