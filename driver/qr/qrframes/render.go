package qrframes

import (
	"fmt"
	"math"
	"math/rand/v2"

	"gateagent/driver/frame"
)

// Renderer draws scenes. It keeps artwork and buffers from frame to frame; the
// frames do not depend on what it drew before. It is not safe for concurrent
// use.
type Renderer struct {
	faces  map[face]*artwork
	noise  []int16 // a sensor of sigma 1, in 1/noiseUnit grey levels
	light  []uint16
	spare  []uint16
	last   symbolKey // of symbol
	symbol *code
}

type face struct {
	subject Subject
	variant uint64
	dark    bool
}

type symbolKey struct {
	payload string
	version int
	ecc     ECC
}

// Fixed point: brightness is carried in 1/unit grey levels up to the sensor.
const (
	unit      = 64
	noiseUnit = 256
	noiseLen  = 1 << 16
)

// NewRenderer makes a Renderer.
func NewRenderer() *Renderer {
	r := rand.New(rand.NewPCG(0, 0x6e6f697365))
	n := make([]int16, noiseLen)
	for i := range n {
		n[i] = int16(min(max(r.NormFloat64(), -5), 5) * noiseUnit)
	}
	return &Renderer{faces: map[face]*artwork{}, noise: n}
}

// Render draws a scene into dst, reusing its memory. Taken is left alone. It
// fails when the view has no size, the subject does not exist or the payload
// does not fit the code.
func (r *Renderer) Render(s Scene, dst *frame.Gray) error {
	if err := frame.CheckSize(s.View.Width, s.View.Height); err != nil {
		return fmt.Errorf("render: %w", err)
	}
	v := s.View.shaken(s.Seed, s.Shot)
	if n := v.Width * v.Height; cap(r.light) < n {
		r.light, r.spare = make([]uint16, n), make([]uint16, n)
	} else {
		r.light, r.spare = r.light[:n], r.spare[:n]
	}
	rng := rand.New(rand.NewPCG(s.Seed, 0x7363656e65))
	variant := rng.Uint64N(variants)
	if s.Backdrop == Room {
		r.background(rng, v)
	} else if err := r.backdrop(s, v); err != nil {
		return fmt.Errorf("render: %w", err)
	}
	if b := s.Beside; b != nil {
		second := b.View
		second.Width, second.Height = v.Width, v.Height
		if _, err := r.place(*b, &second, (variant+1)%variants); err != nil {
			return fmt.Errorf("render: beside: %w", err)
		}
	}
	way, err := r.place(s, &v, variant)
	if err != nil {
		return fmt.Errorf("render: %w", err)
	}
	r.blur(v)
	if way != nil {
		p := plane{w: v.Width, h: v.Height, pix: r.light, spare: r.spare}
		for _, f := range way.optics {
			f(&p)
		}
		r.light, r.spare = p.pix, p.spare
	}
	r.expose(rand.New(rand.NewPCG(s.Seed, ^s.Shot)), v, way.gain(), dst)
	if way != nil {
		for _, f := range way.makers {
			if err := f(dst); err != nil {
				return fmt.Errorf("render: %w", err)
			}
		}
	}
	return nil
}

// place draws the subject of a scene over what is there. The way is nil where
// the scene has no faults; they may change the view.
func (r *Renderer) place(s Scene, v *View, variant uint64) (*way, error) {
	var art *artwork
	var sym *code
	modules := float64(nominalModules)
	switch s.Subject {
	case Nothing:
	case Card, Phone:
		var err error
		if sym, err = r.encoded(s); err != nil {
			return nil, err
		}
		if v.ModulePixels <= 0 {
			return nil, fmt.Errorf("modules of %g pixels", v.ModulePixels)
		}
		art = r.face(face{s.Subject, variant, s.Dark})
	default:
		return nil, fmt.Errorf("subject %d does not exist", s.Subject)
	}
	if len(s.Faults) == 0 {
		if art != nil {
			r.subject(s, *v, art, sym)
		}
		return nil, nil
	}
	if sym != nil {
		modules = float64(sym.size)
	}
	if art == nil {
		art = r.face(face{Card, variant, false}) // not seen; faults ask for its tones
	}
	way := newWay(s, v, art, modules)
	if s.Subject != Nothing {
		r.faulty(s, *v, art, sym, way)
	}
	return way, nil
}

// encoded gives the symbol of a scene, nil where it has none. The last one is
// kept: a card is held for many frames.
func (r *Renderer) encoded(s Scene) (*code, error) {
	if s.Payload == "" {
		return nil, nil
	}
	key := symbolKey{s.Payload, s.Version, s.ECC}
	if r.symbol == nil || r.last != key {
		sym, err := encode(s.Payload, s.Version, s.ECC)
		if err != nil {
			return nil, err
		}
		r.last, r.symbol = key, sym
	}
	return r.symbol, nil
}

func (r *Renderer) face(f face) *artwork {
	a := r.faces[f]
	if a == nil {
		a = newArtwork(f.subject, f.variant, f.dark)
		r.faces[f] = a
	}
	return a
}

