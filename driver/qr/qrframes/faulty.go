package qrframes

// brightest is as much light as is carried; the sensor is full long before.
const brightest = 320

// faulty draws a subject as its faults let it be seen. Unlike
// [Renderer.subject] it looks at every pixel, since what is before a subject
// reaches beyond it.
func (r *Renderer) faulty(s Scene, v View, a *artwork, sym *code, way *way) {
	modules := float64(nominalModules)
	if sym != nil {
		modules = float64(sym.size)
	}
	p := lookThrough(v, a.codeSide/modules)
	face := newFace(s, a, sym, modules)
	for y := range v.Height {
		row := r.light[y*v.Width : (y+1)*v.Width]
		sx, sy := way.shift(float64(y))
		dx, dy, dw := p.row(float64(y) + 0.5 - sy)
		dx, dy, dw = dx-sx*p.m[0][0], dy-sx*p.m[1][0], dw-sx*p.m[2][0]
		for x := range row {
			if dw > 1e-9 {
				at := place{x: float64(x), y: float64(y)}
				at.u, at.v = way.warp(dx/dw/face.half, dy/dw/face.half)
				behind := float64(row[x]) / unit
				tone := behind
				if margin := 2 * way.module / way.pixels * face.half; face.near(at.u, at.v, margin) {
					at.subject, tone = face.on(at.u, at.v), 0
					n := face.samples(at.u, at.v)
					for j := range n {
						for i := range n {
							fi, fj := (float64(i)+0.5)/float64(n)-0.5, (float64(j)+0.5)/float64(n)-0.5
							inv := 1 / (dw + fi*p.m[2][0] + fj*p.m[2][1]) / face.half
							u, v := way.warp((dx+fi*p.m[0][0]+fj*p.m[0][1])*inv, (dy+fi*p.m[1][0]+fj*p.m[1][1])*inv)
							if face.on(u, v) {
								tone += way.print(u, v, face.tone(u, v))
							} else {
								tone += behind
							}
						}
					}
					tone /= float64(n * n)
				}
				row[x] = uint16(unit * min(max(way.light(at, tone), 0), brightest))
			}
			dx += p.m[0][0]
			dy += p.m[1][0]
			dw += p.m[2][0]
		}
	}
}

// seenFace is a subject with its code, by the places of [way].
type seenFace struct {
	art   *artwork
	shade *wear // nil without a code
	half  float64
	scale float64 // modules a unit
}

func newFace(s Scene, a *artwork, sym *code, modules float64) seenFace {
	f := seenFace{art: a, half: a.codeSide / 2, scale: modules / 2}
	if sym != nil {
		f.shade = &wear{sym: sym, damage: s.Damage, seed: uint32(s.Seed)*2654435761 + 1, paper: a.paper, ink: a.ink}
	}
	return f
}

func (f *seenFace) on(u, v float64) bool {
	return f.art.on(u*f.half+f.art.codeX, v*f.half+f.art.codeY)
}

// near says whether a place is on the subject or not farther from it than margin,
// in mm.
func (f *seenFace) near(u, v, margin float64) bool {
	x, y := u*f.half+f.art.codeX, v*f.half+f.art.codeY
	return x > -margin && y > -margin && x < f.art.wide+margin && y < f.art.high+margin
}

// samples a side are taken of a pixel: enough of a code for edges of any slope.
func (f *seenFace) samples(u, v float64) int {
	if u > -1.3 && u < 1.3 && v > -1.3 && v < 1.3 {
		return 4
	}
	return 2
}

func (f *seenFace) tone(u, v float64) float64 {
	if f.shade != nil && u > -1 && u < 1 && v > -1 && v < 1 {
		return f.shade.at((u+1)*f.scale, (v+1)*f.scale)
	}
	return f.art.sample(u*f.half+f.art.codeX, v*f.half+f.art.codeY)
}
