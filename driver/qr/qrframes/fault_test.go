package qrframes

import (
	"bytes"
	"maps"
	"math"
	"slices"
	"testing"

	"gateagent/driver/frame"
)

// allFaults has each kind once, strong enough to be seen.
var allFaults = map[string]Fault{
	"blur": Blur(0.6), "coloured": Coloured(0.4), "contrast": Contrast(0.4), "curve": Curve(0.3),
	"defocus": Defocus(1), "exposure": Exposure(-1), "fingers": Fingers(0.1), "flicker": Flicker(0.5),
	"glare": Glare(0.1), "gradient": Gradient(2), "halos": Halos(2), "hologram": Hologram(0.7),
	"jpeg": JPEG(20), "laminate": Laminate(0.7), "moire": Moire(0.4), "motion": Motion(1),
	"quiet zone": QuietZone(0), "rolling shutter": RollingShutter(5), "scratches": Scratches(4),
	"screen bands": ScreenBands(0.6), "shadow": Shadow(0.6), "sleeve": Sleeve(0.8), "worn": Worn(0.8),
}

func small(f ...Fault) Scene {
	return Scene{
		Seed: 7, Subject: Card, Payload: "lỗi|0123456789", Version: 4, Faults: f,
		View: View{Width: 320, Height: 240, ModulePixels: 4, X: 0.5, Y: 0.5, Roll: 5, Blur: 0.5, Noise: 2, Light: 1},
	}
}

func render(t *testing.T, r *Renderer, s Scene) []byte {
	t.Helper()
	var g frame.Gray
	if err := r.Render(s, &g); err != nil {
		t.Fatal(err)
	}
	return g.Pix
}

func TestFaultsAreSeenAndRepeatable(t *testing.T) {
	shared := NewRenderer()
	// The way of a fault that does nothing: edges are drawn finer on it.
	without := render(t, shared, small(Exposure(0)))
	for i, name := range slices.Sorted(maps.Keys(allFaults)) {
		if testing.Short() && i%5 != 0 {
			continue
		}
		f := allFaults[name]
		t.Run(name, func(t *testing.T) {
			got := render(t, shared, small(f))
			if !bytes.Equal(got, render(t, NewRenderer(), small(f))) {
				t.Error("another renderer draws it otherwise")
			}
			differ := 0
			for i := range got {
				if math.Abs(float64(got[i])-float64(without[i])) > 8 {
					differ++
				}
			}
			if differ < 100 {
				t.Errorf("only %d pixels are changed", differ)
			}
		})
	}
}

func TestASceneOfAllFaultsIsDrawn(t *testing.T) {
	var all []Fault
	for _, f := range allFaults {
		all = append(all, f)
	}
	s := small(all...)
	beside := small()
	beside.View.X = 0.9
	s.Beside, s.Backdrop = &beside, Foliage
	subjects := []Subject{Card, Nothing, Phone}
	if testing.Short() {
		subjects = subjects[:1]
		s.View.Width, s.View.Height, s.View.ModulePixels = 200, 150, 2.5
	}
	for _, subject := range subjects {
		s.Subject = subject
		render(t, NewRenderer(), s)
	}
}

func TestOpticsKeepTheLight(t *testing.T) {
	for name, spread := range map[string]func(*plane){
		"gauss":           func(p *plane) { p.gauss(1.7) },
		"small disc":      func(p *plane) { p.disc(0.7) },
		"disc":            func(p *plane) { p.disc(1) },
		"large disc":      func(p *plane) { p.disc(6.3) },
		"smear":           func(p *plane) { p.smear(3.3, -2.1) },
		"smear to a side": func(p *plane) { p.smear(7, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			const w, h = 41, 37
			flat := plane{w: w, h: h, pix: make([]uint16, w*h), spare: make([]uint16, w*h)}
			point := plane{w: w, h: h, pix: make([]uint16, w*h), spare: make([]uint16, w*h)}
			for i := range flat.pix {
				flat.pix[i] = 100 * unit
			}
			const light = 60000
			point.pix[18*w+20] = light
			spread(&flat)
			spread(&point)
			for i, v := range flat.pix {
				if v < 100*unit-2 || v > 100*unit+2 {
					t.Fatalf("pixel %d of an even field became %d", i, v)
				}
			}
			sum, x, y := 0.0, 0.0, 0.0
			for i, v := range point.pix {
				sum += float64(v)
				x += float64(v) * float64(i%w)
				y += float64(v) * float64(i/w)
			}
			if math.Abs(sum/light-1) > 0.01 || math.Abs(x/sum-20) > 0.05 || math.Abs(y/sum-18) > 0.05 {
				t.Errorf("%.3f of a point's light, at %.2f, %.2f, want all at 20, 18", sum/light, x/sum, y/sum)
			}
			if point.pix[18*w+20] == light {
				t.Error("nothing was spread")
			}
		})
	}
}

func TestBackdrops(t *testing.T) {
	r, seen := NewRenderer(), map[string]Backdrop{}
	for b := range backdrops {
		s := Scene{Seed: 1, Backdrop: b, View: View{Width: 160, Height: 120, Light: 1}}
		pix := render(t, r, s)
		if other, is := seen[string(pix)]; is {
			t.Errorf("backdrop %d looks like %d", b, other)
		}
		seen[string(pix)] = b
		if lo, hi := pix[0], pix[0]; b != Room {
			for _, v := range pix {
				lo, hi = min(lo, v), max(hi, v)
			}
			if hi-lo < 40 {
				t.Errorf("backdrop %d has a contrast of %d only", b, hi-lo)
			}
		}
	}
	if err := r.Render(Scene{Backdrop: backdrops, View: View{Width: 8, Height: 8}}, &frame.Gray{}); err == nil {
		t.Error("a backdrop that does not exist was drawn")
	}
}

func TestCategoriesAreWellFormed(t *testing.T) {
	names, coded := map[string]bool{}, true
	for _, c := range Categories() {
		if names[c.Name] {
			t.Errorf("%s is there twice", c.Name)
		}
		names[c.Name] = true
		if coded = coded && c.Codes > 0; c.Codes > 0 && !coded {
			t.Errorf("%s has a code and comes after one without", c.Name)
		}
		if len(c.Levels) == 0 {
			t.Errorf("%s has no level", c.Name)
		}
		for _, level := range c.Levels {
			s := c.Scene(1, level, 0, "một", "hai")
			again := c.Scene(1, level, 0, "một", "hai")
			if s.Seed != again.Seed || s.View != again.View {
				t.Errorf("%s at %g is not the same twice", c.Name, level)
			}
			if other := c.Scene(1, level, 1, "một", "hai"); other.Seed == s.Seed {
				t.Errorf("%s at %g: its scenes are all one", c.Name, level)
			}
			texts := 0
			if s.Payload != "" {
				texts++
			}
			if s.Beside != nil && s.Beside.Payload != "" {
				texts++
			}
			if texts != c.Codes {
				t.Errorf("%s at %g: %d texts, want %d", c.Name, level, texts, c.Codes)
			}
			if err := frame.CheckSize(s.View.Width, s.View.Height); err != nil {
				t.Errorf("%s at %g: %v", c.Name, level, err)
			}
		}
	}
}
