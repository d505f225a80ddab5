package qr

import "gateagent/driver/frame"

// patch is a part of the picture with a symbol in it, made ready for reading:
// dark modules have high values whatever the polarity, large modules are scaled
// down to a few pixels, and the light is taken out.
//
// The light is known on a coarse grid (light.go). A few places are made ready
// one by one; where many are needed, develop makes all of norm.
type patch struct {
	left, top int // of the part, pixels of the picture
	scale     int // pixels of the picture a pixel of the patch
	w, h      int
	dark      []float32 // 255 minus the brightness, or the brightness of a light symbol
	norm      []float32 // (dark - mean) / (deviation + few), within ±2: about ±1 for modules
	ready     bool      // norm is
	light     light
	reach     int // of the local mean, pixels of the patch
}

// maxPatch bounds the pixels of a patch.
const maxPatch = 1 << 20

// Pixels a module has left in a patch.
const (
	keepToRead = 3.5
	keepToSeek = 2.0 // enough for a finder pattern
	// keepAtLeast is what is enough for a sharp picture.
	keepAtLeast = 1.8
)

// Of the local mean: its reach in modules, and what is added to the deviation
// so that a flat ground is not blown up to noise.
const (
	normReach = 5
	normFloor = 3
)

// cut takes a window out of the picture, without taking its light out. module is
// the expected module size in pixels, keep how many of them a module must have
// left, light the polarity.
func (p *patch) cut(g *frame.Gray, w window, module, keep float32, light bool) bool {
	w = w.clip(g)
	p.scale = max(1, int(module/keep))
	// The largest symbols, turned by half a right angle, must do with less.
	for area := (w.right - w.left) * (w.bottom - w.top); area > maxPatch*p.scale*p.scale && module >= keepAtLeast*float32(p.scale+1); {
		p.scale++
	}
	p.left, p.top = w.left, w.top
	p.w, p.h = (w.right-w.left)/p.scale, (w.bottom-w.top)/p.scale
	if p.w < 16 || p.h < 16 || p.w*p.h > maxPatch {
		return false
	}
	n := p.w * p.h
	if cap(p.dark) < n {
		p.dark, p.norm = make([]float32, n), make([]float32, n)
	}
	p.dark, p.norm = p.dark[:n], p.norm[:n]
	for y := range p.h {
		out := p.dark[y*p.w : (y+1)*p.w]
		if p.scale > 1 {
			p.shrinkRow(g, y, out)
			if !light {
				for x, v := range out {
					out[x] = 255 - v
				}
			}
			continue
		}
		row := g.Pix[(p.top+y)*g.Stride+p.left:][:len(out)]
		shades := &darkOnLight
		if light {
			shades = &lightOnDark
		}
		for x, v := range row {
			out[x] = shades[v]
		}
	}
	p.reach = int(normReach*module/float32(p.scale) + 0.5)
	return true
}

// darkOnLight and lightOnDark are the darkness of each shade of grey.
var darkOnLight, lightOnDark = func() (dark, light [256]float32) {
	for v := range 256 {
		dark[v], light[v] = float32(255-v), float32(v)
	}
	return dark, light
}()

// takeLight measures the light, once dark is there.
func (p *patch) takeLight() {
	p.ready = false
	p.light.measure(p.dark, p.w, p.h, p.reach)
}

// develop fills norm, once the light is measured.
func (p *patch) develop() {
	if !p.ready {
		p.light.take(p.norm, p.dark)
		p.ready = true
	}
}

// lit is the normalised darkness at a place.
func (p *patch) lit(x, y float32) float32 {
	if p.ready {
		return p.at(p.norm, x, y)
	}
	mean, scale := p.light.at(x, y)
	return min(max((p.at(p.dark, x, y)-mean)*scale, -2), 2)
}

// shrinkRow takes the mean of scale×scale pixels.
func (p *patch) shrinkRow(g *frame.Gray, y int, out []float32) {
	s := p.scale
	k := 1 / float32(s*s)
	at := (p.top+y*s)*g.Stride + p.left
	switch s { // those of most patches, without a loop for each pixel
	case 2:
		a, b := g.Pix[at:][:2*len(out)], g.Pix[at+g.Stride:][:2*len(out)]
		for x := range out {
			u, v := a[2*x:2*x+2], b[2*x:2*x+2]
			out[x] = float32(int32(u[0])+int32(u[1])+int32(v[0])+int32(v[1])) * k
		}
		return
	case 3:
		a, b, c := g.Pix[at:][:3*len(out)], g.Pix[at+g.Stride:][:3*len(out)], g.Pix[at+2*g.Stride:][:3*len(out)]
		for x := range out {
			u, v, w := a[3*x:3*x+3], b[3*x:3*x+3], c[3*x:3*x+3]
			out[x] = float32(int32(u[0])+int32(u[1])+int32(u[2])+int32(v[0])+int32(v[1])+int32(v[2])+
				int32(w[0])+int32(w[1])+int32(w[2])) * k
		}
		return
	}
	for x := range out {
		var sum uint32
		for i := range s {
			for _, v := range g.Pix[at+i*g.Stride:][:s] {
				sum += uint32(v)
			}
		}
		out[x] = float32(int32(sum)) * k
		at += s
	}
}

// at interpolates a plane of the patch, its edge pixels going on for ever.
func (p *patch) at(plane []float32, x, y float32) float32 {
	x, y = x-0.5, y-0.5
	// Near a model's horizon a place may be as far away as numbers go, or none.
	if !(x >= 0) {
		x = 0
	}
	if !(y >= 0) {
		y = 0
	}
	ix, iy := int(x), int(y)
	fx, fy := x-float32(ix), y-float32(iy)
	if uint(ix) > uint(p.w-2) { // what is beyond an int has become negative
		ix, fx = p.w-2, 1
	}
	if uint(iy) > uint(p.h-2) {
		iy, fy = p.h-2, 1
	}
	q := plane[iy*p.w+ix:]
	r := q[p.w : p.w+2]
	top := q[0] + (q[1]-q[0])*fx
	return top + (r[0]+(r[1]-r[0])*fx-top)*fy
}

// to and from turn places of the picture into places of the patch and back.
func (p *patch) to(x, y float32) (px, py float32) {
	k := 1 / float32(p.scale)
	return (x - float32(p.left)) * k, (y - float32(p.top)) * k
}

func (p *patch) from(x, y float32) (gx, gy float32) {
	return x*float32(p.scale) + float32(p.left), y*float32(p.scale) + float32(p.top)
}
