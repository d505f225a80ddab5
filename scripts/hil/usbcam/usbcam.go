// Package usbcam is a USB Video Class camera in software. It speaks the USB/IP
// protocol, so that the kernel's own vhci-hcd takes it for a plugged-in device
// and the kernel's own uvcvideo drives it.
//
// It owns the descriptors, the control requests and the stream of one camera;
// attaching it to a kernel is the caller's affair. What it shows is set by
// [Camera.Show] and changes with the next frame.
//
// Sources: USB Video Class 1.0 (descriptors §3, requests §4, payloads §2.4.3),
// USB 2.0 chapter 9, Documentation/usb/usbip_protocol.rst of the kernel.
package usbcam

import (
	"fmt"
	"sync"
	"time"
)

// Kind is a way to carry pictures.
type Kind string

// The kinds this camera can offer.
const (
	MJPG Kind = "MJPG"
	YUYV Kind = "YUYV"
)

// Mode is a size that a camera offers in one kind.
type Mode struct {
	Kind          Kind
	Width, Height int
	FPS           int
}

// Spec is a camera model.
type Spec struct {
	Vendor, Product uint16
	Maker, Name     string
	Serial          string // empty: the camera has none, like most
	Modes           []Mode
}

// Picture gives one frame as the camera sends it: a JPEG, or YUYV of the
// mode's size. It is called once a frame and must be quick.
type Picture func(m Mode) []byte

// Camera is one plugged-in camera.
type Camera struct {
	spec     Spec
	kinds    []Kind // in the order of their format descriptors
	interval map[Mode]uint32

	mu      sync.Mutex
	picture Picture
	now     Mode // as committed by the driver
	probed  Mode
	frames  uint64
}

// New checks the model.
func New(s Spec, show Picture) (*Camera, error) {
	c := &Camera{spec: s, picture: show, interval: map[Mode]uint32{}}
	for _, m := range s.Modes {
		if m.Kind != MJPG && m.Kind != YUYV {
			return nil, fmt.Errorf("camera mode of kind %q", m.Kind)
		}
		if m.Width < 1 || m.Width > 0xffff || m.Height < 1 || m.Height > 0xffff || m.FPS < 1 {
			return nil, fmt.Errorf("camera mode %+v is impossible", m)
		}
		c.interval[m] = uint32(intervalUnit / m.FPS)
	}
	for _, k := range []Kind{MJPG, YUYV} {
		if len(c.modes(k)) > 0 {
			c.kinds = append(c.kinds, k)
		}
	}
	if len(c.kinds) == 0 {
		return nil, fmt.Errorf("camera %s without a mode", s.Name)
	}
	c.now = c.modes(c.kinds[0])[0]
	c.probed = c.now
	return c, nil
}

// modes lists the sizes of a kind in the order of their descriptors.
func (c *Camera) modes(k Kind) (all []Mode) {
	for _, m := range c.spec.Modes {
		if m.Kind == k {
			all = append(all, m)
		}
	}
	return all
}

// Show changes the picture.
func (c *Camera) Show(p Picture) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.picture = p
}

// Frames says how many frames were sent whole.
func (c *Camera) Frames() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.frames
}

// frame renders the next frame and says how long it lasts.
func (c *Camera) frame() ([]byte, time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.picture(c.now), time.Duration(c.interval[c.now]) * 100 * time.Nanosecond
}

// intervalUnit is what UVC counts time in: 100 ns.
const intervalUnit = 10_000_000
