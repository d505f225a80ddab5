package qrframes

import (
	"bytes"
	"math"

	"gateagent/driver/frame"
	"gateagent/driver/frame/mjpeg"
)

// Faults of sensors and of what cameras make of pictures.

// Exposure is by how many stops a frame is exposed too long; too short when
// negative.
type Exposure float64

func (l Exposure) on(w *way) { w.view.Light *= math.Exp2(float64(l)) }

// Flicker is how much darker lamps on mains or pulsed current make some rows
// than others, as a share of the light, 0 to 1.
type Flicker float64

func (l Flicker) on(w *way) {
	// Two swings of a 50 Hz lamp pass while a frame is read, or many of a
	// pulsed one.
	period := float64(w.view.Height) * w.span(0.25, 0.6)
	if w.rng.IntN(2) == 0 {
		period = float64(w.view.Height) * w.span(0.02, 0.06)
	}
	phase := w.span(0, 2*math.Pi)
	w.gains = append(w.gains, func(y float64) float64 {
		return 1 - float64(l)*(0.5+0.5*math.Cos(2*math.Pi*y/period+phase))
	})
}

// Halos is how strongly a camera sharpens what it has taken: 1 is usual, from 3
// up edges ring and noise stands out.
type Halos float64

func (l Halos) on(w *way) {
	w.makers = append(w.makers, func(g *frame.Gray) error {
		sharpen(g, float64(l))
		return nil
	})
}

// sharpen adds k times what a pixel differs from the mean of the 5×5 about it.
func sharpen(g *frame.Gray, k float64) {
	src := frame.Gray{}
	src.CopyFrom(g)
	columns := make([]int, g.Width)
	for y := range g.Height {
		clear(columns)
		for dy := -2; dy <= 2; dy++ {
			for x, v := range src.Row(min(max(y+dy, 0), g.Height-1)) {
				columns[x] += int(v)
			}
		}
		row, last := g.Row(y), g.Width-1
		sum := columns[0]*3 + columns[min(1, last)] + columns[min(2, last)]
		for x, v := range src.Row(y) {
			own := float64(v)
			row[x] = byte(min(max(own+k*(own-float64(sum)/25)+0.5, 0), 255))
			sum += columns[min(x+3, last)] - columns[max(x-2, 0)]
		}
	}
}

// JPEG is the quality at which a camera compresses its pictures, 1 to 100: the
// lower, the worse.
type JPEG int

func (q JPEG) on(w *way) {
	w.makers = append(w.makers, func(g *frame.Gray) error {
		var b bytes.Buffer
		if err := mjpeg.Encode(&b, g, int(q)); err != nil {
			return err
		}
		return mjpeg.Decode(b.Bytes(), g)
	})
}
