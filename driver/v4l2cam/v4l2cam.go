// Package v4l2cam takes grey pictures from a Linux camera: anything USB Video
// Class or otherwise single-planar that the kernel offers as /dev/videoN.
//
// It owns the device node, its buffers and one goroutine a camera. It does not
// reopen by itself: when the camera is unplugged [Camera.Frame] returns
// [ErrGone], the caller closes, waits and calls [Device.Open] again, which
// finds the same camera under whatever node it came back as. It does not read
// codes (driver/qr) and drives no camera controls.
//
// Not covered: multi-planar devices (most CSI cameras on Rockchip and the
// like); the library that this package stands on does not speak their API.
package v4l2cam

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/blackjack/webcam"
	"golang.org/x/sys/unix"

	"gateagent/driver/frame"
)

// Sentinels that a caller decides on; all are wrapped with the device's path.
var (
	// ErrGone: the camera is not there, was unplugged or fell silent. Close
	// and open again after a pause.
	ErrGone = errors.New("camera is gone")
	// ErrBusy: another program, or another lane, streams from the camera.
	ErrBusy = errors.New("camera is in use by another program")
	// ErrNotCamera: the node exists and gives no pictures this package can
	// read. Only another setting or another camera helps.
	ErrNotCamera = errors.New("not a camera this program can read")
)

// Options say which camera and what to ask of it.
type Options struct {
	// Device is /dev/v4l/by-id/…, /dev/v4l/by-path/… or a node such as
	// /dev/video0.
	Device string
	// Width and Height in pixels; what the camera gives may differ.
	Width, Height int
	// FPS is pictures a second.
	FPS int
	// Dev and Sys replace /dev and /sys; empty outside of tests.
	Dev, Sys string
}

// Defaults of [Options].
const (
	DefaultWidth  = 1280
	DefaultHeight = 720
	DefaultFPS    = 15
)

const (
	// buffers that the kernel fills in turn: one in our hands, one being
	// filled, two of slack. The library's own default is 256.
	buffers = 4
	// stallAfter is how long a camera may send nothing usable before it
	// counts as gone: slow cameras need up to two seconds for the first
	// picture.
	stallAfter = 5 * time.Second
	// strangerAfter is how long another camera at the configured node is left
	// alone.
	strangerAfter = 20 * time.Second
)

// Device is a camera as configured. It remembers which physical camera it had
// so as to know it again under another node. Safe for concurrent use, though
// one camera can be open only once.
type Device struct {
	opts Options
	find finder
	log  *slog.Logger

	mu    sync.Mutex
	known identity
	// strange is since when another camera sits at the configured node.
	strange time.Time
	// narrow: the bus once had no room for a raw format.
	narrow bool
}

// New checks the options and touches no device.
func New(o Options, log *slog.Logger) (*Device, error) {
	if o.Width == 0 {
		o.Width = DefaultWidth
	}
	if o.Height == 0 {
		o.Height = DefaultHeight
	}
	if o.FPS == 0 {
		o.FPS = DefaultFPS
	}
	switch err := frame.CheckSize(o.Width, o.Height); {
	case o.Device == "":
		return nil, errors.New("camera: no device named")
	case err != nil:
		return nil, fmt.Errorf("camera %s: %w", o.Device, err)
	case o.FPS < 1 || o.FPS > 240:
		return nil, fmt.Errorf("camera %s: %d pictures a second; 1 to 240 are possible", o.Device, o.FPS)
	}
	f := finder{dev: o.Dev, sys: o.Sys}
	if f.dev == "" {
		f.dev = "/dev"
	}
	if f.sys == "" {
		f.sys = "/sys"
	}
	return &Device{opts: o, find: f, log: log}, nil
}

