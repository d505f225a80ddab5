// Package replaycam is a camera that plays recordings: a folder of pictures, a
// file of motion JPEG, or a motion JPEG stream on standard input. The demo, the
// tests and the study of recorded trouble use it in a camera's place.
//
// It owns the goroutine that reads the recording, and its pace. Like any camera
// it never waits for whoever looks: the newest frame wins, and those replaced
// before they were looked at are counted. Only a recording played without a
// rate is played in step, a frame for each that is asked for, none dropped.
//
// Standard input is always taken as it comes: the writer sets the pace and is
// never held up. A frame there counts as taken when its last byte arrived, so
// that decompression is part of every latency measured from it.
package replaycam

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"gateagent/driver/frame"
	"gateagent/driver/frame/imagefile"
	"gateagent/driver/frame/mjpeg"
)

// Stdin is the source that stands for standard input.
const Stdin = "-"

// MaxFPS is the highest rate.
const MaxFPS = 1000

// maxBroken frames in a row end a recording: it is none.
const maxBroken = 1000

// Options say what is played, and how.
type Options struct {
	// Source is a folder of PNG, JPEG, WebP and PGM files, played in the order
	// of their names; one such file; a file of motion JPEG (pictures one after
	// the other, or multipart); or [Stdin].
	Source string
	// FPS is the rate in frames a second, up to [MaxFPS]; 0 plays in step.
	// Standard input has no rate of its own: FPS does not matter there.
	FPS float64
	// Loop begins again at the end, instead of ending with io.EOF. Standard
	// input cannot be looped.
	Loop bool
}

// Stats are the figures of a Camera since it was opened.
type Stats struct {
	Frames  uint64 // frames looked at
	Dropped uint64 // frames replaced by newer ones before they were looked at
	Torn    uint64 // pictures that were broken off or could not be decoded
}

// Camera plays one recording.
type Camera struct {
	log     *slog.Logger
	cancel  context.CancelFunc
	done    chan struct{} // closed when the goroutine has ended
	input   io.Closer     // closed to end a blocking read; may be nil
	fresh   chan struct{} // holds a token when slot or err changed
	taken   chan struct{} // holds a token when the slot was emptied
	inStep  bool
	closing sync.Once

	gray     frame.Gray
	broken   int // frames in a row that could not be decoded
	patience int // so many end the recording

	frames, dropped, torn, cut atomic.Uint64

	mu   sync.Mutex // guards what follows
	slot *shot      // the newest frame, not yet looked at
	free [][]byte   // memory of earlier shots
	err  error      // why the goroutine ended
}

// shot is one frame as recorded.
type shot struct {
	path  string // of a file of its own, or
	jpeg  []byte // one picture
	taken time.Time
}

// Open begins to play. The caller closes the Camera.
func Open(o Options, log *slog.Logger) (*Camera, error) {
	if math.IsNaN(o.FPS) || o.FPS < 0 || o.FPS > MaxFPS {
		return nil, fmt.Errorf("replay: a rate of %v frames a second is not within 0 and %d", o.FPS, MaxFPS)
	}
	c := &Camera{
		log: log, done: make(chan struct{}), inStep: o.FPS == 0, patience: maxBroken,
		fresh: make(chan struct{}, 1), taken: make(chan struct{}, 1),
	}
	play, err := c.source(o)
	if err != nil {
		return nil, fmt.Errorf("replay %s: %w", o.Source, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	c.cancel = cancel
	go func() {
		defer close(c.done)
		c.end(play(ctx))
	}()
	return c, nil
}

// Frame waits for a frame newer than the last. It is good until the next call.
// At the end of the recording the error is io.EOF. One goroutine at a time may
// call Frame.
func (c *Camera) Frame(ctx context.Context) (*frame.Gray, error) {
	for {
		s, err := c.next(ctx)
		if err != nil {
			return nil, err
		}
		if c.inStep {
			s.taken = time.Now() // nobody waited for it before
		}
		if s.path != "" {
			err = imagefile.Load(s.path, &c.gray)
		} else {
			err = mjpeg.Decode(s.jpeg, &c.gray)
		}
		c.recycle(s)
		if err == nil {
			c.broken = 0
			c.frames.Add(1)
			c.gray.Taken = s.taken
			return &c.gray, nil
		}
		c.torn.Add(1)
		if c.broken++; c.broken == 1 {
			c.log.Warn("a recorded picture cannot be read", "err", err)
		}
		if c.broken >= c.patience {
			return nil, fmt.Errorf("replay: %d pictures in a row cannot be read, the last: %w", c.broken, err)
		}
	}
}

// next waits for the shot in the slot and takes it.
func (c *Camera) next(ctx context.Context) (*shot, error) {
	for {
		c.mu.Lock()
		s, err := c.slot, c.err
		c.slot = nil
		c.mu.Unlock()
		if s != nil {
			signal(c.taken)
			return s, nil
		}
		if err != nil {
			return nil, err
		}
		select {
		case <-c.fresh:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// put shows a shot to whoever looks; jpeg is copied. In step it waits until the
// last one was taken.
func (c *Camera) put(ctx context.Context, path string, jpeg []byte) error {
	for c.inStep {
		c.mu.Lock()
		empty := c.slot == nil
		c.mu.Unlock()
		if empty {
			break
		}
		select {
		case <-c.taken:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	c.mu.Lock()
	var memory []byte
	if n := len(c.free); n > 0 && jpeg != nil {
		memory, c.free = c.free[n-1], c.free[:n-1]
	}
	old := c.slot
	c.slot = &shot{path: path, jpeg: append(memory[:0], jpeg...), taken: time.Now()}
	c.mu.Unlock()
	if old != nil {
		c.dropped.Add(1)
		c.recycle(old)
	}
	signal(c.fresh)
	return nil
}

// recycle keeps the memory of a shot for later ones.
func (c *Camera) recycle(s *shot) {
	if s.jpeg == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.free) < 2 {
		c.free = append(c.free, s.jpeg)
	}
}

func (c *Camera) end(err error) {
	c.mu.Lock()
	c.err = err
	c.mu.Unlock()
	signal(c.fresh)
}

func signal(token chan struct{}) {
	select {
	case token <- struct{}{}:
	default:
	}
}

// Stats gives the figures as they stand.
func (c *Camera) Stats() Stats {
	return Stats{Frames: c.frames.Load(), Dropped: c.dropped.Load(), Torn: c.torn.Load() + c.cut.Load()}
}

// Dropped is how many frames were replaced by newer ones before they were
// looked at.
func (c *Camera) Dropped() uint64 { return c.dropped.Load() }

// Close ends the recording and waits for its goroutine. A Frame that waits, and
// every later one, gets an error.
func (c *Camera) Close() error {
	c.cancel()
	var err error
	c.closing.Do(func() {
		if c.input != nil {
			err = c.input.Close() // ends a read that waits for a writer
		}
	})
	<-c.done
	return err
}
