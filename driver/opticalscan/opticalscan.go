// Package opticalscan makes a scanner of a camera and a QR reader: frames in,
// scans out.
//
// It owns the goroutine that reads frames, the rule for codes that cannot be
// read, and the figures of both. Several scans of one code follow each other
// while it is in view; suppressing repeats is the lane's affair, as is opening
// the camera again after an error.
package opticalscan

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"gateagent/agent/gate"
	"gateagent/driver/frame"
	"gateagent/driver/qr"
)

// Camera gives frames. Frame waits for one newer than the last and returns it;
// it is good until the next call. Frames that nobody asked for in time are the
// camera's to drop. Frame heeds its context.
type Camera interface {
	Frame(ctx context.Context) (*frame.Gray, error)
	Close() error
}

// Reader finds the codes of a frame.
type Reader interface {
	Read(g *frame.Gray) ([]qr.Code, error)
}

// dropper is a camera that counts the frames it dropped.
type dropper interface{ Dropped() uint64 }

// ErrNoPicture ends a scanner whose camera has given no frame for
// [Options.GiveUpAfter], though it reported no error: opening it again may help.
var ErrNoPicture = errors.New("the camera gives no picture")

// ErrClosed is what Scan returns after Close.
var ErrClosed = errors.New("scanner closed")

// Options are the scanner's times. Zero values take the defaults.
type Options struct {
	// UnreadableAfter is how long a code is in view before it is reported as
	// one that cannot be read; 1 s.
	UnreadableAfter time.Duration
	// GoneAfter is how long no code must be in view for the next one to be
	// another appearance; 300 ms.
	GoneAfter time.Duration
	// QuietAfterRead is how long after a read the code still in view is not
	// reported, though it can no longer be read: a card is being put away; 3 s.
	QuietAfterRead time.Duration
	// StaleAfter is the age at which the picture counts as stale; 2 s.
	StaleAfter time.Duration
	// GiveUpAfter is the age at which the scanner ends with [ErrNoPicture];
	// 10 s, negative for never.
	GiveUpAfter time.Duration
}

func (o Options) withDefaults() Options {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	set(&o.UnreadableAfter, time.Second)
	set(&o.GoneAfter, 300*time.Millisecond)
	set(&o.QuietAfterRead, 3*time.Second)
	set(&o.StaleAfter, 2*time.Second)
	set(&o.GiveUpAfter, 10*time.Second)
	return o
}

// Scanner reads frames as fast as camera and machine allow, the newest first.
type Scanner struct {
	camera  Camera
	reader  Reader
	options Options
	log     *slog.Logger
	cancel  context.CancelFunc
	done    chan struct{} // closed when the goroutine has ended
	fresh   chan struct{} // holds a token when pending or err changed

	mu      sync.Mutex  // guards what follows
	pending []gate.Scan // of the newest frame that had any, not yet taken
	err     error       // why the goroutine ended
	closed  bool
	stats   Stats
	took    ring
}

// New starts a Scanner. It owns the camera from now on.
func New(camera Camera, reader Reader, o Options, log *slog.Logger) *Scanner {
	ctx, cancel := context.WithCancel(context.Background())
	s := &Scanner{
		camera: camera, reader: reader, options: o.withDefaults(), log: log,
		cancel: cancel, done: make(chan struct{}), fresh: make(chan struct{}, 1),
	}
	s.stats.Since = time.Now()
	go func() {
		defer close(s.done)
		s.end(s.run(ctx))
	}()
	return s
}

// Scan waits for the next scan. Scans that nobody took before a newer frame
// gave others are lost; the newest win. The error is the camera's that ended
// the scanner (io.EOF at the end of a recording), [ErrNoPicture], [ErrClosed],
// or the context's. One goroutine at a time may call Scan.
func (s *Scanner) Scan(ctx context.Context) (gate.Scan, error) {
	for {
		if scan, ok, err := s.take(); ok || err != nil {
			return scan, err
		}
		select {
		case <-s.fresh:
		case <-ctx.Done():
			return gate.Scan{}, ctx.Err()
		}
	}
}

func (s *Scanner) take() (scan gate.Scan, ok bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return scan, false, ErrClosed
	case len(s.pending) > 0:
		scan, s.pending = s.pending[0], s.pending[1:]
		return scan, true, nil
	}
	return scan, false, s.err
}

// Close stops reading, waits for the goroutine, and closes the camera.
func (s *Scanner) Close() error {
	s.cancel()
	<-s.done
	s.mu.Lock()
	again := s.closed
	s.closed = true
	s.mu.Unlock()
	s.wake()
	if again {
		return nil
	}
	if err := s.camera.Close(); err != nil {
		return fmt.Errorf("close camera: %w", err)
	}
	return nil
}

func (s *Scanner) wake() {
	select {
	case s.fresh <- struct{}{}:
	default:
	}
}

func (s *Scanner) end(err error) {
	s.mu.Lock()
	s.err = err
	s.mu.Unlock()
	s.wake()
}

// run reads frames until the camera fails or ctx ends.
func (s *Scanner) run(ctx context.Context) error {
	watch := watch{options: s.options}
	last, stale := time.Now(), false
	for {
		g, err := s.frame(ctx)
		now := time.Now()
		switch {
		case ctx.Err() != nil:
			return ErrClosed
		case errors.Is(err, context.DeadlineExceeded):
			if !stale {
				stale = true
				s.log.Warn("no picture from the camera", "for", s.options.StaleAfter)
			}
			if s.options.GiveUpAfter > 0 && now.Sub(last) >= s.options.GiveUpAfter {
				return ErrNoPicture
			}
			continue
		case err != nil:
			return fmt.Errorf("camera: %w", err)
		}
		if stale {
			stale = false
			s.log.Info("the camera gives pictures again", "after", now.Sub(last).Round(time.Millisecond))
		}
		last = now
		s.look(g, &watch)
	}
}

// frame waits for a frame, at most until the picture is stale.
func (s *Scanner) frame(ctx context.Context) (*frame.Gray, error) {
	ctx, cancel := context.WithTimeout(ctx, s.options.StaleAfter)
	defer cancel()
	return s.camera.Frame(ctx)
}

// look reads one frame and hands over what it shows.
func (s *Scanner) look(g *frame.Gray, watch *watch) {
	start := time.Now()
	seen := g.Taken
	if seen.IsZero() {
		seen = start
	}
	codes, err := s.reader.Read(g)
	took := time.Since(start)

	var scans []gate.Scan
	inView := false
	for _, c := range codes {
		if !c.Readable() {
			inView = true
			continue
		}
		// Texts longer than any credential are cut: they are refused all the same.
		scans = append(scans, gate.Scan{Payload: c.Text[:min(len(c.Text), gate.MaxPayload)], Seen: seen, Decode: took})
	}
	unreadable := watch.observe(seen, took, len(scans) > 0, inView)
	read := len(scans)
	if unreadable {
		scans = []gate.Scan{{Unreadable: true, Seen: seen, Decode: took}}
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Frames++
	s.stats.Codes += uint64(read)
	s.stats.LastFrame = seen
	s.took.add(took)
	if err != nil {
		if s.stats.Faults++; s.stats.Faults == 1 {
			s.log.Error("the QR reader failed on a frame", "err", err) // the error holds no text of a code
		}
	}
	if unreadable {
		s.stats.Unreadable++
	}
	if len(scans) == 0 || unreadable && len(s.pending) > 0 {
		return
	}
	s.stats.Replaced += uint64(len(s.pending))
	s.pending = scans
	s.wake()
}