// Open finds the camera, agrees on a format with it and starts it. It takes
// from some milliseconds to about a second; ctx is looked at between the
// steps. Errors wrap [ErrGone], [ErrBusy] or [ErrNotCamera] where they apply.
func (d *Device) Open(ctx context.Context) (*Camera, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	d.mu.Lock()
	known, narrow := d.known, d.narrow
	d.mu.Unlock()
	node, id, stranger, err := d.find.locate(d.opts.Device, known)
	if err != nil {
		return nil, err
	}
	if err := d.admit(stranger); err != nil {
		return nil, err
	}
	c, err := d.start(node, narrow)
	if err != nil {
		if errors.Is(err, errBandwidth) {
			d.mu.Lock()
			d.narrow = true // the next try asks for less
			d.mu.Unlock()
		}
		return nil, fmt.Errorf("camera %s: %w", d.at(node), err)
	}
	if err := ctx.Err(); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	d.mu.Lock()
	d.known = id
	d.mu.Unlock()
	s := c.Stats()
	d.log.Info("camera open", "node", node, "name", s.Name, "format", s.Format,
		"width", s.Width, "height", s.Height, "fps", s.FPS)
	if s.Width != d.opts.Width || s.Height != d.opts.Height {
		d.log.Warn("camera has another picture size than asked",
			"node", node, "asked", fmt.Sprintf("%dx%d", d.opts.Width, d.opts.Height), "got", fmt.Sprintf("%dx%d", s.Width, s.Height))
	}
	return c, nil
}

// admit says whether the camera that was found may be opened. A stranger may
// after a while: when several cameras come back at once, as after a loss of
// power at a hub, the node's old owner may be a moment behind.
func (d *Device) admit(stranger bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !stranger {
		d.strange = time.Time{}
		return nil
	}
	if d.strange.IsZero() {
		d.strange = time.Now()
	}
	if time.Since(d.strange) < strangerAfter {
		return fmt.Errorf("%w: another camera is at %s now; it is taken in %v if the former does not come back",
			ErrGone, d.opts.Device, (strangerAfter - time.Since(d.strange)).Round(time.Second))
	}
	return nil
}

// at names the node, and the configured path where that is another one.
func (d *Device) at(node string) string {
	if node == d.opts.Device {
		return node
	}
	return d.opts.Device + " (" + node + ")"
}

// start does everything that needs the device open and leaves nothing behind
// when it fails.
func (d *Device) start(node string, narrow bool) (*Camera, error) {
	dev, err := webcam.Open(node)
	if err != nil {
		return nil, openError(err)
	}
	closeOnExec(dev)
	stop := func(err error) (*Camera, error) {
		_ = dev.Close() // the reason is err
		return nil, err
	}
	// The library never tells what the driver really agreed to, nor the
	// stride; a descriptor of our own asks.
	truth, err := os.Open(node)
	if err != nil {
		return stop(openError(err))
	}
	defer truth.Close()

	lay, err := negotiate(dev, func() (layout, error) { return currentLayout(truth) },
		asked{uint32(d.opts.Width), uint32(d.opts.Height), uint32(d.opts.FPS), narrow})
	if err != nil {
		return stop(err)
	}
	if err := dev.SetFramerate(float32(d.opts.FPS)); err != nil {
		d.log.Debug("camera keeps its own rate", "node", node, "err", err)
	}
	fps, err := dev.GetFramerate()
	if err != nil {
		fps = 0 // not every driver knows
	}
	name, err := dev.GetName()
	if err != nil {
		name = ""
	}
	if err := dev.SetBufferCount(buffers); err != nil {
		return stop(err)
	}
	if err := dev.StartStreaming(); err != nil {
		forgetBuffers(dev)
		return stop(startError(err))
	}
	c := newCamera(dev, lay, Stats{
		Node: node, Name: name, Format: lay.format.String(),
		Width: lay.width, Height: lay.height, FPS: float64(fps),
	})
	go c.capture()
	return c, nil
}

// openError says what an open that failed means.
func openError(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENXIO), errors.Is(err, unix.ENODEV), errors.Is(err, unix.EIO):
		return fmt.Errorf("%w: open: %w", ErrGone, err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("open: %w (the agent's user must be in the group that owns the node, mostly \"video\")", err)
	case errors.Is(err, unix.EBUSY):
		return fmt.Errorf("%w: open: %w", ErrBusy, err)
	case errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE), errors.Is(err, unix.EINTR), errors.Is(err, unix.ENOMEM):
		return fmt.Errorf("open: %w", err)
	}
	// The library has no sentinel for "no capture device" and "no streaming".
	return fmt.Errorf("%w: open: %w", ErrNotCamera, err)
}
