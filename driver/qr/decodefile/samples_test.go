package decodefile

import (
	"bytes"
	"flag"
	"fmt"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"testing"

	"gateagent/driver/frame"
	"gateagent/driver/frame/mjpeg"
	"gateagent/driver/qr"
	"gateagent/driver/qr/qrframes"
)

var update = flag.Bool("update", false, "write the sample pictures anew (all but the WebP one: cwebp -q 80 card.png -o card.webp)")

// sampleText is what the code of every sample says: the form of a card's code,
// of a person who does not exist.
const sampleText = "001099000000||Nguyễn Thị Thử Nghiệm|01011999|Nữ|Số 1, Đường Tưởng Tượng, Tỉnh Mẫu|02022022"

// TestSampleFiles reads the pictures of testdata, one of each kind of file. They
// are also what the cross-built programs are tried on.
func TestSampleFiles(t *testing.T) {
	scene := qrframes.Scene{Seed: 8, Subject: qrframes.Card, Payload: sampleText, View: qrframes.View{
		Width: 480, Height: 360, ModulePixels: 4.5, X: 0.5, Y: 0.5, Roll: 7, Yaw: 5, Blur: 0.6, Noise: 2, Light: 0.95, Slope: 0.1,
	}}
	if *update {
		writeSamples(t, scene)
	}
	for _, name := range []string{"card.png", "card.jpg", "card.webp", "card.pgm"} {
		t.Run(name, func(t *testing.T) {
			lines, err := New(qr.NewReader(), 1).File(filepath.Join("testdata", name))
			if err != nil {
				t.Fatal(err)
			}
			if len(lines) != 1 || lines[0].Payload != sampleText {
				t.Errorf("read %+v", lines)
			}
		})
	}
	lines, err := New(qr.NewReader(), 1).File(filepath.Join("testdata", "no-code.png"))
	if err != nil || len(lines) != 1 || lines[0].Found || lines[0].Unreadable {
		t.Errorf("no-code.png: %+v, %v", lines, err)
	}
}

func writeSamples(t *testing.T, scene qrframes.Scene) {
	var g frame.Gray
	var jpg, card, none bytes.Buffer
	render := func(s qrframes.Scene, to *bytes.Buffer) {
		if err := qrframes.NewRenderer().Render(s, &g); err != nil {
			t.Fatal(err)
		}
		if err := png.Encode(to, &image.Gray{Pix: g.Pix, Stride: g.Stride, Rect: image.Rect(0, 0, g.Width, g.Height)}); err != nil {
			t.Fatal(err)
		}
	}
	render(scene, &card)
	if err := mjpeg.Encode(&jpg, &g, 85); err != nil {
		t.Fatal(err)
	}
	pgm := append(fmt.Appendf(nil, "P5 %d %d 255\n", g.Width, g.Height), g.Pix...)
	scene.Payload = ""
	render(scene, &none)
	for name, data := range map[string][]byte{
		"card.png": card.Bytes(), "card.jpg": jpg.Bytes(), "card.pgm": pgm, "no-code.png": none.Bytes(),
	} {
		if err := os.WriteFile(filepath.Join("testdata", name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
