// Package qrprint draws a text as a QR code for paper and for phones: sharp
// modules, black on white, with the quiet zone that readers need.
//
// It owns the picture and nothing of what the text says. Codes in scenes, for
// trying readers, are drawn by driver/qr/qrframes.
package qrprint

import (
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode/decoder"
	"github.com/makiuchi-d/gozxing/qrcode/encoder"
)

// QuietZone is the white border, in modules (ISO/IEC 18004 §6.3.8).
const QuietZone = 4

// Code is the symbol of a text, at error correction M.
type Code struct {
	Version int // 1 to 40
	size    int // modules a side
	dark    func(x, y int) bool
}

// Encode makes the symbol of a text, in the smallest version that holds it.
// Digits alone, and text of the alphanumeric mode, are packed more tightly.
func Encode(text string) (Code, error) {
	q, err := encoder.Encoder_encode(text, decoder.ErrorCorrectionLevel_M, map[gozxing.EncodeHintType]any{})
	if err != nil {
		return Code{}, fmt.Errorf("encode %d bytes as a QR code: %w", len(text), err)
	}
	m := q.GetMatrix()
	return Code{
		Version: q.GetVersion().GetVersionNumber(), size: m.GetWidth(),
		dark: func(x, y int) bool { return m.Get(x, y) == 1 },
	}, nil
}

// Image draws the code with so many pixels a module.
func (c Code) Image(pixels int) image.Image {
	side := (c.size + 2*QuietZone) * pixels
	img := image.NewPaletted(image.Rect(0, 0, side, side), color.Palette{color.White, color.Black})
	for y := range c.size {
		for x := range c.size {
			if !c.dark(x, y) {
				continue
			}
			left, top := (x+QuietZone)*pixels, (y+QuietZone)*pixels
			for row := top; row < top+pixels; row++ {
				for col := left; col < left+pixels; col++ {
					img.Pix[row*img.Stride+col] = 1
				}
			}
		}
	}
	return img
}

// PNG writes the picture as PNG, with one bit a pixel.
func (c Code) PNG(w io.Writer, pixels int) error {
	if err := png.Encode(w, c.Image(pixels)); err != nil {
		return fmt.Errorf("write the picture: %w", err)
	}
	return nil
}
