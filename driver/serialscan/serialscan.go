// Package serialscan turns the bytes of a serial barcode engine into scans.
//
// It owns the framing of payloads, the one goroutine that reads the line, and
// the single slot in which the newest payload waits for the lane. Opening the
// line is driver/serialport's, the meaning of a payload agent/credential's.
//
// Nothing here retries: when the device is gone, Scan says so and the lane
// opens a new Scanner from the same [Source], which looks for the device anew.
//
// Lengths are in bytes, speeds in bits per second.
package serialscan

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"gateagent/agent/gate"
	"gateagent/driver/serialport"
)

// Defaults of [Options].
const (
	DefaultBaud    = 9600
	DefaultSilence = 80 * time.Millisecond // PAYLOADS §1.5: 50..80 ms
)

const (
	// wakeUp bounds a read, and so how long Close waits for the reader.
	wakeUp = 200 * time.Millisecond
	// stale is the pause after which a payload without its end is given up, in
	// framings that do not end by silence.
	stale = time.Second
)

// Options describe one engine. Zero values mean the defaults.
type Options struct {
	// Device is a path, best below /dev/serial/by-id, or a bare name there.
	Device string
	// ByID is the folder of stable names; empty: serialport.DefaultByID.
	ByID    string
	Baud    int // bits per second
	Framing Framing
	// Silence ends a payload in the framings auto and silence; 5 ms..2 s.
	Silence time.Duration
	// MaxLength bounds a payload, at most gate.MaxPayload, which is the
	// default. What is longer is thrown away whole.
	MaxLength int
}

// withDefaults fills in what is not set and checks the rest.
func (o Options) withDefaults() (Options, error) {
	if o.Baud == 0 {
		o.Baud = DefaultBaud
	}
	if o.Silence == 0 {
		o.Silence = DefaultSilence
	}
	if o.MaxLength == 0 {
		o.MaxLength = gate.MaxPayload
	}
	switch {
	case o.Baud < serialport.BaudMin || o.Baud > serialport.BaudMax:
		return o, fmt.Errorf("baud rate %d is not within %d..%d", o.Baud, serialport.BaudMin, serialport.BaudMax)
	case int(o.Framing) >= len(framingNames):
		return o, fmt.Errorf("unknown framing %v", o.Framing)
	case o.Silence < 5*time.Millisecond || o.Silence > 2*time.Second:
		return o, fmt.Errorf("silence of %v is not within 5ms..2s", o.Silence)
	case o.MaxLength < 1 || o.MaxLength > gate.MaxPayload:
		return o, fmt.Errorf("length bound %d is not within 1..%d", o.MaxLength, gate.MaxPayload)
	}
	return o, nil
}

// port is what the reader needs of a serial line. Read gives (0, nil) when the
// timeout passed.
type port interface {
	Read([]byte) (int, error)
	SetReadTimeout(time.Duration) error
	Close() error
}

// Source opens the same engine again and again, also after it came back under
// another node. It is safe for concurrent use.
type Source struct {
	o    Options
	line *serialport.Line
	log  *slog.Logger
}

// NewSource checks the options; it touches no device.
func NewSource(o Options, log *slog.Logger) (*Source, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("serial scanner: %w", err)
	}
	line, err := serialport.NewLine(o.Device, o.ByID)
	if err != nil {
		return nil, fmt.Errorf("serial scanner: %w", err)
	}
	return &Source{o: o, line: line, log: log.With("device", line.Device())}, nil
}

// Open opens the line and starts to read. The former Scanner of the same
// source must be closed first, or the line is [serialport.ErrBusy].
func (s *Source) Open() (*Scanner, error) {
	p, err := s.line.Open(s.o.Baud)
	if err != nil {
		return nil, err
	}
	s.log.Info("serial scanner open", "node", p.Node(), "baud", s.o.Baud, "framing", s.o.Framing.String())
	return start(p, s.o), nil
}

// Stats counts since the Scanner was opened.
type Stats struct {
	Bytes    uint64 // received
	Payloads uint64 // whole payloads framed
	Repeated uint64 // equal to the one still waiting, ignored
	Replaced uint64 // waiting ones that a newer payload replaced
	Overlong uint64 // beyond the length bound, thrown away whole
	Partial  uint64 // begun and never ended: unplugged, or the suffix missing
	Noise    uint64 // bytes outside STX..ETX
}

