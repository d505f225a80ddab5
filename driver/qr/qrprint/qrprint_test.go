package qrprint

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"strings"
	"testing"

	"gateagent/driver/frame"
	"gateagent/driver/qr"
)

// TestReadBack: our own reader reads what is drawn, and the quiet zone is white.
func TestReadBack(t *testing.T) {
	for name, text := range map[string]string{
		"a pass":      "GP1:" + strings.Repeat("6BF*Z9 %$", 28),
		"a long pass": "GP1:" + strings.Repeat("6BF*Z9 %$", 150),
		"text":        "xin chào",
	} {
		c, err := Encode(text)
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := c.PNG(&b, 4); err != nil {
			t.Fatal(err)
		}
		img, err := png.Decode(bytes.NewReader(b.Bytes()))
		if err != nil {
			t.Fatal(err)
		}
		side := img.Bounds().Dx()
		if want := (17 + 4*c.Version + 2*QuietZone) * 4; side != want || img.Bounds().Dy() != want {
			t.Errorf("%s: %v, want %d a side", name, img.Bounds(), want)
		}
		g := grey(img)
		for i, v := range g.Pix {
			x, y := i%side, i/side
			if edge := min(x, y, side-1-x, side-1-y) < 4*QuietZone; edge && v != 255 || v != 0 && v != 255 {
				t.Fatalf("%s: grey %d at %d, %d", name, v, x, y)
			}
		}
		codes, err := qr.NewReader().Read(g)
		if err != nil || len(codes) != 1 || string(codes[0].Text) != text {
			t.Errorf("%s (version %d): %d codes, %v", name, c.Version, len(codes), err)
		}
	}
	if _, err := Encode(strings.Repeat("A", 4000)); err == nil {
		t.Error("4,000 characters were encoded")
	}
}

func grey(img image.Image) *frame.Gray {
	r := img.Bounds()
	g := &frame.Gray{Pix: make([]byte, r.Dx()*r.Dy()), Stride: r.Dx(), Width: r.Dx(), Height: r.Dy()}
	for y := range g.Height {
		for x := range g.Width {
			g.Pix[y*g.Stride+x] = color.GrayModel.Convert(img.At(x, y)).(color.Gray).Y
		}
	}
	return g
}
