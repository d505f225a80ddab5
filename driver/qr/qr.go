// Package qr reads QR codes: a grey picture in, the texts of its codes out.
//
// It owns everything between pixels and modules: threshold, finder patterns,
// geometry, sampling. What the modules say is driver/qr/symbology's, below it.
// It knows nothing of cameras (driver/opticalscan brings the two together) nor
// of what a text means (agent/credential). driver/qr/qrframes draws the frames
// that the demo and the tests use.
//
// How a picture is read, each step with the file it lives in; README.md shows
// them in pictures:
//
//   - blocks: a threshold for each square of 8×8 pixels, and where there is
//     contrast at all;
//   - scan: in every third row, runs in the ratio 1:1:3:1:1, dark or light in
//     the middle, borne out by the column through them;
//   - rays: each such place is examined along lines in all directions, on which
//     the edges of a finder pattern lie at 1.5, 2.5 and 3.5 modules, whatever
//     turn and tilt; what passes is a finder with a centre finer than a pixel;
//   - triples, pairs: three finders that lie as those of a code do, or two and
//     the places where the third can be;
//   - fit, mesh: version, perspective and bend are moved until all modules whose
//     colour the standard fixes fit the picture best, its light taken out; how
//     well they then fit is the judge of what is a code;
//   - sample, equalise: the modules, measured, sharpened in several ways and
//     equalised, until error correction is content;
//   - second: where that reads nothing and leaves evidence of a code, the place
//     is looked at again, at full strength;
//   - track: the next picture is searched first where this one had a code.
//
// Each of them is bounded, so that no picture costs more than a set multiple of
// an empty one. Once buffers have grown, a picture without a text costs no
// allocation; one with it the text, and what gozxing takes to restore blocks.
package qr

import (
	"fmt"

	"gateagent/driver/frame"
)

// Reader reads the codes of pictures that follow each other. A Reader keeps
// buffers and remembers where codes were, and is not safe for concurrent use;
// different Readers are independent.
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
	// Figures tell how well the code is seen; all 0 for one that was not read.
	Figures Figures
	// Version is the symbol's version, 1 to 40; a guess when not read.
	Version int
	// Part and Parts number the codes of a message that is spread over several
	// (structured append), Part from 1: Text is only a part of it. Both are 0
	// for a message of its own.
	Part, Parts int
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
