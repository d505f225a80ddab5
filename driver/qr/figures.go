package qr

import (
	"math"

	"gateagent/driver/qr/symbology"
)

// Figures tell how well a code is seen: what somebody who mounts a camera, or
// holds a card before it, can do something about.
type Figures struct {
	// Light is the mean brightness of the light modules, Contrast by how much
	// the dark ones are darker; grey levels, 0 to 255.
	Light, Contrast float64
	// Blur is about the sigma of the blur, in modules: 0.2 is sharp, beyond 0.5
	// hardly anything is read. Motion and a camera out of focus look alike.
	Blur float64
}

// figures measures the symbol that was sampled last. light is its polarity.
func (s *sampler) figures(t *symbology.Template, light bool) Figures {
	n := s.n
	var dark, bright, narrowDark, narrowBright mean
	// The middles of the finder patterns are wide.
	for _, at := range [...]int{3*n + 3, 3*n + n - 4, (n-4)*n + 3} {
		for y := -n; y <= n; y += n {
			for x := -1; x <= 1; x++ {
				dark.add(s.value[at+y+x])
			}
		}
	}
	for i := 8; i < n-8; i++ { // the timing patterns are not
		to := &narrowBright
		if i%2 == 0 {
			to = &narrowDark
		}
		to.add(s.value[6*n+i])
		to.add(s.value[i*n+6])
	}
	for i, k := range t.Kinds {
		if k == symbology.Data && s.dark[i] < 0 {
			bright.add(s.value[i])
		}
	}
	f := Figures{Light: 255 - bright.value(), Contrast: max(dark.value()-bright.value(), 0)}
	if light { // the values are then the brightness itself
		f.Light = dark.value()
	}
	// A pattern of one module on, one off, keeps exp(-(π·sigma)²/2) of its
	// contrast under a blur of sigma.
	if left := (narrowDark.value() - narrowBright.value()) / max(f.Contrast, 1); left > 0 {
		f.Blur = math.Sqrt(2*math.Log(1/min(left, 1))) / math.Pi
	} else {
		f.Blur = 1
	}
	return f
}

type mean struct {
	sum float64
	n   int
}

func (m *mean) add(v float32) { m.sum += float64(v); m.n++ }

func (m *mean) value() float64 {
	if m.n == 0 {
		return 0
	}
	return m.sum / float64(m.n)
}
