package qrframes

import "math"

// Faults of screens.

// Moire is how deep the beat between a screen's pixels and the camera's is, as a
// share of the brightness, 0 to 1.
type Moire float64

func (l Moire) on(w *way) {
	// The screen's pixels are as far apart as makes a beat of 5 to 20 of the
	// camera's: each of the camera's sees a little more or less of one.
	pitch := w.module / w.pixels * (1 + 1/w.span(5, 20))
	if w.rng.IntN(2) == 0 {
		pitch /= 2 // a fine screen beats at the double
	}
	sin, cos := math.Sincos(w.span(-0.06, 0.06))
	across, down := w.span(0.6, 1), w.span(0.2, 0.6)
	w.lights = append(w.lights, func(p place, tone float64) float64 {
		if !p.subject {
			return tone
		}
		x, y := (p.u*cos+p.v*sin)/pitch, (p.v*cos-p.u*sin)/pitch
		beat := across*math.Cos(2*math.Pi*x) + down*math.Cos(2*math.Pi*y)
		return tone * (1 + float64(l)*0.5*beat)
	})
}

// ScreenBands is how much darker the bands are that a dimmed screen shows a
// rolling shutter, as a share of its brightness, 0 to 1.
type ScreenBands float64

func (l ScreenBands) on(w *way) {
	period, phase := float64(w.view.Height)*w.span(0.06, 0.25), w.span(0, 1)
	duty, soft := w.span(0.3, 0.6), w.span(0.03, 0.15)
	w.lights = append(w.lights, func(p place, tone float64) float64 {
		if !p.subject {
			return tone
		}
		at := p.y/period + phase
		at -= math.Floor(at)
		off := smooth(0, soft, at) * smooth(duty+soft, duty, at)
		return tone * (1 - float64(l)*off)
	})
}
