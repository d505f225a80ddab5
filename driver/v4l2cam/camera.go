package v4l2cam

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/blackjack/webcam"
	"golang.org/x/sys/unix"

	"gateagent/driver/frame"
	"gateagent/driver/frame/mjpeg"
)

// source is the part of the camera library that a running camera needs. Only
// the capture goroutine calls it: the library has no locks, and Close while
// another goroutine waits is unsafe there.
type source interface {
	WaitForFrame(seconds uint32) error
	GetFrame() ([]byte, uint32, error)
	ReleaseFrame(index uint32) error
	Close() error
}

// Camera is a camera that streams. Frame may be called from one goroutine at a
// time; Close and Stats from any.
type Camera struct {
	src    source
	lay    layout
	closed atomic.Bool
	done   chan struct{} // closed when the capture goroutine has ended
	fresh  chan struct{} // one token: a picture or an end awaits

	mu    sync.Mutex
	next  *picture   // newest picture that nobody took yet
	given *picture   // the one the caller has
	spare []*picture // memory of pictures that were overtaken
	stats Stats
	err   error // why capturing ended
	// sane is when a picture last proved readable, or the camera started.
	sane time.Time
}

// picture is a captured picture whose buffer has gone back: the grey plane, or
// for MJPEG the compressed bytes, to be decoded only if somebody asks.
type picture struct {
	gray  frame.Gray
	jpeg  []byte
	taken time.Time
}

// Stats is what a camera did since it was opened.
type Stats struct {
	Node   string // as the kernel calls it now, for example /dev/video0
	Name   string // as the camera calls itself
	Format string // GREY, YUYV, NV12 or MJPEG
	Width  int    // pixels, as the driver gives
	Height int
	FPS    float64 // as the driver says; 0: unknown
	// Frames were captured whole; Overtaken of them were replaced by a newer
	// one before anybody asked; Bad were short or broken.
	Frames, Overtaken, Bad uint64
	// Last is when the newest picture was handed over by the device; its
	// distance to now is the age of the picture. Zero: none yet.
	Last time.Time
}

func newCamera(src source, lay layout, s Stats) *Camera {
	return &Camera{
		src: src, lay: lay, stats: s, sane: time.Now(),
		done: make(chan struct{}), fresh: make(chan struct{}, 1),
	}
}

// Frame gives the newest picture that was not given before, and waits for one
// if there is none. It is good until the next call. An error that is not
// ctx's means that the camera must be closed; [ErrGone] that it may be opened
// again.
func (c *Camera) Frame(ctx context.Context) (*frame.Gray, error) {
	for {
		p, err := c.take(ctx)
		if err != nil {
			return nil, err
		}
		if c.lay.format == mjpg {
			if err := mjpeg.Decode(p.jpeg, &p.gray); err != nil {
				if err := c.broken(p, err); err != nil {
					return nil, err
				}
				continue
			}
			p.gray.Taken = p.taken
			c.mu.Lock()
			c.sane = p.taken
			c.mu.Unlock()
		}
		return &p.gray, nil
	}
}

// take waits for a picture, or for the reason why there will be none.
func (c *Camera) take(ctx context.Context) (*picture, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err // also while pictures come faster than they are taken
		}
		c.mu.Lock()
		if c.given != nil {
			c.spare, c.given = append(c.spare, c.given), nil
		}
		p, err := c.next, c.err
		c.next, c.given = nil, p
		c.mu.Unlock()
		switch {
		case err != nil:
			return nil, err
		case p != nil:
			return p, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-c.fresh:
		case <-c.done:
		}
	}
}

// broken counts a picture that did not decode. Single ones happen (a lost USB
// packet); nothing else for [stallAfter] is a fault.
func (c *Camera) broken(p *picture, err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stats.Bad++
	if p.taken.Sub(c.sane) > stallAfter {
		return fmt.Errorf("%w: %s sends only broken pictures: %w", ErrGone, c.stats.Node, err)
	}
	return nil
}

// Stats gives the figures of this moment.
func (c *Camera) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stats
}

// Dropped counts the pictures that newer ones replaced before they were asked
// for.
func (c *Camera) Dropped() uint64 { return c.Stats().Overtaken }

// Close stops the camera and gives the device back. It may take as long as the
// camera needs for one picture, a second at most; a second call does nothing.
func (c *Camera) Close() error {
	c.closed.Store(true)
	<-c.done
	return nil
}

var errClosed = errors.New("camera was closed")

// capture is the goroutine that owns the device.
func (c *Camera) capture() {
	err := c.run()
	// Unmaps the buffers: from here on nothing may touch them. Its errors
	// (a dead device refuses to stop) change nothing for anybody.
	_ = c.src.Close()
	c.mu.Lock()
	c.err, c.next, c.given, c.spare = err, nil, nil, nil
	c.mu.Unlock()
	close(c.done)
}

func (c *Camera) run() error {
	const (
		patience = 50                    // wake-ups without a picture before we slow down
		pause    = 10 * time.Millisecond // between further ones
	)
	idle, last := 0, time.Now()
	for !c.closed.Load() {
		if time.Since(last) > stallAfter {
			return fmt.Errorf("%w: no picture from %s for %v", ErrGone, c.stats.Node, stallAfter)
		}
		err := c.src.WaitForFrame(1)
		if timeout := (*webcam.Timeout)(nil); errors.As(err, &timeout) || errors.Is(err, unix.EINTR) {
			continue
		}
		got := false
		if err == nil {
			got, err = c.drain()
		}
		if err != nil {
			return fmt.Errorf("%w: %s: %w", ErrGone, c.stats.Node, err)
		}
		if got {
			idle, last = 0, time.Now()
			continue
		}
		// On a device in error the wait returns at once, again and again.
		if idle++; idle > patience {
			time.Sleep(pause)
		}
	}
	return errClosed
}

// drain takes all finished buffers, keeps the newest and says whether that
// gave a picture. Errors mean that the device is gone.
func (c *Camera) drain() (bool, error) {
	var (
		data []byte
		held uint32
		n    int
	)
	for n <= buffers {
		b, index, err := c.src.GetFrame()
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
			break
		}
		if err != nil {
			return false, fmt.Errorf("take a picture: %w", err)
		}
		if n > 0 {
			if err := c.src.ReleaseFrame(held); err != nil {
				return false, fmt.Errorf("give a buffer back: %w", err)
			}
		}
		data, held = b, index
		n++
	}
	if n == 0 {
		return false, nil
	}
	p := c.room()
	p.taken = time.Now()
	good := c.lay.copyOut(p, data)
	if err := c.src.ReleaseFrame(held); err != nil {
		return false, fmt.Errorf("give a buffer back: %w", err)
	}
	c.publish(p, good, n-1)
	return good, nil
}

// room gives memory for a picture.
func (c *Camera) room() *picture {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := len(c.spare); n > 0 {
		p := c.spare[n-1]
		c.spare = c.spare[:n-1]
		return p
	}
	return new(picture)
}

func (c *Camera) publish(p *picture, good bool, skipped int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stats.Frames += uint64(skipped)
	c.stats.Overtaken += uint64(skipped)
	if !good {
		c.stats.Bad++
		c.spare = append(c.spare, p)
		return
	}
	c.stats.Frames++
	c.stats.Last = p.taken
	if c.next != nil {
		c.stats.Overtaken++
		c.spare = append(c.spare, c.next)
	}
	c.next = p
	select {
	case c.fresh <- struct{}{}:
	default:
	}
}
