package qr

import "gateagent/driver/qr/symbology"

// equaliser learns from the modules whose colour is known how their neighbours
// bleed into them, by blur or motion, and takes that out of all: a linear
// filter by ridge least squares. In further rounds it learns from its own
// decisions too.
type equaliser struct {
	input []float32 // the modules, their light taken out; a margin of 2 about them
	sum   [equaliserSize][equaliserSize]float64
	right [equaliserSize]float64
	tap   [equaliserSize]float64
	row   [equaliserSize]float32
}

const (
	equaliserReach = 2 // modules each way
	equaliserTaps  = (2*equaliserReach + 1) * (2*equaliserReach + 1)
	equaliserSize  = equaliserTaps + 1 // and a constant
	equaliserRidge = 0.02              // of the number of modules learnt from
)

// load takes the measured modules: less their local mean, in units of their
// local deviation.
func (e *equaliser) load(s *sampler) {
	n := s.n
	w := n + 2*equaliserReach
	if cap(e.input) < w*w {
		e.input = make([]float32, w*w)
	}
	e.input = e.input[:w*w]
	clear(e.input)
	s.sharpen(0, 4)
	// Deviation: the mean of the absolute differences, over the same square.
	for i, v := range s.dark {
		s.sharp[i] = abs32(v)
	}
	spread := s.sharp
	integral(s.sums, spread, n)
	const reach = 6
	for y := range n {
		for x := range n {
			mean := boxMean(s.sums, n, x, y, reach)
			e.input[(y+equaliserReach)*w+x+equaliserReach] = s.dark[y*n+x] / (mean + 2)
		}
	}
}

// train solves for the taps and applies them: the result is in s.dark. In the
// first round only the modules that the version fixes are learnt from.
func (e *equaliser) train(s *sampler, t *symbology.Template, first bool) bool {
	n := s.n
	w := n + 2*equaliserReach
	e.sum, e.right = [equaliserSize][equaliserSize]float64{}, [equaliserSize]float64{}
	count := 0.0
	for y := range n {
		for x := range n {
			i := y*n + x
			var want, weight float32
			switch k := t.Kinds[i]; {
			case k != symbology.Data && k != symbology.FormatBit:
				want, weight = -1, 2
				if t.Dark[i] {
					want = 1
				}
			case first:
				continue
			default:
				want, weight = -1, min(abs32(s.dark[i]), 1)
				if s.dark[i] > 0 {
					want = 1
				}
			}
			e.gather(w, x, y)
			count += float64(weight)
			for a := range equaliserSize {
				va := e.row[a] * weight
				if va == 0 {
					continue
				}
				e.right[a] += float64(va * want)
				sum := &e.sum[a]
				for b := 0; b <= a; b++ {
					sum[b] += float64(va * e.row[b])
				}
			}
		}
	}
	for a := range equaliserSize {
		e.sum[a][a] += equaliserRidge*count + 1e-3
	}
	if !e.solve() {
		return false
	}
	for y := range n {
		for x := range n {
			e.gather(w, x, y)
			v := 0.0
			for a, r := range e.row {
				v += e.tap[a] * float64(r)
			}
			s.dark[y*n+x] = float32(v)
		}
	}
	return true
}

// gather collects the neighbourhood of a module.
func (e *equaliser) gather(w, x, y int) {
	k := 0
	for dy := range 2*equaliserReach + 1 {
		k += copy(e.row[k:], e.input[(y+dy)*w+x:][:2*equaliserReach+1])
	}
	e.row[k] = 1
}

// solve is Cholesky's method on the lower triangle of sum.
func (e *equaliser) solve() bool {
	a := &e.sum
	for i := range equaliserSize {
		for j := 0; j <= i; j++ {
			v := a[i][j]
			for k := range j {
				v -= a[i][k] * a[j][k]
			}
			if i == j {
				if v <= 0 {
					return false
				}
				a[i][i] = sqrt(v)
			} else {
				a[i][j] = v / a[j][j]
			}
		}
	}
	for i := range equaliserSize {
		v := e.right[i]
		for k := range i {
			v -= a[i][k] * e.tap[k]
		}
		e.tap[i] = v / a[i][i]
	}
	for i := equaliserSize - 1; i >= 0; i-- {
		v := e.tap[i]
		for k := i + 1; k < equaliserSize; k++ {
			v -= a[k][i] * e.tap[k]
		}
		e.tap[i] = v / a[i][i]
	}
	return true
}
