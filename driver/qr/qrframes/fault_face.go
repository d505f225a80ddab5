package qrframes

import "math"

// Faults of what is printed on a card or shown by a phone.

// Contrast is the share of its contrast that a faded subject has left, 0 to 1:
// the lower, the worse.
type Contrast float64

func (c Contrast) on(w *way) {
	w.prints = append(w.prints, func(_, _, tone float64) float64 { return 128 + (tone-128)*float64(c) })
}

// Coloured is the contrast that a code in colours has left in grey, 0 to 1, at
// its worse side: the ink changes from one colour to another across the code,
// and the paper is tinted. The lower, the worse.
type Coloured float64

func (c Coloured) on(w *way) {
	sin, cos := w.direction()
	paper, ink := w.art.paper*w.span(0.8, 0.95), w.art.ink
	best := min(1, float64(c)+w.span(0.1, 0.4))
	w.prints = append(w.prints, func(u, v, tone float64) float64 {
		if max(math.Abs(u), math.Abs(v)) > 1+w.quiet*w.module {
			return tone
		}
		left := mix(float64(c), best, min(max(0.5+(u*cos+v*sin)/2, 0), 1))
		darkness := (w.art.paper - tone) / (w.art.paper - ink)
		return paper - darkness*left*(paper-ink)
	})
}

// Scratches is how many of them cross the code: fine arcs through the ink down
// to the card's white body.
type Scratches int

func (n Scratches) on(w *way) {
	type arc struct{ sin, cos, at, bend, half float64 }
	arcs := make([]arc, n)
	for i := range arcs {
		a := &arcs[i]
		a.sin, a.cos = w.direction()
		a.at, a.bend = w.span(-0.75, 0.75), w.span(-0.12, 0.12)
		a.half = w.module * w.span(0.2, 0.45)
	}
	w.prints = append(w.prints, func(u, v, tone float64) float64 {
		for i := range arcs {
			a := &arcs[i]
			along := u*a.cos + v*a.sin
			if math.Abs(v*a.cos-u*a.sin-a.at-a.bend*along*along) < a.half {
				return 212
			}
		}
		return tone
	})
}

// Worn is the share of the print's darkness that rubbing has taken where it is
// worst, 0 to 1. It comes in patches, and the paper is soiled where the ink is
// rubbed.
type Worn float64

func (l Worn) on(w *way) {
	seed := w.rng.Uint32()
	patch, speck := 1/(7*w.module), 1/(0.7*w.module)
	w.prints = append(w.prints, func(u, v, tone float64) float64 {
		rubbed := smooth(0.35, 0.75, 0.75*cloud(u*patch, v*patch, seed)+0.25*cloud(u*3*patch, v*3*patch, seed+1))
		loss := float64(l) * rubbed * (0.55 + 0.45*smooth(0.3, 0.6, cloud(u*speck, v*speck, seed+2)))
		return mix(tone, 178+24*cloud(u*speck, v*speck, seed+3), loss)
	})
}

// QuietZone is how many modules of blank paper are left around the code, 0 to
// 4: the fewer, the worse. Beyond, the security print and a dark rule come up
// to it.
type QuietZone int

func (n QuietZone) on(w *way) {
	seed := w.rng.Uint32()
	w.prints = append(w.prints, func(u, v, tone float64) float64 {
		beyond := (max(math.Abs(u), math.Abs(v)) - 1) / w.module
		switch {
		case beyond < float64(n) || beyond > w.quiet+0.5:
			return tone
		case beyond > w.quiet-0.5:
			return 60
		}
		wave := math.Sin(9*u+3*math.Sin(5*v)) * math.Sin(26*v+4*u)
		return 168 + 38*wave + 20*cloud(u/w.module, v/w.module, seed)
	})
}

// Hologram is how bright a security hologram over the code shines, 0 to 1:
// rosettes and lines that light up where the angle is right.
type Hologram float64

func (l Hologram) on(w *way) {
	sin, cos := w.direction()
	pitch := w.module * w.span(9, 14)
	phase, lean := w.span(0, 6), w.span(2, 4)
	w.lights = append(w.lights, func(p place, tone float64) float64 {
		if !p.subject || p.u*p.u+p.v*p.v > 2.2 {
			return tone
		}
		x, y := (p.u*cos+p.v*sin)/pitch, (p.v*cos-p.u*sin)/pitch
		fx, fy := x-math.Round(x), y-math.Round(y)
		r, turn := math.Hypot(fx, fy), math.Atan2(fy, fx)
		rosette := smooth(0.02, 0, math.Abs(r-0.33-0.09*math.Cos(6*turn))-0.035)
		lines := 0.45 * smooth(0.7, 1, math.Sin(2*math.Pi*(2.2*y+0.3*math.Sin(2*math.Pi*x))))
		lit := 0.3 + 0.7*smooth(-0.4, 0.9, math.Cos(lean*p.u+lean*p.v*0.7+phase))
		shine := float64(l) * lit * max(rosette, lines)
		return tone*(1-0.35*shine) + 190*shine
	})
}
