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
		if err := serve(os.Stdin, os.Stdout, &plain{}); err != nil {
			fmt.Fprintln(os.Stderr, "error:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// plain is gozxing as its README has it, trying hard.
type plain struct{ result *gozxing.Result }

var tryHarder = map[gozxing.DecodeHintType]any{gozxing.DecodeHintType_TRY_HARDER: true}

func (p *plain) read(g *frame.Gray) (err error) {
	p.result = nil
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("gozxing: %v", r)
		}
	}()
	bitmap, err := gozxing.NewBinaryBitmapFromImage(&image.Gray{Pix: g.Pix, Stride: g.Stride, Rect: image.Rect(0, 0, g.Width, g.Height)})
	if err != nil {
		return err
	}
	p.result, err = qrcode.NewQRCodeReader().Decode(bitmap, tryHarder)
	return err // also when there is no code: it is not read then
}

func (p *plain) texts() []string {
	if p.result == nil {
		return nil
	}
	return []string{p.result.GetText()}
}

func (*plain) forget() {}
