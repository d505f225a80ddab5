package qrframes

import "math"

// plane is the light that reaches the sensor, in 1/unit grey levels, and a spare
// one of the same size.
type plane struct {
	w, h       int
	pix, spare []uint16
}

func (p *plane) row(y int) []uint16 {
	y = min(max(y, 0), p.h-1)
	return p.pix[y*p.w : (y+1)*p.w]
}

// gauss spreads light, sigma pixels wide.
func (p *plane) gauss(sigma float64) {
	if sigma < 0.05 {
		return
	}
	reach := int(3*sigma) + 1
	kernel := make([]float32, 2*reach+1)
	var sum float32
	for i := range kernel {
		d := float64(i - reach)
		kernel[i] = float32(math.Exp(-d * d / (2 * sigma * sigma)))
		sum += kernel[i]
	}
	for i := range kernel {
		kernel[i] /= sum
	}
	wide := make([]float32, p.w+2*reach)
	for y := range p.h {
		row := p.row(y)
		for i := range wide {
			wide[i] = float32(row[min(max(i-reach, 0), p.w-1)])
		}
		out := p.spare[y*p.w : (y+1)*p.w]
		for x := range out {
			var v float32
			for i, k := range kernel {
				v += k * wide[x+i]
			}
			out[x] = uint16(v + 0.5)
		}
	}
	p.pix, p.spare = p.spare, p.pix
	sums := make([]float32, p.w)
	for y := range p.h {
		clear(sums)
		for i, k := range kernel {
			for x, v := range p.row(y + i - reach) {
				sums[x] += k * float32(v)
			}
		}
		out := p.spare[y*p.w : (y+1)*p.w]
		for x, v := range sums {
			out[x] = uint16(v + 0.5)
		}
	}
	p.pix, p.spare = p.spare, p.pix
}

// smear moves the picture by dx, dy pixels while it is exposed.
func (p *plane) smear(dx, dy float64) {
	steps := int(2*math.Hypot(dx, dy)) + 1
	if steps < 2 {
		return
	}
	sums := make([]float32, p.w)
	for y := range p.h {
		clear(sums)
		for k := range steps {
			t := float64(k)/float64(steps-1) - 0.5
			fx, fy := t*dx, t*dy
			ix, iy := math.Floor(fx), math.Floor(fy)
			tx, ty := float32(fx-ix), float32(fy-iy)
			top, low := p.row(y+int(iy)), p.row(y+int(iy)+1)
			for x := range sums {
				a, b := min(max(x+int(ix), 0), p.w-1), min(max(x+int(ix)+1, 0), p.w-1)
				upper := float32(top[a])*(1-tx) + float32(top[b])*tx
				lower := float32(low[a])*(1-tx) + float32(low[b])*tx
				sums[x] += upper*(1-ty) + lower*ty
			}
		}
		out := p.spare[y*p.w : (y+1)*p.w]
		for x, v := range sums {
			out[x] = uint16(v/float32(steps) + 0.5)
		}
	}
	p.pix, p.spare = p.spare, p.pix
}

// disc spreads each point evenly over a disc.
func (p *plane) disc(radius float64) {
	if radius < 0.3 {
		return
	}
	// Each row of the disc is a run whose ends count in part.
	type run struct {
		dy, full int
		part     float64
	}
	var runs []run
	area := 0.0
	for dy := -int(radius + 0.5); dy <= int(radius+0.5); dy++ {
		// The mean width of the disc over the row of pixels.
		wide := 0.0
		for i := range 8 {
			if at := float64(dy) + (float64(i)-3.5)/8; at*at < radius*radius {
				wide += 2 * math.Sqrt(radius*radius-at*at) / 8
			}
		}
		if wide <= 0 {
			continue
		}
		r := run{dy: dy, full: int((wide - 1) / 2)}
		if wide >= 1 {
			r.part = (wide - float64(2*r.full+1)) / 2
		} else {
			r.full, r.part = -1, wide // less than a pixel: only that share of the middle
		}
		runs = append(runs, r)
		area += wide
	}
	reach := int(radius) + 2
	prefix := make([][]float64, p.h)
	for y := range p.h {
		sums := make([]float64, p.w+2*reach+1)
		row := p.row(y)
		for i := range p.w + 2*reach {
			sums[i+1] = sums[i] + float64(row[min(max(i-reach, 0), p.w-1)])
		}
		prefix[y] = sums
	}
	for y := range p.h {
		out := p.spare[y*p.w : (y+1)*p.w]
		for x := range out {
			v := 0.0
			for _, r := range runs {
				s, at := prefix[min(max(y+r.dy, 0), p.h-1)], x+reach
				if r.full < 0 {
					v += r.part * (s[at+1] - s[at])
					continue
				}
				lo, hi := at-r.full, at+r.full+1
				v += s[hi] - s[lo] + r.part*(s[hi+1]-s[hi]+s[lo]-s[lo-1])
			}
			out[x] = uint16(v/area + 0.5)
		}
	}
	p.pix, p.spare = p.spare, p.pix
}