// background fills light with the room behind: soft patches, and a few edges
// as of furniture and door frames.
func (r *Renderer) background(rng *rand.Rand, v View) {
	const cell = 64
	cols, rows := v.Width/cell+2, v.Height/cell+2
	base, swing := 50+90*rng.Float64(), 15+35*rng.Float64()
	grid := make([]float64, cols*rows)
	for i := range grid {
		grid[i] = (base + swing*(rng.Float64()-0.5)) * unit
	}
	type box struct{ x0, y0, x1, y1, tone int }
	boxes := make([]box, 5)
	for i := range boxes {
		x, y := rng.IntN(v.Width), rng.IntN(v.Height)
		boxes[i] = box{
			x, y, x + 20 + rng.IntN(v.Width/2+1), y + 20 + rng.IntN(v.Height/2+1),
			rng.IntN(120) - 40,
		}
	}
	for y := range v.Height {
		row := r.light[y*v.Width : (y+1)*v.Width]
		top := grid[y/cell*cols:]
		low := top[cols:]
		fy := float64(y%cell) / cell
		for x := 0; x < v.Width; x += cell {
			i := x / cell
			from := top[i] + fy*(low[i]-top[i])
			to := top[i+1] + fy*(low[i+1]-top[i+1])
			step := (to - from) / cell
			for j := range row[x:min(x+cell, v.Width)] {
				row[x+j] = uint16(from + step*float64(j))
			}
		}
		for _, b := range boxes {
			if y < b.y0 || y >= b.y1 {
				continue
			}
			for x := b.x0; x < min(b.x1, v.Width); x++ {
				row[x] = uint16(min(max(int(row[x])+b.tone*unit/2, 0), 250*unit))
			}
		}
	}
}

// subject draws a card or phone over light.
func (r *Renderer) subject(s Scene, v View, a *artwork, sym *code) {
	modules := float64(nominalModules)
	if sym != nil {
		modules = float64(sym.size)
	}
	p := lookThrough(v, a.codeSide/modules)
	shade := wear{sym: sym, damage: s.Damage, seed: uint32(s.Seed)*2654435761 + 1, paper: a.paper, ink: a.ink}
	half := a.codeSide / 2
	perModule := modules / a.codeSide
	for y := range v.Height {
		row := r.light[y*v.Width : (y+1)*v.Width]
		dx, dy, dw := p.row(float64(y) + 0.5)
		for x := range row {
			if dw > 1e-9 {
				inv := 1 / dw
				// mm from the centre of the code, then from the corner of the subject
				mx, my := dx*inv, dy*inv
				if px, py := mx+a.codeX, my+a.codeY; a.on(px, py) {
					if sym != nil && mx > -half && mx < half && my > -half && my < half {
						row[x] = uint16(unit * p.area(dx, dy, dw, func(mx, my float64) float64 {
							return shade.at((mx+half)*perModule, (my+half)*perModule)
						}))
					} else {
						row[x] = uint16(unit * a.sample(px, py))
					}
				}
			}
			dx += p.m[0][0]
			dy += p.m[1][0]
			dw += p.m[2][0]
		}
	}
}

// perspective maps pixels to millimetres on the plane of the subject, the
// centre of the code being 0, 0: m times (x, y, 1), the first two divided by
// the third.
type perspective struct{ m [3][3]float64 }

// lookThrough places the plane before a camera whose focal length is 1.1 times
// the width of its frame, so that a module of moduleMM is as wide in the frame
// as the view says.
func lookThrough(v View, moduleMM float64) perspective {
	focal := 1.1 * float64(v.Width)
	z := focal * moduleMM / v.ModulePixels
	w, h := float64(v.Width), float64(v.Height)
	sr, cr := math.Sincos(v.Roll * math.Pi / 180)
	sy, cy := math.Sincos(v.Yaw * math.Pi / 180)
	sp, cp := math.Sincos(v.Pitch * math.Pi / 180)
	turn := func(x, y float64) (float64, float64, float64) { // roll, then yaw, then pitch
		x, y = cr*x-sr*y, sr*x+cr*y
		x, zz := cy*x, -sy*x
		return x, cp*y - sp*zz, sp*y + cp*zz
	}
	ax, ay, az := turn(1, 0)
	bx, by, bz := turn(0, 1)
	cx, cyy, cz := (v.X-0.5)*w*z/focal, (v.Y-0.5)*h*z/focal, z
	// Rays are ((x-w/2)/focal, (y-h/2)/focal, 1); the columns a, b, c take
	// plane coordinates to them. The adjugate is the inverse up to scale.
	inv := [3][3]float64{
		{by*cz - cyy*bz, cx*bz - bx*cz, bx*cyy - cx*by},
		{cyy*az - ay*cz, ax*cz - cx*az, cx*ay - ax*cyy},
		{ay*bz - by*az, bx*az - ax*bz, ax*by - bx*ay},
	}
	var p perspective
	sign := 1.0
	if inv[2][0]*cx+inv[2][1]*cyy+inv[2][2]*cz < 0 {
		sign = -1
	}
	for i := range 3 {
		p.m[i][0] = sign * inv[i][0] / focal
		p.m[i][1] = sign * inv[i][1] / focal
		p.m[i][2] = sign * (inv[i][2] - inv[i][0]*w/2/focal - inv[i][1]*h/2/focal)
	}
	return p
}

