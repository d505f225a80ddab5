package qrframes

import "math"

// Faults of shape: nothing is plane, and nobody holds still.

// Curve is how much a card is bent: half the code's side over the radius. A
// card pressed between thumb and finger reaches 0.2, a curled slip of paper 0.6.
type Curve float64

func (l Curve) on(w *way) {
	const bentPart = 2.2 // to both sides of the bend's middle
	sin, cos := w.direction()
	centre := w.span(-1, 1) // of the bend
	// How the bend shows depends on the angle from which it is seen.
	tiltSin, tiltCos := w.direction()
	tilt := w.span(0.3, 0.45)
	k := float64(l)
	w.warps = append(w.warps, func(u, v float64) (float64, float64) {
		t := u*cos + v*sin
		// Only what is about the code is bent; the rest of the card goes on
		// straight.
		bent := min(max(t-centre, -bentPart), bentPart)
		depth := k * bent * (t - centre - bent/2)
		longer := k * k * bent * bent * (t - centre - 2*bent/3) / 2
		return u + longer*cos + tilt*depth*tiltCos, v + longer*sin + tilt*depth*tiltSin
	})
}

// RollingShutter is by how many modules a subject moves while the rows over its
// code are read, one after the other: it leans, and a trembling hand bends it.
type RollingShutter float64

func (l RollingShutter) on(w *way) {
	rows := 2 / w.module * w.pixels // over the code
	sin, cos := w.direction()
	speed := float64(l) * w.pixels / rows
	tremble, period, phase := 0.08*float64(l)*w.pixels, rows*w.span(0.6, 1.2), w.span(0, 6)
	middle := w.view.Y * float64(w.view.Height)
	w.shifts = append(w.shifts, func(y float64) (float64, float64) {
		d := speed*(y-middle) + tremble*math.Sin(2*math.Pi*y/period+phase)
		return d * cos, d * sin * 0.5
	})
}

// Motion is by how many modules a subject moves while the frame is exposed.
type Motion float64

func (l Motion) on(w *way) {
	sin, cos := w.direction()
	length := float64(l) * w.pixels
	w.optics = append(w.optics, func(p *plane) { p.smear(length*cos, length*sin) })
}

// Defocus is the radius in modules of the disc that a point becomes when the
// lens is focused elsewhere.
type Defocus float64

func (l Defocus) on(w *way) {
	radius := float64(l) * w.pixels
	w.optics = append(w.optics, func(p *plane) { p.disc(radius) })
}

// Blur is the sigma in modules of a soft lens, or of a smear of grease on it.
type Blur float64

func (l Blur) on(w *way) {
	sigma := float64(l) * w.pixels
	w.optics = append(w.optics, func(p *plane) { p.gauss(sigma) })
}
