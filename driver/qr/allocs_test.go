package qr

import (
	"testing"

	"gateagent/driver/frame"
	"gateagent/driver/qr/qrframes"
)

// TestReadingAllocatesTheTextsAlone reads frames of many kinds, each as if nothing
// had been seen before, with the buffers that reading all of them has left.
func TestReadingAllocatesTheTextsAlone(t *testing.T) {
	if raceDetector {
		t.Skip("allocations say nothing under the race detector")
	}
	type shown struct {
		name string
		g    *frame.Gray
	}
	var frames []shown
	add := func(name string, s qrframes.Scene) { frames = append(frames, shown{name, draw(t, s)}) }
	kinds := map[string]bool{
		"size": true, "noise": true, "perspective": true, "dense": true, "small symbol": true, "two codes": true, "motion": true,
		"curve": true, "contrast": true, "glare": true, "scratches": true, "fingers": true, "inverted phone": true, "mix 720": true,
		"empty textured": true, "finders without a code": true, "empty noisy": true, "card without a code": true,
	}
	for _, c := range qrframes.Categories() {
		if !kinds[c.Name] {
			continue
		}
		level := c.Levels[len(c.Levels)/2]
		if c.Short {
			add(c.Name, c.Scene(5, level, 0, "12345678901234567"))
		} else {
			add(c.Name, c.Scene(5, level, 0, "001099000001||Nguyễn Thị Thử|01011999|Nữ|Tỉnh Mẫu", "001099000002||Trần Văn Mẫu"))
		}
	}
	at := qrframes.View{Width: 640, Height: 480, ModulePixels: 6, X: 0.5, Y: 0.5, Blur: 0.4, Light: 1}
	for _, damage := range []float64{0.05, 0.1, 0.15, 0.2, 0.3, qrframes.Ruined} {
		add("damaged", qrframes.Scene{Seed: 9, Subject: qrframes.Card, Payload: "Mẫu|0123", Version: 7, Damage: damage, View: at})
	}
	add("curved", qrframes.Scene{Seed: 9, Subject: qrframes.Card, Payload: "Mẫu|0123", Version: 7, View: at, Faults: []qrframes.Fault{qrframes.Curve(0.3)}})

	r := NewReader().(*reader)
	cold := func(g *frame.Gray) (texts int) {
		r.tracker.tracks = r.tracker.tracks[:0]
		for _, c := range read(t, r, g) {
			if c.Readable() {
				texts++
			}
		}
		return texts
	}
	for range 2 {
		for _, f := range frames {
			cold(f.g)
		}
	}
	texts, allocs := 0, 0.0
	for _, f := range frames {
		n := 0
		a := testing.AllocsPerRun(1, func() { n = cold(f.g) })
		if a > float64(n) {
			t.Errorf("%s: %v allocations, %d texts", f.name, a, n)
		}
		texts, allocs = texts+n, allocs+a
	}
	t.Logf("%d frames, %d texts, %v allocations", len(frames), texts, allocs)
	if texts < len(frames)/2 {
		t.Errorf("%d texts in %d frames: too few to tell", texts, len(frames))
	}
}
