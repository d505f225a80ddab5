// Package mjpeg turns motion JPEG into grey pictures: single frames as cameras
// send them, and streams of frames as files and pipes hold them.
//
// It owns the two habits of cheap cameras that image/jpeg does not forgive:
// frames without Huffman tables (the AVI convention: the reader is to use the
// example tables of the standard), and streams that begin, break off or resume
// in the middle of a frame. Opening devices and files, pacing and dropping are
// the cameras' affair.
package mjpeg

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"io"

	"gateagent/driver/frame"
)

// MaxFrame is the largest compressed frame accepted, in bytes. A 4K frame at
// the best quality stays below it.
const MaxFrame = 8 << 20

// Decode decompresses one JPEG picture to grey, reusing the memory of dst. The
// brightness is the Y plane as sent. Taken is left alone.
//
// Sizes beyond [frame.CheckSize] and files beyond [MaxFrame] are refused
// before memory is asked for them. What lies behind the end of the picture
// does not matter; a picture without Huffman tables is given the standard's.
func Decode(data []byte, dst *frame.Gray) error {
	if len(data) > MaxFrame {
		return fmt.Errorf("decode JPEG: %d bytes are more than %d", len(data), MaxFrame)
	}
	data = WithHuffmanTables(data)
	cfg, err := jpeg.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		return fmt.Errorf("decode JPEG header: %w", err)
	}
	if err := frame.CheckSize(cfg.Width, cfg.Height); err != nil {
		return fmt.Errorf("decode JPEG: %w", err)
	}
	img, err := jpeg.Decode(bytes.NewReader(data))
	if err != nil {
		return fmt.Errorf("decode JPEG: %w", err)
	}
	return fromImage(img, dst)
}

// fromImage copies the brightness of what image/jpeg returns.
func fromImage(img image.Image, dst *frame.Gray) error {
	b := img.Bounds()
	dst.Reset(b.Dx(), b.Dy())
	switch img := img.(type) {
	case *image.YCbCr:
		for y := range dst.Height {
			copy(dst.Row(y), img.Y[img.YOffset(b.Min.X, b.Min.Y+y):])
		}
	case *image.Gray:
		for y := range dst.Height {
			copy(dst.Row(y), img.Pix[img.PixOffset(b.Min.X, b.Min.Y+y):])
		}
	case *image.RGBA, *image.CMYK: // Adobe's forms; no camera sends them
		for y := range dst.Height {
			row := dst.Row(y)
			for x := range row {
				row[x] = color.GrayModel.Convert(img.At(b.Min.X+x, b.Min.Y+y)).(color.Gray).Y
			}
		}
	default:
		return errors.New("decode JPEG: unexpected colour form")
	}
	return nil
}

// Encode writes g as one JPEG picture of the given quality, 1 to 100.
func Encode(w io.Writer, g *frame.Gray, quality int) error {
	if err := g.Check(); err != nil {
		return fmt.Errorf("encode JPEG: %w", err)
	}
	img := &image.Gray{Pix: g.Pix, Stride: g.Stride, Rect: image.Rect(0, 0, g.Width, g.Height)}
	if err := jpeg.Encode(w, img, &jpeg.Options{Quality: quality}); err != nil {
		return fmt.Errorf("encode JPEG: %w", err)
	}
	return nil
}
