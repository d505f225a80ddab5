package qr

import (
	"encoding/binary"

	"gateagent/driver/frame"
)

// shrink makes of each square of k×k pixels one, their mean.
func shrink(to, g *frame.Gray, k int) {
	to.Reset(g.Width/k, g.Height/k)
	switch k {
	case 2:
		shrinkHalf(to, g)
		return
	case 4:
		shrinkQuarter(to, g)
		return
	}
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

// shrinkHalf is shrink for k = 2: eight pixels of two rows at once, in lanes of
// 16 bits, make four.
func shrinkHalf(to, g *frame.Gray) {
	const lanes = 0x00FF00FF00FF00FF
	for y := range to.Height {
		at := 2 * y * g.Stride
		a, b := g.Pix[at:][:g.Width], g.Pix[at+g.Stride:][:g.Width]
		out := to.Row(y)
		x := 0
		for ; x+3 < len(out); x += 4 {
			p, q := binary.LittleEndian.Uint64(a[2*x:]), binary.LittleEndian.Uint64(b[2*x:])
			sum := p&lanes + p>>8&lanes + q&lanes + q>>8&lanes + 0x0002000200020002
			sum = sum >> 2 & lanes
			sum |= sum >> 8 // bytes 0, 1 and 4, 5 now hold the four
			binary.LittleEndian.PutUint32(out[x:], uint32(sum&0xFFFF|sum>>16&0xFFFF0000))
		}
		for ; x < len(out); x++ {
			out[x] = uint8((uint32(a[2*x]) + uint32(a[2*x+1]) + uint32(b[2*x]) + uint32(b[2*x+1]) + 2) >> 2)
		}
	}
}

// shrinkQuarter is shrink for k = 4: eight pixels of four rows at once, in lanes
// of 16 bits, make two.
func shrinkQuarter(to, g *frame.Gray) {
	const lanes = 0x00FF00FF00FF00FF
	for y := range to.Height {
		at := 4 * y * g.Stride
		a, b := g.Pix[at:][:g.Width], g.Pix[at+g.Stride:][:g.Width]
		c, d := g.Pix[at+2*g.Stride:][:g.Width], g.Pix[at+3*g.Stride:][:g.Width]
		out := to.Row(y)
		x := 0
		for ; x+1 < len(out); x += 2 {
			p, q := binary.LittleEndian.Uint64(a[4*x:]), binary.LittleEndian.Uint64(b[4*x:])
			r, s := binary.LittleEndian.Uint64(c[4*x:]), binary.LittleEndian.Uint64(d[4*x:])
			sum := p&lanes + p>>8&lanes + q&lanes + q>>8&lanes + r&lanes + r>>8&lanes + s&lanes + s>>8&lanes
			sum += sum >> 16 // lanes 0 and 2 now hold 16 pixels each
			out[x], out[x+1] = uint8((sum&0xFFFF+8)>>4), uint8((sum>>32&0xFFFF+8)>>4)
		}
		for ; x < len(out); x++ {
			sum := uint32(8)
			for i := range 4 {
				sum += uint32(a[4*x+i]) + uint32(b[4*x+i]) + uint32(c[4*x+i]) + uint32(d[4*x+i])
			}
			out[x] = uint8(sum >> 4)
		}
	}
}

// enlarge makes k×k pixels of each, k 2 or 3, interpolated.
func enlarge(to, g *frame.Gray, k int) {
	to.Reset(g.Width*k, g.Height*k)
	// Pixel i of k lies (2i+1-k)/2k from the middle of the one it comes of;
	// weights are in units of 1/2k, those of rows and columns make 1/4k².
	unit := uint32(2 * k)
	round := unit * unit / 2
	share := 1<<20/(unit*unit) + 1 // instead of dividing, and as exact
	aside := uint32(k - 1)         // the weight of the pixel left of the first, right of the last
	for y := range to.Height {
		row, next, weight := y/k, y/k, uint32(0)
		if off := 2*(y%k) + 1 - k; off > 0 {
			next, weight = min(row+1, g.Height-1), uint32(off)
		} else if off < 0 {
			next, weight = max(row-1, 0), uint32(-off)
		}
		a, b := g.Row(row), g.Row(next)
		b = b[:len(a)]
		out := to.Row(y)
		left := uint32(a[0])*(unit-weight) + uint32(b[0])*weight
		here, right := left, left
		for x := range a {
			if x+1 < len(a) {
				right = uint32(a[x+1])*(unit-weight) + uint32(b[x+1])*weight
			}
			own := here*(unit-aside) + round
			first, last := uint8((own+left*aside)*share>>20), uint8((own+right*aside)*share>>20)
			if k == 3 {
				_ = out[2]
				out[0], out[1], out[2] = first, uint8((here*unit+round)*share>>20), last
			} else {
				out[0], out[1] = first, last
			}
			out = out[k:]
			left, here = here, right
		}
	}
}
