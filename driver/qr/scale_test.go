package qr

import (
	"math/rand/v2"
	"testing"

	"gateagent/driver/frame"
)

func TestShrinkTakesMeans(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	g := frame.New(77, 31)
	for i := range g.Pix {
		g.Pix[i] = byte(r.Uint32())
	}
	for _, k := range []int{2, 3, 4} {
		var to frame.Gray
		shrink(&to, g, k)
		if to.Width != 77/k || to.Height != 31/k {
			t.Fatalf("by %d: %d×%d", k, to.Width, to.Height)
		}
		for y := range to.Height {
			for x := range to.Width {
				sum := k * k / 2
				for j := range k {
					for i := range k {
						sum += int(g.Pix[(y*k+j)*g.Stride+x*k+i])
					}
				}
				if got, want := int(to.Pix[y*to.Stride+x]), sum/(k*k); got != want {
					t.Fatalf("by %d: (%d, %d) is %d, want %d", k, x, y, got, want)
				}
			}
		}
	}
}

func TestEnlargeInterpolates(t *testing.T) {
	g := frame.New(5, 4)
	for i := range g.Pix {
		g.Pix[i] = byte(i * 12)
	}
	for _, k := range []int{2, 3} {
		var to frame.Gray
		enlarge(&to, g, k)
		for y := range to.Height {
			for x := range to.Width {
				want := bilinear(g, (float32(x)+0.5)/float32(k), (float32(y)+0.5)/float32(k))
				if got := float32(to.Pix[y*to.Stride+x]); abs32(got-want) > 1 {
					t.Fatalf("by %d: (%d, %d) is %v, want %v", k, x, y, got, want)
				}
			}
		}
	}
}
