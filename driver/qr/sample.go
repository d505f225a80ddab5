package qr

import "gateagent/driver/qr/symbology"

// sampler turns a fitted patch into the modules of a symbol.
type sampler struct {
	n     int
	value []float32 // darkness of each module
	sharp []float32 // the same, sharpened
	dark  []float32 // less the local threshold: what is decoded
	sums  []float32 // scratch: integral of the sharpened values
}

func (s *sampler) grow(n int) {
	s.n = n
	if cap(s.value) < n*n {
		s.value, s.sharp, s.dark = make([]float32, n*n), make([]float32, n*n), make([]float32, n*n)
		s.sums = make([]float32, (n+1)*(n+1))
	}
	s.value, s.sharp, s.dark = s.value[:n*n], s.sharp[:n*n], s.dark[:n*n]
	s.sums = s.sums[:(n+1)*(n+1)]
}

// take measures each module at nine places about its middle, weighted 1-2-1
// both ways; at five of them in a hurry.
func (s *sampler) take(p *patch, m *model, fast bool) {
	n := m.n
	s.grow(n)
	spread := float32(0.28)
	if m.module() < 1.7 {
		spread = 0.15
	}
	for y := range n {
		// Within a module the perspective is as good as straight, and from the
		// first module of a row to the last its sides change evenly.
		rx, ry, dx, dy := m.sides(0, y, spread)
		farRX, farRY, farDX, farDY := m.sides(n-1, y, spread)
		k := 1 / float32(n-1)
		stepRX, stepRY, stepDX, stepDY := (farRX-rx)*k, (farRY-ry)*k, (farDX-dx)*k, (farDY-dy)*k
		for x := range n {
			cx, cy := m.place(float32(x)+0.5, float32(y)+0.5)
			if m.bend != nil {
				rx, ry, dx, dy = m.sides(x, y, spread)
			}
			sum := 4 * p.at(p.dark, cx, cy)
			sum += 2 * (p.at(p.dark, cx-rx, cy-ry) + p.at(p.dark, cx+rx, cy+ry) +
				p.at(p.dark, cx-dx, cy-dy) + p.at(p.dark, cx+dx, cy+dy))
			if fast {
				s.value[y*n+x] = sum / 12
			} else {
				sum += p.at(p.dark, cx-rx-dx, cy-ry-dy) + p.at(p.dark, cx+rx-dx, cy+ry-dy) +
					p.at(p.dark, cx-rx+dx, cy-ry+dy) + p.at(p.dark, cx+rx+dx, cy+ry+dy)
				s.value[y*n+x] = sum / 16
			}
			rx, ry, dx, dy = rx+stepRX, ry+stepRY, dx+stepDX, dy+stepDY
		}
	}
}

// sides gives how far it is, in pixels of the patch, from the middle of a module
// to spread modules right of it, and to as much below it.
func (m *model) sides(x, y int, spread float32) (rx, ry, dx, dy float32) {
	fx, fy := float32(x)+0.5, float32(y)+0.5
	cx, cy := m.place(fx, fy)
	rx, ry = m.place(fx+spread, fy)
	dx, dy = m.place(fx, fy+spread)
	return rx - cx, ry - cy, dx - cx, dy - cy
}

// sharpen adds k times what a module differs from its four neighbours, and
// takes off the mean of the square of 2·reach+1 modules about it.
func (s *sampler) sharpen(k float32, reach int) {
	n := s.n
	for y := range n {
		up, down := max(y-1, 0)*n, min(y+1, n-1)*n
		for x := range n {
			v := s.value[y*n+x]
			around := s.value[up+x] + s.value[down+x] + s.value[y*n+max(x-1, 0)] + s.value[y*n+min(x+1, n-1)]
			s.sharp[y*n+x] = v + k*(v-around/4)
		}
	}
	s.level(reach)
}

// level takes the local mean off the sharpened values.
func (s *sampler) level(reach int) {
	n := s.n
	integral(s.sums, s.sharp, n)
	for y := range n {
		for x := range n {
			s.dark[y*n+x] = s.sharp[y*n+x] - boxMean(s.sums, n, x, y, reach)
		}
	}
}

// integral sums an n×n field over all rectangles from its corner; sums is of
// n+1 by n+1.
func integral(sums, field []float32, n int) {
	w := n + 1
	clear(sums[:w])
	for y := range n {
		row := float32(0)
		sums[(y+1)*w] = 0
		for x := range n {
			row += field[y*n+x]
			sums[(y+1)*w+x+1] = sums[y*w+x+1] + row
		}
	}
}

// boxMean is the mean of an integrated field over a square about (x, y), of
// what there is of it at the edges.
func boxMean(sums []float32, n, x, y, reach int) float32 {
	w := n + 1
	top, bottom := max(y-reach, 0), min(y+reach+1, n)
	left, right := max(x-reach, 0), min(x+reach+1, n)
	sum := sums[bottom*w+right] - sums[top*w+right] - sums[bottom*w+left] + sums[top*w+left]
	return sum / float32((bottom-top)*(right-left))
}

func (s *sampler) grid() symbology.Grid { return symbology.Grid{N: s.n, Dark: s.dark} }
