// Package qrframes draws what a gate camera would see: fictional ID cards and
// phones with QR codes, as grey frames. The demo and the tests live on it.
//
// It owns the artwork, the codes, the optics and the sensor of that imagined
// camera. Nothing in it is taken from a real card, and it invents no person:
// what a code says is the caller's. What goes wrong on the way from a subject to
// the frame is a [Fault] each; [Categories] are the benchmark's families of
// scenes, by rising difficulty. The same [Scene] gives the
// same frame, byte for byte, on machines of one architecture (others may round
// differently).
//
// Lengths on a card are millimetres, in a frame pixels; brightness goes from 0
// to 255.
package qrframes

import "math/rand/v2"

// Subject is what is held before the camera.
type Subject uint8

// The subjects.
const (
	Nothing Subject = iota // the empty lane
	Card                   // an ID-1 card, the code at its upper right
	Phone                  // a phone that shows a code
)

// ECC is the error correction level of a code.
type ECC uint8

// The levels of ISO/IEC 18004: about 7, 15, 25 and 30 % of a code restored.
const (
	L ECC = iota
	M
	Q
	H
)

// Ruined is a [Scene.Damage] that nobody reads: nine codewords of ten are
// wrong. The finder and timing patterns are left, so that it is plain to see
// that a code is in view.
const Ruined = 0.7

// Scene is one frame to be drawn. What it leaves open is drawn from Seed.
type Scene struct {
	Seed uint64
	// Shot numbers the frames of a scene that lasts: the subject moves by a
	// hair from one to the next, and the noise is new.
	Shot    uint64
	Subject Subject
	// Payload is what the code says; with "" the subject carries no code.
	Payload string
	// Version is the code's, 1 to 40; 0 takes the smallest that fits.
	Version int
	ECC     ECC
	// Damage is the share of the code's data area that is worn off, 0 to 1.
	Damage float64
	// Dark shows a light code on dark ground, as phones do at night.
	Dark bool
	View View
	// Backdrop is what is behind the subject.
	Backdrop Backdrop
	// Faults are what else goes wrong. Their order among those of one kind is
	// that in which light meets them.
	Faults []Fault
	// Beside is a second subject in the same frame, farther from the camera. Of
	// its view only size, place and turn count; it has no faults of its own.
	Beside *Scene
}

// View is how the camera sees the subject.
type View struct {
	Width, Height int // of the frame; at most frame.MaxSide
	// ModulePixels is the width of a module at the code's centre. On a subject
	// without a code it is that of a code of 49 modules a side.
	ModulePixels float64
	// X and Y are where the code's centre is, as shares of the frame.
	X, Y float64
	// Roll turns in the plane of the picture, Yaw and Pitch out of it; degrees.
	Roll, Yaw, Pitch float64
	// Blur is the sigma of the optics in pixels.
	Blur float64
	// Noise is the sigma of the sensor in grey levels.
	Noise float64
	// Light is the brightness in the middle of the frame, 1 being just right;
	// Slope how much it changes from the middle to the edge, in direction Sun
	// (degrees).
	Light, Slope, Sun float64
}

// GateView draws the view of a well-mounted camera, 1280×720: sharp enough,
// bright enough, and the subject held to the reading window by a hand that is
// neither steady nor careful. [driver/qr] reads every undamaged code in it
// (held over thousands of seeds by a test).
func GateView(seed uint64) View {
	r := rand.New(rand.NewPCG(seed, 0x766965770a))
	span := func(lo, hi float64) float64 { return lo + (hi-lo)*r.Float64() }
	return View{
		Width: 1280, Height: 720,
		ModulePixels: span(4.2, 5.6),
		X:            span(0.34, 0.66), Y: span(0.40, 0.60),
		Roll: span(-14, 14), Yaw: span(-12, 12), Pitch: span(-12, 12),
		Blur: span(0.5, 0.9), Noise: span(2, 5),
		Light: span(0.75, 1.05), Slope: span(0, 0.22), Sun: span(0, 360),
	}
}

// shaken moves the view as a hand does between two shots.
func (v View) shaken(seed, shot uint64) View {
	if shot == 0 {
		return v
	}
	r := rand.New(rand.NewPCG(seed, shot))
	v.X += (r.Float64() - 0.5) * 0.004
	v.Y += (r.Float64() - 0.5) * 0.006
	v.Roll += (r.Float64() - 0.5) * 0.6
	v.ModulePixels *= 1 + (r.Float64()-0.5)*0.01
	return v
}
