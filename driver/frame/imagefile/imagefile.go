// Package imagefile reads pictures from files as a grey camera would have
// given them: PNG, JPEG, WebP and PGM, told apart by their content.
//
// It owns the bounds (nothing larger than [frame.CheckSize] allows is given
// memory) and the way from colour to grey: the Y plane where the file has one,
// else BT.601 luma; what is transparent lies on white paper.
package imagefile

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/image/webp"

	"gateagent/driver/frame"
	"gateagent/driver/frame/mjpeg"
)

// MaxFile is the largest file read, in bytes.
const MaxFile = 64 << 20

// ErrFormat is returned for files that are none of the known kinds.
var ErrFormat = errors.New("not a PNG, JPEG, WebP or PGM picture")

// Known says whether the name ends like a picture this package reads.
func Known(name string) bool {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".png", ".jpg", ".jpeg", ".webp", ".pgm":
		return true
	}
	return false
}

// Load reads the picture file at path into dst, reusing its memory. Taken is
// left alone.
func Load(path string, dst *frame.Gray) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxFile+1))
	if err != nil {
		return err
	}
	if len(data) > MaxFile {
		return fmt.Errorf("%s: larger than %d bytes", path, MaxFile)
	}
	if err := Decode(data, dst); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// Decode reads the picture held by data into dst, reusing its memory.
func Decode(data []byte, dst *frame.Gray) error {
	switch {
	case bytes.HasPrefix(data, []byte("\x89PNG\r\n\x1a\n")):
		return decode("PNG", data, png.DecodeConfig, png.Decode, dst)
	case bytes.HasPrefix(data, []byte("\xff\xd8")):
		return mjpeg.Decode(data, dst)
	case len(data) >= 12 && string(data[:4]) == "RIFF" && string(data[8:12]) == "WEBP":
		return decode("WebP", data, webp.DecodeConfig, webp.Decode, dst)
	case len(data) >= 2 && data[0] == 'P' && (data[1] == '5' || data[1] == '2'):
		return decodePGM(data, dst)
	}
	return ErrFormat
}

func decode(kind string, data []byte,
	config func(io.Reader) (image.Config, error),
	picture func(io.Reader) (image.Image, error), dst *frame.Gray,
) error {
	cfg, err := config(bytes.NewReader(data))
	if err != nil {
		return fmt.Errorf("decode %s header: %w", kind, err)
	}
	if err := frame.CheckSize(cfg.Width, cfg.Height); err != nil {
		return fmt.Errorf("decode %s: %w", kind, err)
	}
	img, err := picture(bytes.NewReader(data))
	if err != nil {
		return fmt.Errorf("decode %s: %w", kind, err)
	}
	// A WebP file names its size twice; the canvas may differ from the picture.
	if err := frame.CheckSize(img.Bounds().Dx(), img.Bounds().Dy()); err != nil {
		return fmt.Errorf("decode %s: %w", kind, err)
	}
	toGray(img, dst)
	return nil
}

// toGray turns any picture into grey. The common forms have their own loops;
// the last one serves them all, slowly.
func toGray(img image.Image, dst *frame.Gray) {
	b := img.Bounds()
	dst.Reset(b.Dx(), b.Dy())
	for y := range dst.Height {
		row := dst.Row(y)
		switch img := img.(type) {
		case *image.Gray:
			copy(row, img.Pix[img.PixOffset(b.Min.X, b.Min.Y+y):])
		case *image.YCbCr:
			copy(row, img.Y[img.YOffset(b.Min.X, b.Min.Y+y):])
		case *image.RGBA: // alpha is multiplied in already
			src := img.Pix[img.PixOffset(b.Min.X, b.Min.Y+y):]
			for x := range row {
				p := src[4*x : 4*x+4]
				row[x] = luma(uint32(p[0]), uint32(p[1]), uint32(p[2])) + (255 - p[3])
			}
		case *image.NRGBA:
			src := img.Pix[img.PixOffset(b.Min.X, b.Min.Y+y):]
			for x := range row {
				p := src[4*x : 4*x+4]
				row[x] = onWhite(luma(uint32(p[0]), uint32(p[1]), uint32(p[2])), p[3])
			}
		case *image.NYCbCrA:
			luminance := img.Y[img.YOffset(b.Min.X, b.Min.Y+y):]
			alpha := img.A[img.AOffset(b.Min.X, b.Min.Y+y):]
			for x := range row {
				row[x] = onWhite(luminance[x], alpha[x])
			}
		default:
			for x := range row {
				c := color.NRGBAModel.Convert(img.At(b.Min.X+x, b.Min.Y+y)).(color.NRGBA)
				row[x] = onWhite(luma(uint32(c.R), uint32(c.G), uint32(c.B)), c.A)
			}
		}
	}
}

// luma is BT.601 in 16-bit fixed point; the weights add up to 65536.
func luma(r, g, b uint32) byte { return byte((19595*r + 38470*g + 7471*b + 1<<15) >> 16) }

// onWhite lays a pixel of brightness v and opacity alpha on white.
func onWhite(v, alpha byte) byte {
	return byte((uint32(v)*uint32(alpha) + 255*(255-uint32(alpha)) + 127) / 255)
}
