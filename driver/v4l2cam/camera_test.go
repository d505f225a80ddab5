package v4l2cam

import (
	"bytes"
	"context"
	"errors"
	"image"
	stdjpeg "image/jpeg"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/blackjack/webcam"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeSource plays the library and a driver behind it: four buffers, filled by
// deliver, poisoned when they are given back, unmapped by Close.
type fakeSource struct {
	mu       sync.Mutex
	bufs     [buffers][]byte
	free     []uint32
	full     []uint32
	wake     chan struct{}
	get      error // what GetFrame says from now on
	wait     error // what WaitForFrame says from now on
	deadPoll bool  // WaitForFrame returns nil at once, as after an unplug
	waits    int
	closed   bool
	late     int // calls after Close
}

func newFakeSource(size int) *fakeSource {
	s := &fakeSource{wake: make(chan struct{}, 1)}
	for i := range s.bufs {
		s.bufs[i] = make([]byte, size)
		s.free = append(s.free, uint32(i))
	}
	return s
}

// deliver fills a buffer; the driver drops the picture when there is none.
func (s *fakeSource) deliver(data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.free) == 0 {
		return
	}
	i := s.free[0]
	s.free = s.free[1:]
	s.bufs[i] = append(s.bufs[i][:0], data...)
	s.full = append(s.full, i)
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *fakeSource) set(f func()) {
	s.mu.Lock()
	f()
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *fakeSource) WaitForFrame(seconds uint32) error {
	s.mu.Lock()
	s.waits++
	if s.closed {
		s.late++
	}
	err, at := s.wait, s.deadPoll || len(s.full) > 0
	s.mu.Unlock()
	if err != nil || at {
		return err
	}
	select {
	case <-s.wake:
		return nil
	case <-time.After(time.Duration(seconds) * time.Second):
		return new(webcam.Timeout)
	}
}

func (s *fakeSource) GetFrame() ([]byte, uint32, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		s.late++
	}
	if s.get != nil {
		return nil, 0, s.get
	}
	if len(s.full) == 0 {
		return nil, 0, unix.EAGAIN
	}
	i := s.full[0]
	s.full = s.full[1:]
	return s.bufs[i], i, nil
}

func (s *fakeSource) ReleaseFrame(i uint32) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		s.late++
	}
	for n := range s.bufs[i] {
		s.bufs[i][n] = 0xee
	}
	s.free = append(s.free, i)
	return nil
}

func (s *fakeSource) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	clear(s.bufs[:])
	return nil
}

var small = layout{grey, 4, 2, 4}

func run(t *testing.T, lay layout, f func(t *testing.T, s *fakeSource, c *Camera)) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeSource(lay.height * max(lay.stride, 1))
		c := newCamera(s, lay, Stats{Node: "/dev/video0"})
		go c.capture()
		f(t, s, c)
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if err := c.Close(); err != nil {
			t.Error("second close:", err)
		}
		if !s.closed || s.late != 0 {
			t.Errorf("closed %v; %d calls after that", s.closed, s.late)
		}
	})
}

func shade(v byte) []byte { return bytes.Repeat([]byte{v}, 8) }

