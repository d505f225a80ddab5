package qr

import "gateagent/driver/frame"

// shrink makes of each square of k×k pixels one, their mean.
func shrink(to, g *frame.Gray, k int) {
	to.Reset(g.Width/k, g.Height/k)
	half, area := uint32(k*k/2), uint32(k*k)
	for y := range to.Height {
		out := to.Row(y)
		for x := range out {
			sum := half
			for i := range k {
				for _, v := range g.Pix[(y*k+i)*g.Stride+x*k:][:k] {
					sum += uint32(v)
				}
			}
			out[x] = uint8(sum / area)
		}
	}
}

// enlarge makes k×k pixels of each, interpolated.
func enlarge(to, g *frame.Gray, k int) {
	to.Reset(g.Width*k, g.Height*k)
	f := 1 / float32(k)
	for y := range to.Height {
		out := to.Row(y)
		for x := range out {
			out[x] = uint8(bilinear(g, (float32(x)+0.5)*f, (float32(y)+0.5)*f) + 0.5)
		}
	}
}
