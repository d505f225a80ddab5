package opticalscan

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"gateagent/agent/gate"
	"gateagent/driver/frame"
	"gateagent/driver/qr"
	"gateagent/driver/qr/qrframes"
)

// camera plays a film: a frame every 100 ms that holds what the letter says.
//
//	.   nothing        U   a code that cannot be read
//	A-T that code      -   no frame at all
//	!   the reader fails on it
//
// At the end it gives err, or nothing more for ever if that is nil.
type camera struct {
	film   string
	err    error
	at     int
	closed atomic.Bool
}

const period = 100 * time.Millisecond

func (c *camera) Frame(ctx context.Context) (*frame.Gray, error) {
	for {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(period):
		}
		if c.at >= len(c.film) {
			if c.err != nil {
				return nil, c.err
			}
			<-ctx.Done()
			return nil, ctx.Err()
		}
		letter := c.film[c.at]
		c.at++
		if letter != '-' {
			return &frame.Gray{Pix: []byte{letter}, Width: 1, Height: 1, Stride: 1, Taken: time.Now()}, nil
		}
	}
}

func (c *camera) Close() error {
	if c.closed.Swap(true) {
		return errors.New("closed twice")
	}
	return nil
}

func (c *camera) Dropped() uint64 { return 7 }

// reader sees what the film shows; each frame takes it 5 ms.
type reader struct{}

func (reader) Read(g *frame.Gray) ([]qr.Code, error) {
	time.Sleep(5 * time.Millisecond)
	switch letter := g.Pix[0]; letter {
	case '.':
		return nil, nil
	case '!':
		return nil, errors.New("boom")
	case 'U':
		return []qr.Code{{Version: 7}}, nil
	case 'Z': // two codes
		return []qr.Code{{Text: []byte("Z1")}, {Text: []byte("Z2")}, {}}, nil
	default:
		return []qr.Code{{Text: []byte{letter}}}, nil
	}
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// story scans a film to its end and writes down when what was handed over: the
// number of its frame and the payload, "?" for unreadable.
func story(t *testing.T, film string) (got string, s Stats) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		sc := New(&camera{film: film, err: io.EOF}, reader{}, Options{}, quiet())
		var lines []string
		for {
			scan, err := sc.Scan(t.Context())
			if err != nil {
				if !errors.Is(err, io.EOF) {
					t.Errorf("Scan = %v", err)
				}
				break
			}
			what := string(scan.Payload)
			if scan.Unreadable {
				what += "?"
			}
			lines = append(lines, fmt.Sprintf("%d%s", scan.Seen.Sub(start)/period, what))
			if scan.Decode != 5*time.Millisecond {
				t.Errorf("decode took %v", scan.Decode)
			}
		}
		s = sc.Stats()
		if err := sc.Close(); err != nil {
			t.Error(err)
		}
		got = strings.Join(lines, " ")
	})
	return got, s
}

