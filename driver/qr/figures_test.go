package qr

import (
	"math"
	"testing"

	"gateagent/driver/qr/qrframes"
)

func TestFigures(t *testing.T) {
	view := qrframes.View{Width: 640, Height: 480, ModulePixels: 5, X: 0.5, Y: 0.5, Blur: 0.5, Noise: 2, Light: 1}
	figures := func(change func(*qrframes.Scene)) Figures {
		t.Helper()
		s := qrframes.Scene{Subject: qrframes.Card, Payload: "figures", Version: 7, View: view}
		change(&s)
		codes := read(t, NewReader(), draw(t, s))
		if len(codes) != 1 || !codes[0].Readable() {
			t.Fatalf("%d codes", len(codes))
		}
		return codes[0].Figures
	}
	sharp := figures(func(*qrframes.Scene) {})
	if sharp.Blur > 0.3 || sharp.Contrast < 80 || sharp.Light < 120 || sharp.Light > 255 {
		t.Errorf("a good code shows %+v", sharp)
	}
	for _, sigma := range []float64{1.5, 2} {
		got := figures(func(s *qrframes.Scene) { s.View.Blur = sigma }).Blur
		if want := sigma / view.ModulePixels; math.Abs(got-want) > 0.12 {
			t.Errorf("a blur of %.2f modules shows as %.2f", want, got)
		}
	}
	dim := figures(func(s *qrframes.Scene) { s.View.Light = 0.5 })
	if dim.Light > 0.8*sharp.Light || dim.Contrast > 0.8*sharp.Contrast {
		t.Errorf("half the light shows %+v, all of it %+v", dim, sharp)
	}
}
