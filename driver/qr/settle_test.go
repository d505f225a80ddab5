package qr

import (
	"testing"

	"gateagent/driver/qr/qrframes"
)

// TestEasyCodesNeedNoFit reads sharp codes, straight and tilted: what moves all
// corners, or needs all of a patch without its light, is for others.
func TestEasyCodesNeedNoFit(t *testing.T) {
	for _, c := range []struct {
		name       string
		version    int
		yaw, pitch float64
		settles    bool
	}{
		{"straight, without alignment pattern", 1, 0, 0, false},
		{"straight", 4, 0, 0, false},
		{"tilted", 4, 25, -20, true},
		{"tilted, its timing patterns telling the perspective", 10, -25, 20, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := draw(t, qrframes.Scene{
				Seed: 3, Subject: qrframes.Card, Payload: "Mẫu|0123", Version: c.version,
				View: qrframes.View{
					Width: 640, Height: 480, ModulePixels: 5, X: 0.5, Y: 0.5, Roll: 10, Yaw: c.yaw, Pitch: c.pitch,
					Blur: 0.5, Noise: 3, Light: 1,
				},
			})
			r := NewReader().(*reader)
			codes := read(t, r, g)
			if len(codes) != 1 || string(codes[0].Text) != "Mẫu|0123" {
				t.Fatalf("read %v", codes)
			}
			if r.fitter.patch.ready {
				t.Error("a patch was developed")
			}
			tr := &r.triples[0]
			r.fitter.guess(tr, 0)
			m, before := r.fitter.guessed()
			start := m.quad[2]
			moved := r.fitter.settle(&m, r.fitter.guesses[0].score)
			if moved != c.settles || moved != (m.quad[2] != start) {
				t.Errorf("settled: %v, from %v to %v", moved, start, m.quad[2])
			}
			after := r.fitter.patch.score(&m, r.fitter.marksOf(c.version).points)
			if moved && after < before+0.05 || after < sharp {
				t.Errorf("the model fits by %.2f, by %.2f before", after, before)
			}
		})
	}
}