func TestScans(t *testing.T) {
	u := func(n int) string { return strings.Repeat("U", n) }
	for name, tt := range map[string]struct{ film, want string }{
		"nothing":                      {"..........", ""},
		"every sight of a code":        {"..AA.B", "3A 4A 6B"},
		"two codes in one frame":       {".Z.", "2Z1 2Z2"},
		"unreadable for less":          {u(10) + "....", ""},
		"unreadable for a second":      {u(11) + ".", "11?"},
		"once an appearance":           {u(40), "11?"},
		"blinking is one appearance":   {u(6) + "." + u(30), "11?"},
		"gone and back":                {u(11) + "..." + u(11), "11? 26?"},
		"gone before the second":       {u(9) + "..." + u(9), ""},
		"no frames are no sight":       {u(9) + "---" + u(9), ""},
		"a read begins it anew":        {u(8) + "A" + u(8) + "....", "9A"},
		"put away after a read":        {"A" + u(25), "1A"},
		"stuck after a read":           {"A" + u(40), "1A 31?"},
		"another one after a read":     {"A..." + u(11), "1A 15?"},
		"a reader's fault is no sight": {"!!A", "3A"},
	} {
		t.Run(name, func(t *testing.T) {
			if got, _ := story(t, tt.film); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestStats(t *testing.T) {
	_, s := story(t, "A.!Z"+strings.Repeat("U", 50))
	s.Since, s.LastFrame = time.Time{}, time.Time{}
	want := Stats{
		Frames: 54, Dropped: 7, Codes: 3, Unreadable: 1, Faults: 1,
		DecodeP50: 5 * time.Millisecond, DecodeP99: 5 * time.Millisecond,
	}
	if diff := cmp.Diff(want, s); diff != "" {
		t.Error(diff)
	}
}

func TestNewestScanWins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sc := New(&camera{film: "ABUUUUUUUUUUUUCD" + strings.Repeat("U", 50)}, reader{}, Options{QuietAfterRead: time.Millisecond}, quiet())
		defer sc.Close()
		time.Sleep(6 * time.Second)
		scan, err := sc.Scan(t.Context())
		if string(scan.Payload) != "D" || err != nil {
			t.Errorf("Scan = %q, %v; want the last one read", scan.Payload, err)
		}
		// An unreadable code takes no read one's place: B, C and D replaced one each.
		if s := sc.Stats(); s.Replaced != 3 || s.Unreadable != 2 {
			t.Errorf("%d replaced, %d unreadable", s.Replaced, s.Unreadable)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := sc.Scan(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("second Scan = %v", err)
		}
	})
}

func TestStalePicture(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		film := "." + strings.Repeat("-", 40) + "A" // 4.1 s without a frame
		sc := New(&camera{film: film}, reader{}, Options{}, slog.New(slog.NewTextHandler(&log, nil)))
		defer sc.Close()
		if s := sc.Stats(); s.Stale || s.PictureAge(time.Now()) != 0 {
			t.Error("stale before it began")
		}
		time.Sleep(1900 * time.Millisecond)
		if sc.Stats().Stale {
			t.Error("stale too early")
		}
		time.Sleep(time.Second)
		if s := sc.Stats(); !s.Stale || s.PictureAge(time.Now()) != 2800*time.Millisecond {
			t.Errorf("stale %v, age %v", s.Stale, s.PictureAge(time.Now()))
		}
		if scan, err := sc.Scan(t.Context()); string(scan.Payload) != "A" || err != nil {
			t.Errorf("Scan = %q, %v", scan.Payload, err)
		}
		if sc.Stats().Stale {
			t.Error("still stale")
		}
		if _, err := sc.Scan(t.Context()); !errors.Is(err, ErrNoPicture) {
			t.Errorf("Scan = %v, want ErrNoPicture", err)
		}
		if n := strings.Count(log.String(), "no picture"); n != 2 {
			t.Errorf("said %d times that there is no picture:\n%s", n, log.String())
		}
	})
}

func TestNeverGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sc := New(&camera{}, reader{}, Options{GiveUpAfter: -1}, quiet())
		defer sc.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if _, err := sc.Scan(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Scan = %v", err)
		}
	})
}

func TestErrorsAndClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		boom := errors.New("boom")
		cam := &camera{film: "A", err: boom}
		sc := New(cam, reader{}, Options{}, quiet())
		time.Sleep(time.Second)
		if scan, err := sc.Scan(t.Context()); string(scan.Payload) != "A" || err != nil {
			t.Errorf("what was read before the error: %q, %v", scan.Payload, err)
		}
		for range 2 {
			if _, err := sc.Scan(t.Context()); !errors.Is(err, boom) {
				t.Errorf("Scan = %v", err)
			}
		}
		for range 2 {
			if err := sc.Close(); err != nil {
				t.Error(err)
			}
		}
		if !cam.closed.Load() {
			t.Error("camera left open")
		}
		if _, err := sc.Scan(t.Context()); !errors.Is(err, ErrClosed) {
			t.Errorf("Scan after Close = %v", err)
		}
	})
}

