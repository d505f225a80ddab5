// Package qr reads QR codes: a grey picture in, the texts of its codes out.
//
// It owns everything between pixels and text: threshold, finder patterns,
// sampling, error correction and the character set. It knows nothing of cameras
// (driver/opticalscan brings the two together) nor of what a text means
// (agent/credential). It is the only place that knows a decoder library;
// driver/qr/qrframes below it draws the frames that the demo and the tests use.
//
// How a picture is read, in order, until something is read: local threshold,
// global threshold, local threshold of the negative (light codes on dark). In
// each, finder patterns are sought in every second row and confirmed in three
// directions; the likeliest triples are sampled, judged by the patterns that
// every code must have, and only then decoded.
package qr

import (
	"fmt"

	"gateagent/driver/frame"
)

// Reader reads the codes of a picture. A Reader keeps buffers and is not safe
// for concurrent use; different Readers are independent.
type Reader interface {
	// Read gives the codes in view, those that were read before those that
	// were not. The slice is good until the next Read; the texts are the
	// caller's for good. g is only read.
	//
	// A picture without a code is no error. An error says that g is not what
	// its fields claim, or that the decoder failed in a way it should not; the
	// Reader stays usable.
	Read(g *frame.Gray) ([]Code, error)
}

// Code is one code in view. Distances are in pixels of the picture, (0, 0)
// being the outer corner of its top left pixel.
type Code struct {
	// Text is what the code says, always valid UTF-8 and never empty; nil
	// when a code is in view and could not be read. It is hostile input, at
	// most a few thousand bytes long.
	Text []byte
	// Corners are the outer corners of the symbol without its quiet zone, in
	// the symbol's own order: top left, top right, bottom right, bottom left.
	// They may lie outside the picture.
	Corners [4]Point
	// ModulePixels is the mean width of a module; 0 when not known.
	ModulePixels float64
	// Version is the symbol's version, 1 to 40; a guess when not read.
	Version int
	// Inverted is true for a light code on dark ground, Mirrored for one seen
	// from behind.
	Inverted, Mirrored bool
}

// String tells where the code is and what kind, and nothing of its text, so that
// a stray %v never prints a citizen.
func (c Code) String() string {
	return fmt.Sprintf("QR code version %d, %d bytes, %.1f px a module, at (%.0f, %.0f)",
		c.Version, len(c.Text), c.ModulePixels, c.Corners[0].X, c.Corners[0].Y)
}

// GoString is String, for %#v.
func (c Code) GoString() string { return c.String() }

// Readable says whether the code was read.
func (c Code) Readable() bool { return c.Text != nil }

// Point is a place in the picture.
type Point struct{ X, Y float64 }
