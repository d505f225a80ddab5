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

// enlarge makes k×k pixels of each, k at most 4, interpolated.
func enlarge(to, g *frame.Gray, k int) {
	to.Reset(g.Width*k, g.Height*k)
	// Pixel i of k lies (2i+1-k)/2k from the middle of the one it comes of;
	// weights are in units of 1/2k, those of rows and columns make 1/4k².
	unit := uint32(2 * k)
	round, area := unit*unit/2, unit*unit
	for y := range to.Height {
		row, next, weight := y/k, y/k, uint32(0)
		if off := 2*(y%k) + 1 - k; off > 0 {
			next, weight = min(row+1, g.Height-1), uint32(off)
		} else if off < 0 {
			next, weight = max(row-1, 0), uint32(-off)
		}
		a, b := g.Row(row), g.Row(next)
		out := to.Row(y)
		last := len(a) - 1
		for i := range k {
			off := 2*i + 1 - k
			side, w := 0, uint32(0)
			if off > 0 {
				side, w = 1, uint32(off)
			} else if off < 0 {
				side, w = -1, uint32(-off)
			}
			for x := range a {
				n := min(max(x+side, 0), last)
				here := uint32(a[x])*(unit-weight) + uint32(b[x])*weight
				there := uint32(a[n])*(unit-weight) + uint32(b[n])*weight
				out[x*k+i] = uint8((here*(unit-w) + there*w + round) / area)
			}
		}
	}
}