func TestNewestPictureWins(t *testing.T) {
	run(t, small, func(t *testing.T, s *fakeSource, c *Camera) {
		s.deliver(shade(1))
		g, err := c.Frame(t.Context())
		if err != nil || g.Pix[0] != 1 || g.Width != 4 || g.Height != 2 || !g.Taken.Equal(time.Now()) {
			t.Fatalf("%+v, %v", g, err)
		}
		// Ten pass while the reader is busy, in clumps and one by one.
		for i := byte(2); i < 12; i++ {
			s.deliver(shade(i))
			if i%3 == 0 {
				synctest.Wait()
			}
		}
		synctest.Wait()
		time.Sleep(100 * time.Millisecond)
		n, err := c.Frame(t.Context())
		if err != nil || n.Pix[0] != 11 {
			t.Fatalf("%+v, %v", n, err)
		}
		if age := time.Since(n.Taken); age != 100*time.Millisecond {
			t.Errorf("age %v", age)
		}
		if st := c.Stats(); st.Frames != 11 || st.Overtaken != 9 || st.Bad != 0 {
			t.Errorf("%+v", st)
		}
		// What was given stays as it is until the next call.
		for i := byte(100); i < 110; i++ {
			s.deliver(shade(i))
			synctest.Wait()
		}
		if n.Pix[0] != 11 {
			t.Error("a picture in use was overwritten")
		}
		if _, err := c.Frame(t.Context()); err != nil {
			t.Fatal(err)
		}
		// An ended context ends it, also when a picture waits.
		s.deliver(shade(12))
		synctest.Wait()
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := c.Frame(ended); !errors.Is(err, context.Canceled) {
			t.Errorf("ended context: %v", err)
		}
		if g, err := c.Frame(t.Context()); err != nil || g.Pix[0] != 12 {
			t.Errorf("%+v, %v", g, err)
		}
		// None is given twice.
		ctx, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		if g, err := c.Frame(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%+v, %v", g, err)
		}
	})
}

// What the library does on an unplug: the wait returns nil at once, for ever.
func TestDeadDeviceDoesNotSpin(t *testing.T) {
	for name, tt := range map[string]struct {
		get, wait error
		within    time.Duration
		waits     int
	}{
		"the read says so":           {get: unix.ENODEV, within: 0, waits: 1},
		"the read says input/output": {get: unix.EIO, within: 0, waits: 1},
		"the read says anything":     {get: unix.EINVAL, within: 0, waits: 1},
		"the wait says so":           {wait: unix.ENODEV, within: 0, waits: 1},
		"nobody says anything":       {get: unix.EAGAIN, within: stallAfter + time.Second, waits: 600},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, small, func(t *testing.T, s *fakeSource, c *Camera) {
				synctest.Wait()
				before, began := s.waits, time.Now()
				s.set(func() { s.get, s.wait, s.deadPoll = tt.get, tt.wait, true })
				if _, err := c.Frame(t.Context()); !errors.Is(err, ErrGone) {
					t.Fatalf("error %v", err)
				}
				if d := time.Since(began); d > tt.within+time.Second {
					t.Errorf("noticed after %v", d)
				}
				if n := s.waits - before; n > tt.waits {
					t.Errorf("asked %d times, want at most %d", n, tt.waits)
				}
				if _, err := c.Frame(t.Context()); !errors.Is(err, ErrGone) {
					t.Errorf("second call: %v", err)
				}
			})
		})
	}
}

func TestSilentCameraIsGone(t *testing.T) {
	run(t, small, func(t *testing.T, s *fakeSource, c *Camera) {
		s.deliver(shade(1))
		if _, err := c.Frame(t.Context()); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		_, err := c.Frame(t.Context())
		if d := time.Since(began); !errors.Is(err, ErrGone) || d < stallAfter || d > stallAfter+2*time.Second {
			t.Errorf("%v after %v", err, d)
		}
	})
}

func TestShortPictures(t *testing.T) {
	run(t, small, func(t *testing.T, s *fakeSource, c *Camera) {
		s.deliver(shade(1)[:7])
		synctest.Wait()
		s.deliver(shade(2))
		if g, err := c.Frame(t.Context()); err != nil || g.Pix[0] != 2 {
			t.Fatalf("%+v, %v", g, err)
		}
		if st := c.Stats(); st.Bad != 1 || st.Frames != 1 {
			t.Errorf("%+v", st)
		}
	})
}

