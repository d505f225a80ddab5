package main

import (
	"fmt"
	"image"
	"os"
	"testing"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"

	"gateagent/driver/frame"
)

// TestMain makes the test program a reader when it is asked: gozxing is a peer
// here, and nothing but driver/qr and tests may use it.
func TestMain(m *testing.M) {
	if os.Getenv(gozxingEnv) == plainGozxing {
		if err := serve(os.Stdin, os.Stdout, plain{}); err != nil {
			fmt.Fprintln(os.Stderr, "error:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// plain is gozxing as its README has it, trying hard.
type plain struct{}

var tryHarder = map[gozxing.DecodeHintType]any{gozxing.DecodeHintType_TRY_HARDER: true}

func (plain) read(g *frame.Gray) (texts []string, err error) {
	defer func() {
		if p := recover(); p != nil {
			texts, err = nil, fmt.Errorf("gozxing: %v", p)
		}
	}()
	bitmap, err := gozxing.NewBinaryBitmapFromImage(&image.Gray{Pix: g.Pix, Stride: g.Stride, Rect: image.Rect(0, 0, g.Width, g.Height)})
	if err != nil {
		return nil, err
	}
	result, err := qrcode.NewQRCodeReader().Decode(bitmap, tryHarder)
	if err != nil {
		return nil, err
	}
	return []string{result.GetText()}, nil
}

func (plain) forget() {}
