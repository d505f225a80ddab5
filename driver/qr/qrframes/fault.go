package qrframes

import (
	"math"
	"math/rand/v2"

	"gateagent/driver/frame"
)

// Fault is one thing that goes wrong between a code and the bytes of a frame.
// The types of this package that say so are all there are; each is a level, the
// worse the higher unless it says otherwise, and draws whatever else it needs
// from the scene's seed.
type Fault interface {
	// on adds what the fault does to the way from the subject to the frame.
	on(w *way)
}

// way is what light goes through from a subject to the frame, in order; each
// fault adds itself where it belongs. Places on the subject are u to the right
// and v down from the centre of the code, whose edges are at -1 and 1.
type way struct {
	rng    *rand.Rand
	art    *artwork
	view   *View   // exposure may change
	module float64 // width of a module in u
	pixels float64 // width of a module in the frame
	quiet  float64 // width of the blank field around the code in modules, as drawn

	warps  []func(u, v float64) (float64, float64) // from where it seems to be to where it is
	prints []func(u, v, tone float64) float64      // what is on the subject's face
	lights []func(p place, tone float64) float64   // what falls on it, or is before it
	shifts []func(y float64) (dx, dy float64)      // of a row while it is exposed, pixels
	optics []func(*plane)
	gains  []func(y float64) float64 // of the light in a row
	makers []func(*frame.Gray) error // what the camera does to a picture it has taken
}

// place is a pixel: where it looks, where it is, and whether it is on the
// subject.
type place struct {
	u, v, x, y float64
	subject    bool
}

// newWay prepares the way for a scene's faults.
func newWay(s Scene, v *View, a *artwork, modules float64) *way {
	w := &way{
		rng: rand.New(rand.NewPCG(s.Seed, 0x6661756c74)), art: a, view: v,
		module: 2 / modules, pixels: v.ModulePixels, quiet: 4 * modules / nominalModules,
	}
	for _, f := range s.Faults {
		f.on(w)
	}
	return w
}

func (w *way) span(lo, hi float64) float64 { return lo + (hi-lo)*w.rng.Float64() }

// direction draws a unit vector.
func (w *way) direction() (sin, cos float64) { return math.Sincos(w.span(0, 2*math.Pi)) }

// warp applies all warps.
func (w *way) warp(u, v float64) (float64, float64) {
	for _, f := range w.warps {
		u, v = f(u, v)
	}
	return u, v
}

func (w *way) print(u, v, tone float64) float64 {
	for _, f := range w.prints {
		tone = f(u, v, tone)
	}
	return tone
}

func (w *way) light(p place, tone float64) float64 {
	for _, f := range w.lights {
		tone = f(p, tone)
	}
	return tone
}

func (w *way) shift(y float64) (dx, dy float64) {
	for _, f := range w.shifts {
		x, y := f(y)
		dx, dy = dx+x, dy+y
	}
	return dx, dy
}

// gain is a row's; nil where no fault changes it.
func (w *way) gain() func(y float64) float64 {
	if w == nil || len(w.gains) == 0 {
		return nil
	}
	return func(y float64) float64 {
		g := 1.0
		for _, f := range w.gains {
			g *= f(y)
		}
		return g
	}
}

// smooth rises from 0 at lo to 1 at hi.
func smooth(lo, hi, x float64) float64 {
	t := min(max((x-lo)/(hi-lo), 0), 1)
	return t * t * (3 - 2*t)
}

func mix(a, b, share float64) float64 { return a + (b-a)*share }

// grain is an even random number of a cell, 0 to 1.
func grain(x, y int, seed uint32) float64 {
	h := uint32(x)*0x9e3779b1 ^ uint32(y)*0x85ebca6b ^ seed
	h = (h ^ h>>15) * 0x2c1b3c6d
	h = (h ^ h>>12) * 0x297a2d39
	return float64((h^h>>15)>>8) / (1 << 24)
}

// cloud is grain made smooth: 0 to 1, hills about one unit wide.
func cloud(x, y float64, seed uint32) float64 {
	fx, fy := math.Floor(x), math.Floor(y)
	i, j := int(fx), int(fy)
	tx, ty := smooth(0, 1, x-fx), smooth(0, 1, y-fy)
	return mix(
		mix(grain(i, j, seed), grain(i+1, j, seed), tx),
		mix(grain(i, j+1, seed), grain(i+1, j+1, seed), tx), ty)
}
