package qr

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"gateagent/driver/frame"
	"gateagent/driver/qr/qrframes"
)

// TestHalvesOfTwoCodes lays two codes of a size over each other, cut or blended,
// some of them in negative, some mirrored: what is read must be one of the two.
func TestHalvesOfTwoCodes(t *testing.T) {
	rnd := rand.New(rand.NewPCG(4, 33))
	r, reads, frames := NewReader(), 0, 24
	if testing.Short() {
		frames = 6
	}
	for i := range frames {
		texts := [2]string{fmt.Sprintf("A%d", rnd.Int64N(1e9)), fmt.Sprintf("B%d", rnd.Int64N(1e9))}
		var seen [2]*frame.Gray
		for k, text := range texts {
			seen[k] = draw(t, qrframes.Scene{
				Seed: uint64(i), Subject: qrframes.Card, Payload: text, Version: 1 + i%3,
				View: qrframes.View{
					Width: 320, Height: 240, ModulePixels: 5, X: 0.5, Y: 0.5,
					Roll: float64(i % 4 * 30), Blur: 0.5, Noise: 4, Light: 1,
				},
			})
		}
		g, cut := seen[0], 90+rnd.IntN(140)
		for y := range g.Height {
			row, other := g.Row(y), seen[1].Row(y)
			for x := range row {
				switch {
				case i%3 == 2:
					row[x] = byte((int(row[x])*(i%7+1) + int(other[x])*(7-i%7)) / 8)
				case i%3 == 0 && x > cut, i%3 == 1 && y > cut:
					row[x] = other[x]
				}
				if i%2 == 0 {
					row[x] = 255 - row[x]
				}
			}
		}
		for _, c := range read(t, r, turned(g, 0, i%5 == 0)) {
			if s := string(c.Text); c.Readable() && s != texts[0] && s != texts[1] {
				t.Errorf("%d: read %q, shown were parts of %q", i, s, texts)
			} else if c.Readable() {
				reads++
			}
		}
	}
	t.Logf("%d texts in %d frames", reads, frames)
	if reads == 0 {
		t.Error("nothing read at all")
	}
}