// row gives the map at the centre of the first pixel of a row.
func (p *perspective) row(y float64) (dx, dy, dw float64) {
	return p.m[0][0]/2 + p.m[0][1]*y + p.m[0][2],
		p.m[1][0]/2 + p.m[1][1]*y + p.m[1][2],
		p.m[2][0]/2 + p.m[2][1]*y + p.m[2][2]
}

// area averages over a pixel: nine places in it.
func (p *perspective) area(dx, dy, dw float64, at func(mx, my float64) float64) float64 {
	sum := 0.0
	for j := -1; j <= 1; j++ {
		for i := -1; i <= 1; i++ {
			fi, fj := float64(i)/3, float64(j)/3
			inv := 1 / (dw + fi*p.m[2][0] + fj*p.m[2][1])
			sum += at((dx+fi*p.m[0][0]+fj*p.m[0][1])*inv, (dy+fi*p.m[1][0]+fj*p.m[1][1])*inv)
		}
	}
	return sum / 9
}

// wear is a code with part of its data area rubbed off.
type wear struct {
	sym        *code
	damage     float64
	seed       uint32
	paper, ink float64
}

// at gives the brightness at a place in modules.
func (w *wear) at(u, v float64) float64 {
	dark, data := w.sym.at(u, v)
	if !dark {
		return w.paper
	}
	if data && w.damage > 0 {
		// Rubbed off in grains a bit smaller than a module.
		h := uint32(int(u*1.4))*0x9e3779b1 ^ uint32(int(v*1.4))*0x85ebca6b ^ w.seed
		h = (h ^ h>>15) * 0x2c1b3c6d
		h = (h ^ h>>12) * 0x297a2d39
		if float64(h>>8)/(1<<24) < w.damage {
			return w.paper - 0.08*(w.paper-w.ink)
		}
	}
	return w.ink
}

// blur spreads light by the optics: passes of a three-tap kernel, each adding
// at most half a pixel squared of variance in both directions.
func (r *Renderer) blur(v View) {
	for rest := v.Blur * v.Blur; rest > 0.01; rest -= 0.5 {
		side := uint32(min(rest, 0.5) / 2 * 256) // of 256
		mid := 256 - 2*side
		for y := range v.Height {
			src, dst := r.light[y*v.Width:(y+1)*v.Width], r.spare[y*v.Width:(y+1)*v.Width]
			copy(dst, src)
			for x := 1; x < len(src)-1; x++ {
				dst[x] = uint16((mid*uint32(src[x]) + side*(uint32(src[x-1])+uint32(src[x+1]))) >> 8)
			}
		}
		copy(r.light[:v.Width], r.spare[:v.Width])
		copy(r.light[(v.Height-1)*v.Width:], r.spare[(v.Height-1)*v.Width:])
		for y := 1; y < v.Height-1; y++ {
			up, at := r.spare[(y-1)*v.Width:y*v.Width], r.spare[y*v.Width:(y+1)*v.Width]
			low, dst := r.spare[(y+1)*v.Width:(y+2)*v.Width], r.light[y*v.Width:(y+1)*v.Width]
			for x := range dst {
				dst[x] = uint16((mid*uint32(at[x]) + side*(uint32(up[x])+uint32(low[x]))) >> 8)
			}
		}
	}
}

// expose lights the scene unevenly and lets the sensor see it. rowGain, when
// there is one, changes the light from row to row.
func (r *Renderer) expose(rng *rand.Rand, v View, rowGain func(y float64) float64, dst *frame.Gray) {
	dst.Reset(v.Width, v.Height)
	sin, cos := math.Sincos(v.Sun * math.Pi / 180)
	reach := math.Hypot(float64(v.Width), float64(v.Height)) / 2
	const one = 1 << 16 // fixed point of gain and noise
	perX := v.Light * v.Slope * cos / reach * one / unit
	perY := v.Light * v.Slope * sin / reach * one / unit
	sigma := int32(v.Noise * one / noiseUnit)
	for y := range v.Height {
		gain := v.Light*one/unit + perY*(float64(y)-float64(v.Height)/2) - perX*float64(v.Width)/2
		slope := perX
		if rowGain != nil {
			change := rowGain(float64(y))
			gain, slope = gain*change, slope*change
		}
		noise := r.noise[rng.IntN(noiseLen):]
		src, out := r.light[y*v.Width:(y+1)*v.Width], dst.Row(y)
		for len(src) > 0 {
			n := min(len(src), len(noise))
			for x, light := range src[:n] {
				seen := int32(light)*int32(gain) + int32(noise[x])*sigma
				gain += slope
				out[x] = byte(min(max((seen+one/2)>>16, 0), 255))
			}
			src, out, noise = src[n:], out[n:], r.noise
		}
	}
}
