package qr

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"gateagent/driver/frame"
	"gateagent/driver/qr/qrframes"
)

// denseTexts are how many bytes fill the large versions at level L. Passport
// codes have up to version 25.
var denseTexts = []struct{ version, bytes int }{{20, 858}, {25, 1273}, {30, 1732}, {40, 2953}}

// TestDenseCodes reads sharp codes of the large versions, upright, turned and
// tilted.
func TestDenseCodes(t *testing.T) {
	if testing.Short() {
		t.Skip("draws large frames")
	}
	const each = 2 // frames of a version
	renderer, r, g := qrframes.NewRenderer(), NewReader(), new(frame.Gray)
	for _, tt := range []struct {
		pixels, tilt float64 // a module, degrees
		atLeast      int     // of all frames that must be read
	}{
		{4, 5, 8}, {3, 30, 8}, {2.5, 15, 8}, {2, 10, 6},
	} {
		t.Run(fmt.Sprintf("%g px, %g degrees", tt.pixels, tt.tilt), func(t *testing.T) {
			read := 0
			for _, size := range denseTexts {
				for n := range each {
					s := denseScene(size.version, size.bytes, tt.pixels, tt.tilt, n)
					if err := renderer.Render(s, g); err != nil {
						t.Fatal(err)
					}
					codes, err := r.Read(g)
					if err != nil {
						t.Fatal(err)
					}
					before := read
					for _, c := range codes {
						switch {
						case string(c.Text) == s.Payload && c.Version == size.version:
							read++
						case c.Readable():
							t.Errorf("version %d: %v is wrong", size.version, c)
						}
					}
					if read == before {
						t.Logf("version %d, turned by %.0f degrees: not read", size.version, s.View.Roll)
					}
				}
			}
			if read < tt.atLeast {
				t.Errorf("%d of %d read, want at least %d", read, each*len(denseTexts), tt.atLeast)
			}
		})
	}
}

// denseScene is a code as full as its version allows: the first of them upright
// or turned by right angles, the others in any direction.
func denseScene(version, bytes int, pixels, tilt float64, n int) qrframes.Scene {
	r := rand.New(rand.NewPCG(uint64(version), uint64(pixels*1000+tilt*10)+uint64(n)<<32))
	text := make([]byte, bytes)
	for i := range text {
		text[i] = 'a' + byte(r.IntN(26))
	}
	side := int(float64(17+4*version)*pixels*1.5) + 60 // room for turning it
	roll := 90 * float64(r.IntN(4))
	if n > 0 {
		roll = 360 * r.Float64()
	}
	sin, cos := math.Sincos(2 * math.Pi * r.Float64())
	return qrframes.Scene{
		Seed: r.Uint64(), Subject: []qrframes.Subject{qrframes.Card, qrframes.Phone}[n%2],
		Payload: string(text), Version: version, ECC: qrframes.L,
		View: qrframes.View{
			Width: side, Height: side, ModulePixels: pixels, X: 0.5, Y: 0.5,
			Roll: roll, Yaw: tilt * cos, Pitch: tilt * sin,
			Blur: 0.5 + 0.4*r.Float64(), Noise: 3, Light: 1, Slope: 0.1,
		},
	}
}
