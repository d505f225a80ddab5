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
// both ways; at five of them, or one, in a hurry.
func (s *sampler) take(p *patch, m *model, fast bool) {
	n := m.n
	s.grow(n)
	spread := float32(0.28)
	count, weight := 9, float32(1)/16
	small := m.module() < 1.7
	switch {
	case small && fast:
		count, weight = 1, float32(1)/4 // four pixels are in it
	case fast:
		count, weight = 5, float32(1)/12
	case small:
		spread = 0.15
	}
	// Within a module, and from one to its neighbours, the perspective is as
	// good as straight.
	together := sampleTogether
	if m.bend != nil {
		together = 1
	}
	var places [9]weighed
	for y := range n {
		out := s.value[y*n : (y+1)*n]
		for x := range out {
			if x%together == 0 {
				rx, ry, dx, dy := m.sides(min(x+together/2, n-1), y, spread)
				places = [9]weighed{
					{0, 0, 4},
					{-rx, -ry, 2},
					{rx, ry, 2},
					{-dx, -dy, 2},
					{dx, dy, 2},
					{-rx - dx, -ry - dy, 1},
					{rx - dx, ry - dy, 1},
					{dx - rx, dy - ry, 1},
					{rx + dx, ry + dy, 1},
				}
			}
			cx, cy := m.place(float32(x)+0.5, float32(y)+0.5)
			out[x] = p.sum(cx, cy, places[:count]) * weight
		}
	}
}

// sampleTogether is how many modules in a row are measured at the same places
// about their middles.
const sampleTogether = 8

// weighed is a place about another, in pixels of the patch, and how much it
// counts.
type weighed struct{ x, y, weight float32 }

// sum adds up the darkness at places about (x, y): what at tells, without a call
// for each.
func (p *patch) sum(x, y float32, places []weighed) (sum float32) {
	right, bottom := float32(p.w)-1.5, float32(p.h)-1.5 // beyond, at minds the edge
	dark, w := p.dark, p.w
	for i := range places {
		q := &places[i]
		px, py := x+q.x-0.5, y+q.y-0.5
		if !(px >= 0 && py >= 0 && px < right && py < bottom) {
			sum += q.weight * p.at(dark, px+0.5, py+0.5)
			continue
		}
		ix, iy := int32(px), int32(py)
		fx, fy := px-float32(ix), py-float32(iy)
		at := int(iy)*w + int(ix)
		u, v := dark[at:at+2], dark[at+w:at+w+2]
		top := u[0] + (u[1]-u[0])*fx
		sum += q.weight * (top + (v[0]+(v[1]-v[0])*fx-top)*fy)
	}
	return sum
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
	if k == 0 {
		copy(s.sharp, s.value)
	}
	for y := 0; y < n && k != 0; y++ {
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
	w, side := n+1, 2*reach+1
	for y := range n {
		in, out := s.sharp[y*n:(y+1)*n], s.dark[y*n:(y+1)*n]
		top, bottom := max(y-reach, 0), min(y+reach+1, n)
		upper, lower := s.sums[top*w:(top+1)*w], s.sums[bottom*w:(bottom+1)*w]
		k := 1 / float32((bottom-top)*side)
		x := 0
		for ; x < reach; x++ {
			out[x] = in[x] - boxMean(s.sums, n, x, y, reach)
		}
		for ; x+reach < n; x++ {
			out[x] = in[x] - k*(lower[x+reach+1]-upper[x+reach+1]-lower[x-reach]+upper[x-reach])
		}
		for ; x < n; x++ {
			out[x] = in[x] - boxMean(s.sums, n, x, y, reach)
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
