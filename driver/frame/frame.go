// Package frame holds the one value that cameras hand to the QR reader: a
// picture in shades of grey.
//
// It owns no device, no file format and no goroutine. Image files are read by
// driver/frame/imagefile, cameras live in driver/v4l2cam and
// driver/replaycam, the reader in driver/qr.
package frame

import (
	"errors"
	"fmt"
	"time"
)

// MaxPixels bounds a picture everywhere: 16 million pixels, twice what a 4K
// camera gives. What announces more is refused before memory is asked for it.
const MaxPixels = 16 << 20

// MaxSide is the longest side of a picture, in pixels.
const MaxSide = 1 << 15

// Gray is a picture of 8-bit brightness, 0 black to 255 white.
//
// Pixel (x, y), with (0, 0) at the top left, is Pix[y*Stride+x]. Stride is at
// least Width; what lies between the two is padding of no meaning.
type Gray struct {
	Pix           []byte
	Width, Height int // pixels
	Stride        int // bytes from one row to the next
	// Taken is when the picture was handed over by the device, or by whatever
	// plays the device's part.
	Taken time.Time
}

// ErrTooLarge is returned for a picture beyond [MaxPixels] or [MaxSide].
var ErrTooLarge = errors.New("picture too large")

// CheckSize refuses sizes that no camera has: empty, negative, or beyond
// [MaxPixels] or [MaxSide] (the latter is [ErrTooLarge]).
func CheckSize(width, height int) error {
	switch {
	case width <= 0 || height <= 0:
		return fmt.Errorf("picture of %d×%d pixels is empty", width, height)
	case width > MaxSide || height > MaxSide || int64(width)*int64(height) > MaxPixels:
		return fmt.Errorf("%w: %d×%d pixels", ErrTooLarge, width, height)
	}
	return nil
}

// New makes a black picture without padding. Width and height must pass
// [CheckSize].
func New(width, height int) *Gray {
	return &Gray{Pix: make([]byte, width*height), Width: width, Height: height, Stride: width}
}

// Check says whether g is what its fields claim: a size that passes
// [CheckSize], a stride of at least a row and enough bytes for all rows.
func (g *Gray) Check() error {
	if err := CheckSize(g.Width, g.Height); err != nil {
		return err
	}
	if g.Stride < g.Width {
		return fmt.Errorf("stride of %d bytes is shorter than a row of %d pixels", g.Stride, g.Width)
	}
	if need := int64(g.Height-1)*int64(g.Stride) + int64(g.Width); int64(len(g.Pix)) < need {
		return fmt.Errorf("%d bytes for a picture that needs %d", len(g.Pix), need)
	}
	return nil
}

// Row gives the pixels of row y, without padding. It shares memory with g.
func (g *Gray) Row(y int) []byte {
	at := y * g.Stride
	return g.Pix[at : at+g.Width : at+g.Width]
}

// Reset makes g a picture of the given size without padding, reusing its
// memory where that suffices. The pixels keep what they held.
func (g *Gray) Reset(width, height int) {
	if n := width * height; cap(g.Pix) < n {
		g.Pix = make([]byte, n)
	} else {
		g.Pix = g.Pix[:n]
	}
	g.Width, g.Height, g.Stride = width, height, width
}

// CopyFrom makes g an unpadded copy of src, reusing its memory.
func (g *Gray) CopyFrom(src *Gray) {
	g.Reset(src.Width, src.Height)
	for y := range src.Height {
		copy(g.Row(y), src.Row(y))
	}
	g.Taken = src.Taken
}