func TestCloseWakesScan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sc := New(&camera{}, reader{}, Options{}, quiet())
		go func() { time.Sleep(time.Second); sc.Close() }()
		if _, err := sc.Scan(t.Context()); !errors.Is(err, ErrClosed) {
			t.Errorf("Scan = %v", err)
		}
		synctest.Wait()
	})
}

// long gives texts longer than any credential.
type long struct{}

func (long) Read(*frame.Gray) ([]qr.Code, error) {
	return []qr.Code{{Text: bytes.Repeat([]byte("7"), 7089)}}, nil
}

func TestPayloadIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sc := New(&camera{film: "A"}, long{}, Options{}, quiet())
		defer sc.Close()
		if scan, _ := sc.Scan(t.Context()); len(scan.Payload) != gate.MaxPayload {
			t.Errorf("payload of %d bytes", len(scan.Payload))
		}
	})
}

// TestRealFrames lets the real reader see real frames.
func TestRealFrames(t *testing.T) {
	r := qrframes.NewRenderer()
	card := qrframes.Scene{Seed: 1, Subject: qrframes.Card, Payload: "MẪU|0001", View: qrframes.View{
		Width: 480, Height: 360, ModulePixels: 5, X: 0.5, Y: 0.5, Roll: 5, Blur: 0.6, Noise: 3, Light: 0.9,
	}}
	ruined := card
	ruined.Damage = qrframes.Ruined
	film := make([]*frame.Gray, 0, 13)
	for i, s := range []qrframes.Scene{card, {View: card.View}, {View: card.View}, {View: card.View}, ruined} {
		g := new(frame.Gray)
		if err := r.Render(s, g); err != nil {
			t.Fatal(err)
		}
		g.Taken = time.UnixMilli(int64(i) * 100)
		film = append(film, g)
	}
	last := film[len(film)-1]
	for i := range 10 { // the ruined one stays
		g := *last
		g.Taken = g.Taken.Add(time.Duration(i+1) * 100 * time.Millisecond)
		film = append(film, &g)
	}
	sc := New(&slides{film: film}, qr.NewReader(), Options{}, quiet())
	defer sc.Close()
	// The reader is faster than this goroutine at times; what it reads is the same.
	var got []string
	for {
		scan, err := sc.Scan(t.Context())
		if err != nil {
			break
		}
		got = append(got, fmt.Sprintf("%d %s %v", scan.Seen.UnixMilli(), scan.Payload, scan.Unreadable))
	}
	if diff := cmp.Diff([]string{"0 MẪU|0001 false", "1400  true"}, got); diff != "" {
		t.Error(diff)
	}
}

// slides shows frame after frame.
type slides struct{ film []*frame.Gray }

func (s *slides) Frame(context.Context) (*frame.Gray, error) {
	if len(s.film) == 0 {
		return nil, io.EOF
	}
	g := s.film[0]
	s.film = s.film[1:]
	return g, nil
}

func (s *slides) Close() error { return nil }

// On a slow box a code that cannot be read takes longer than GoneAfter a
// frame: it is in view all the same.
func TestSlowReadingIsNoAbsence(t *testing.T) {
	o := Options{}.withDefaults()
	w := watch{options: o}
	start := time.Now()
	const took = 700 * time.Millisecond
	told := time.Duration(0)
	for at := time.Duration(0); at < 5*time.Second && told == 0; at += took + 50*time.Millisecond {
		if w.observe(start.Add(at), took, false, true) {
			told = at
		}
	}
	if told == 0 || told > 2*time.Second {
		t.Errorf("reported after %v", told)
	}
	if w.observe(start.Add(told+took+o.GoneAfter), took, false, false); !w.since.IsZero() {
		t.Error("a frame without a code long after does not end the appearance")
	}
}
