package qrframes

import "math"

// Faults of the light on a subject, and of what is between it and the camera.

// Glare is the share of the code's area that a lamp's reflection drowns, 0 to 1.
type Glare float64

func (l Glare) on(w *way) {
	if l <= 0 {
		return
	}
	cu, cv := w.span(-0.6, 0.6), w.span(-0.6, 0.6)
	sin, cos := w.direction()
	long := w.span(1, 1.8)
	radius := math.Sqrt(float64(l) * 4 / math.Pi)
	w.lights = append(w.lights, func(p place, tone float64) float64 {
		if !p.subject {
			return tone
		}
		x, y := p.u-cu, p.v-cv
		d := math.Hypot((x*cos+y*sin)/long, (y*cos-x*sin)*long) / radius
		return tone + 420/(1+math.Exp(9*(d-1)))
	})
}

// Gradient is how many stops of light are lost from one side of the code to the
// other.
type Gradient float64

func (l Gradient) on(w *way) {
	sin, cos := w.direction()
	w.lights = append(w.lights, func(p place, tone float64) float64 {
		return tone * math.Exp2(-float64(l)*max(0, 0.5+(p.u*cos+p.v*sin)/2))
	})
}

// Shadow is the share of the light that is missing beyond a shadow's edge across
// the code, 0 to 1.
type Shadow float64

func (l Shadow) on(w *way) {
	sin, cos := w.direction()
	at, soft := w.span(-0.5, 0.5), w.span(0.5, 2)*w.module
	w.lights = append(w.lights, func(p place, tone float64) float64 {
		return tone * (1 - float64(l)*smooth(-soft, soft, p.u*cos+p.v*sin-at))
	})
}

// Laminate is how much a wavy film on a card mirrors, 0 to 1: soft bright
// patches and a haze over everything.
type Laminate float64

func (l Laminate) on(w *way) {
	seed := w.rng.Uint32()
	sin, cos := w.direction()
	w.lights = append(w.lights, func(p place, tone float64) float64 {
		if !p.subject {
			return tone
		}
		x, y := p.u*cos+p.v*sin, p.v*cos-p.u*sin
		swell := cloud(1.1*x+0.6*cloud(3*x, 3*y, seed+1), 3.2*y, seed)
		ripple := cloud(7*x, 16*y, seed+2)
		shine := float64(l) * (smooth(0.55, 0.85, swell)*(0.6+0.4*ripple) + 0.1*ripple + 0.08)
		return tone*(1-0.3*shine) + 235*shine
	})
}

// Sleeve is how cloudy the plastic sleeve around a card is, 0 to 1: haze,
// creases that catch the light, a welded edge, and a little unsharpness.
type Sleeve float64

func (l Sleeve) on(w *way) {
	type crease struct{ sin, cos, at, bend, wide, shine float64 }
	creases := make([]crease, 4)
	for i := range creases {
		c := &creases[i]
		c.sin, c.cos = w.direction()
		c.at, c.bend = w.span(-1.4, 1.4), w.span(-0.2, 0.2)
		c.wide, c.shine = w.span(0.02, 0.09), w.span(40, 150)
	}
	seed := w.rng.Uint32()
	side, weld := w.span(-1, 1), w.span(1.25, 1.4)
	w.lights = append(w.lights, func(p place, tone float64) float64 {
		if !p.subject {
			return tone
		}
		haze := float64(l) * (0.35 + 0.25*cloud(1.6*p.u, 1.6*p.v, seed))
		tone = mix(tone, 205, haze)
		for i := range creases {
			c := &creases[i]
			along, across := p.u*c.cos+p.v*c.sin, p.v*c.cos-p.u*c.sin
			d := (across - c.at - c.bend*along*along) / c.wide
			tone += float64(l) * c.shine * math.Exp(-d*d) * smooth(0.25, 0.7, cloud(2*along, 9, seed+uint32(i)+1))
			tone -= float64(l) * 25 * math.Exp(-(d-2)*(d-2))
		}
		if d := math.Abs(p.v*math.Copysign(1, side)-weld) / 0.03; d < 1 {
			tone = mix(tone, 235, 0.6*float64(l)*(1-d))
		}
		return max(tone, 0)
	})
	sigma := 0.25 * float64(l) * w.pixels
	w.optics = append(w.optics, func(p *plane) { p.gauss(sigma) })
}

// Fingers is how far a thumb reaches over the code from one of its sides, as a
// share of the side.
type Fingers float64

func (l Fingers) on(w *way) {
	side := float64(w.rng.IntN(4)) * math.Pi / 2
	sin, cos := math.Sincos(side + w.span(-0.2, 0.2))
	half := w.art.codeSide / 2
	across, radius := w.span(-0.25, 0.25), w.span(8, 10.5)/half // a thumb is 16 to 21 mm wide
	tip := 1 - 2*float64(l) + radius                            // centre of the round tip
	skin, seed := w.span(105, 175), w.rng.Uint32()
	w.lights = append(w.lights, func(p place, tone float64) float64 {
		along, beside := p.u*cos+p.v*sin, p.v*cos-p.u*sin-across
		d := math.Hypot(min(along-tip, 0), beside) / radius
		switch {
		case d < 1:
			nail := smooth(0.8, 0.7, math.Hypot((along-tip-0.15*radius)/0.9, beside/0.8)/radius)
			shape := math.Sqrt(1 - 0.75*d*d)
			joint := smooth(0.5, 0.2, math.Abs((along-tip)/radius-2.2)) // of its creases
			crease := (2 + 9*joint) * math.Sin(13*(along-tip)/radius+2*cloud(3*along, 3*beside, seed))
			return mix((skin+crease*(1-nail))*shape, min(skin*1.18, 225), 0.7*nail)
		case p.subject:
			return tone * mix(0.55, 1, smooth(1, 1.12, d)) // its shadow on the card
		}
		return tone
	})
}
