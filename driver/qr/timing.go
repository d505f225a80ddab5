package qr

import "gateagent/driver/qr/symbology"

// rail is a line of the patch along a timing pattern, from beside one finder's
// middle to beside the other's, sampled so finely that any number of modules in
// any perspective can be counted on it.
type rail struct {
	samples [maxRail]float32
	n       int
}

const (
	maxRail       = railPerModule * (symbology.MaxSize - 2*edge)
	railPerModule = 4
	// What finders tell of the perspective is that much off at most: they are
	// seven modules wide.
	railReach = 0.12
	// railFits is the least that timing patterns fit along their rails, in the
	// mean of both, to be believed.
	railFits = 0.3
)

// lay samples the rail of the upper side, or of the left one, of a model.
func (r *rail) lay(p *patch, m *model, left bool) {
	const row = 6.5 // of the timing pattern
	x0, y0 := float32(edge), float32(row)
	x1, y1 := float32(m.n)-edge, float32(row)
	if left {
		x0, y0, x1, y1 = y0, x0, y1, x1
	}
	ax, ay := m.place(x0, y0)
	bx, by := m.place(x1, y1)
	r.n = min(railPerModule*(m.n-2*edge), maxRail)
	dx, dy := (bx-ax)/float32(r.n-1), (by-ay)/float32(r.n-1)
	for i := range r.n {
		r.samples[i] = p.lit(ax+float32(i)*dx, ay+float32(i)*dy)
	}
}

// count is how well the timing pattern of a symbol of n modules a side fits whose
// far end is so much farther away.
func (r *rail) count(n int, farther float32) float32 {
	k := 1 / float32(n-2*edge)
	last := float32(r.n - 1)
	sum := float32(0)
	sign := float32(-1) // the first is light
	for i := 7; i < n-7; i++ {
		u := (float32(i) + 0.5 - edge) * k
		at := int(last*(1+farther)*u/(1+farther*u) + 0.5)
		sum += sign * r.samples[min(max(at, 0), r.n-1)]
		sign = -sign
	}
	return sum / float32(n-14)
}

// farther seeks how much farther away the end is for a symbol of n modules a side,
// about what the finders tell, and how well that fits.
func (r *rail) farther(n int, about float32) (best, fits float32) {
	// In the middle of the side, a step is half a module.
	step := 2 / float32(n-2*edge)
	best, fits = about, r.count(n, about)
	try := func(f float32) {
		if s := r.count(n, f); s > fits {
			best, fits = f, s
		}
	}
	for d := step; d <= railReach; d += step {
		try(about + d)
		try(about - d)
	}
	for range 2 {
		step /= 2
		at := best
		try(at + step)
		try(at - step)
	}
	return best, fits
}

// tilt moves the far corner to where it is if the ends of the sides are so much
// farther away than the corner.
func (m *model) tilt(farther [2]float32) {
	q := &m.quad
	g, h := farther[0], farther[1]
	for i := range 2 {
		q[2][i] = ((1+g)*q[1][i] + (1+h)*q[3][i] - q[0][i]) / (1 + g + h)
	}
}

// layRails lays the rails of both sides of a triple.
func (f *fitter) layRails(t *triple, quad [4][2]float32) bool {
	n := min(max(int(t.n+0.5), symbology.Size(symbology.MinVersion)), symbology.MaxSize)
	m := model{n: n, quad: quad}
	m.tilt(t.recede)
	if !m.solve() {
		return false
	}
	for i := range f.rails {
		f.rails[i].lay(&f.patch, &m, i == 1)
	}
	return true
}

// alongRails gives a guess the perspective in which the timing patterns fit best,
// if that is better than what it has.
func (f *fitter) alongRails(t *triple, g *guess) {
	m := model{n: symbology.Size(g.version), quad: g.quad}
	u, fitsU := f.rails[0].farther(m.n, t.recede[0])
	v, fitsV := f.rails[1].farther(m.n, t.recede[1])
	if fitsU+fitsV < 2*railFits {
		return
	}
	m.tilt([2]float32{u, v})
	if !m.solve() {
		return
	}
	if s, _ := f.sideScores(&m); s > g.score {
		g.quad, g.score = m.quad, s
	}
}