func TestMJPEG(t *testing.T) {
	img := image.NewGray(image.Rect(0, 0, 32, 16))
	for i := range img.Pix {
		img.Pix[i] = 200
	}
	var b bytes.Buffer
	if err := stdjpeg.Encode(&b, img, nil); err != nil {
		t.Fatal(err)
	}
	good := b.Bytes()
	broken := bytes.Clone(good)
	copy(broken[len(broken)/2:], bytes.Repeat([]byte{0xff}, 16)) // begins and ends well
	run(t, layout{mjpg, 32, 16, 0}, func(t *testing.T, s *fakeSource, c *Camera) {
		s.deliver(good[:len(good)-2])
		synctest.Wait()
		got := make(chan error, 1)
		go func() {
			g, err := c.Frame(t.Context())
			if err == nil && (g.Width != 32 || g.Height != 16 || g.Pix[100] < 190 || g.Taken.IsZero()) {
				err = errors.New("another picture")
			}
			got <- err
		}()
		s.deliver(broken)
		synctest.Wait()
		s.deliver(append(bytes.Clone(good), 0, 0, 0))
		if err := <-got; err != nil {
			t.Fatal(err)
		}
		if st := c.Stats(); st.Bad != 2 {
			t.Errorf("%+v", st)
		}
		// Only broken ones: a fault in the end.
		done := make(chan struct{})
		defer func() { <-done }()
		go func() {
			defer close(done)
			for range 100 {
				time.Sleep(100 * time.Millisecond)
				s.deliver(broken)
			}
		}()
		began := time.Now()
		if _, err := c.Frame(t.Context()); !errors.Is(err, ErrGone) {
			t.Errorf("error %v", err)
		}
		if d := time.Since(began); d < stallAfter || d > stallAfter+time.Second {
			t.Errorf("noticed after %v", d)
		}
	})
}

func TestCloseEndsFrame(t *testing.T) {
	run(t, small, func(t *testing.T, s *fakeSource, c *Camera) {
		got := make(chan error, 1)
		go func() {
			_, err := c.Frame(t.Context())
			got <- err
		}()
		synctest.Wait()
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		if err := <-got; err == nil || errors.Is(err, ErrGone) {
			t.Errorf("error %v", err)
		}
	})
}

func TestOpenWithoutCamera(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	d, err := New(Options{Device: t.TempDir() + "/video9", Sys: t.TempDir()}, log)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Open(t.Context()); !errors.Is(err, ErrGone) {
		t.Errorf("error %v", err)
	}
	file := t.TempDir() + "/video9"
	if err := unix.Mkfifo(file, 0o600); err != nil {
		t.Fatal(err)
	}
	d, err = New(Options{Device: file, Sys: t.TempDir()}, log)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Open(t.Context()); !errors.Is(err, ErrNotCamera) {
		t.Errorf("error %v", err)
	}
}

func TestNewRefuses(t *testing.T) {
	for name, o := range map[string]Options{
		"no device": {},
		"size":      {Device: "/dev/video0", Width: -1},
		"rate":      {Device: "/dev/video0", FPS: 1000},
	} {
		if _, err := New(o, nil); err == nil {
			t.Error(name, "was taken")
		}
	}
}

func TestStartError(t *testing.T) {
	for name, tt := range map[string]struct {
		errno error
		want  error
	}{
		"busy":      {unix.EBUSY, ErrBusy},
		"gone":      {unix.ENODEV, ErrGone},
		"protocol":  {unix.EPROTO, ErrGone},
		"bandwidth": {unix.ENOSPC, errBandwidth},
	} {
		err := startError(errors.New("Failed to start streaming: " + tt.errno.Error()))
		if tt.want != nil && !errors.Is(err, tt.want) || tt.want == nil && (errors.Is(err, ErrGone) || errors.Is(err, ErrBusy)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The fields that library.go reads.
func TestLibraryFields(t *testing.T) {
	dev := new(webcam.Webcam)
	if f := privateField(dev, "fd"); !f.IsValid() || !f.CanUint() {
		t.Error("the descriptor is not where it was")
	}
	if f := privateField(dev, "buffers"); !f.IsValid() || f.Type().String() != "[][]uint8" {
		t.Error("the buffers are not where they were")
	}
	forgetBuffers(dev)
}