// Scanner reads one open line. Scan and Close may be called from different
// goroutines.
type Scanner struct {
	port   port
	o      Options
	framer *framer
	stop   chan struct{} // closed by Close
	done   chan struct{} // closed when the reader has ended and the port is closed

	once     sync.Once
	closeErr error // of the port; read after done

	ready chan struct{} // holds a token while a scan waits

	mu      sync.Mutex
	waiting gate.Scan // the slot; guarded by mu
	full    bool      // guarded by mu
	stats   Stats     // guarded by mu
	err     error     // why the reader ended; guarded by mu
}

// start begins to read p, which it will close.
func start(p port, o Options) *Scanner {
	s := &Scanner{
		port: p, o: o, framer: newFramer(o.Framing, o.MaxLength),
		stop: make(chan struct{}), done: make(chan struct{}), ready: make(chan struct{}, 1),
	}
	go s.read()
	return s
}

// ErrClosed is what Scan gives after Close.
var ErrClosed = errors.New("serial scanner closed")

// Scan waits for the next payload. Seen is when its last byte arrived. A
// payload that came before the device went away is still handed out; then the
// error wraps serialport.ErrGone, and the Scanner is of no further use. The
// payload belongs to the caller.
func (s *Scanner) Scan(ctx context.Context) (gate.Scan, error) {
	for {
		select {
		case <-ctx.Done():
			return gate.Scan{}, ctx.Err()
		case <-s.stop:
			return gate.Scan{}, ErrClosed
		case <-s.ready:
			if scan, ok := s.take(); ok {
				return scan, nil
			}
		case <-s.done:
			if scan, ok := s.take(); ok {
				return scan, nil
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			return gate.Scan{}, s.err
		}
	}
}

func (s *Scanner) take() (gate.Scan, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	scan, ok := s.waiting, s.full
	s.waiting, s.full = gate.Scan{}, false
	return scan, ok
}

// put lays a payload into the slot: the newest different one wins, a repeat of
// the waiting one is ignored.
func (s *Scanner) put(payload []byte, seen time.Time) {
	s.mu.Lock()
	s.stats.Payloads++
	switch {
	case s.full && bytes.Equal(s.waiting.Payload, payload):
		s.stats.Repeated++
		s.mu.Unlock()
		return
	case s.full:
		s.stats.Replaced++
	}
	s.waiting, s.full = gate.Scan{Payload: bytes.Clone(payload), Seen: seen}, true
	s.mu.Unlock()
	select {
	case s.ready <- struct{}{}:
	default: // a token is there already
	}
}

// Stats gives the counters so far.
func (s *Scanner) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats
}

// Close stops the reader, waits for it and gives the line back: at most the
// 200 ms of one read.
func (s *Scanner) Close() error {
	s.once.Do(func() { close(s.stop) })
	<-s.done
	return s.closeErr
}

// read owns the port: it alone reads, sets timeouts, and closes when it ends.
// So no descriptor is closed under a read, and an unplugged device is let go
// at once, which gives the kernel its name back.
func (s *Scanner) read() {
	defer close(s.done)
	err := s.readAll()
	s.framer.drop() // what was under way can never be ended
	s.closeErr = s.port.Close()
	if errors.Is(err, serialport.ErrGone) {
		s.closeErr = nil // there is nothing left that could be closed badly
	}
	s.mu.Lock()
	s.count()
	s.err = fmt.Errorf("serial scanner: %w", err)
	s.mu.Unlock()
}

func (s *Scanner) readAll() error {
	buf := make([]byte, 4096)
	var last time.Time // when the last byte came
	emit := func(p []byte) { s.put(p, last) }
	for {
		select {
		case <-s.stop:
			return ErrClosed
		default:
		}
		wait := wakeUp
		if s.framer.pending() {
			wait = min(wait, max(time.Millisecond, s.patience()-time.Since(last)))
		}
		if err := s.port.SetReadTimeout(wait); err != nil {
			return fmt.Errorf("set the read timeout: %w", err)
		}
		n, err := s.port.Read(buf)
		if n > 0 {
			last = time.Now()
			s.framer.push(buf[:n], emit)
			clear(buf[:n])
		} else if err == nil && s.framer.pending() && time.Since(last) >= s.patience() {
			s.framer.quiet(emit)
		}
		s.mu.Lock()
		s.stats.Bytes += uint64(n)
		s.count()
		s.mu.Unlock()
		if err != nil {
			return err
		}
	}
}

// patience is the pause after which a payload under way is ended or given up.
func (s *Scanner) patience() time.Duration {
	if s.o.Framing.endsBySilence() {
		return s.o.Silence
	}
	return stale
}

// count copies the framer's counters; mu is held.
func (s *Scanner) count() {
	s.stats.Overlong, s.stats.Partial, s.stats.Noise = s.framer.overlong, s.framer.partial, s.framer.noise
}
