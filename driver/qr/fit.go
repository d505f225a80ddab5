package qr

import (
	"cmp"
	"slices"

	"gateagent/driver/qr/symbology"
)

// model is where a symbol's modules lie in a patch: the square between the
// middles of the three finder patterns, and of a fourth that would complete it,
// seen in perspective, plus what a bent card adds.
type model struct {
	n    int
	quad [4][2]float32 // corner, right, far, lower; pixels of the patch
	bend *mesh         // nil for a flat one
	// of quad: x = (a·u+b·v+c)/(g·u+h·v+1), u and v from 0 to 1
	a, b, c, d, e, f, g, h float32
}

// edge is how far the finder patterns' middles are from the symbol's edge, in
// modules.
const edge = 3.5

// solve computes the coefficients from the quad. ok is false for a quad that is
// no picture of a square.
func (m *model) solve() (ok bool) {
	x0, y0 := m.quad[0][0], m.quad[0][1]
	x1, y1 := m.quad[1][0], m.quad[1][1]
	x2, y2 := m.quad[2][0], m.quad[2][1]
	x3, y3 := m.quad[3][0], m.quad[3][1]
	dx1, dy1 := x1-x2, y1-y2
	dx2, dy2 := x3-x2, y3-y2
	sx, sy := x0-x1+x2-x3, y0-y1+y2-y3
	det := dx1*dy2 - dx2*dy1
	if abs32(det) < 1 {
		return false
	}
	m.g = (sx*dy2 - dx2*sy) / det
	m.h = (dx1*sy - sx*dy1) / det
	m.a, m.b, m.c = x1-x0+m.g*x1, x3-x0+m.h*x3, x0
	m.d, m.e, m.f = y1-y0+m.g*y1, y3-y0+m.h*y3, y0
	// The horizon must not cross the symbol, nor come near.
	return min(1, 1+m.g, 1+m.h, 1+m.g+m.h) > 0.2
}

// place gives where the point (x, y), in modules, lies in the patch.
func (m *model) place(x, y float32) (px, py float32) {
	k := 1 / float32(m.n-2*edge)
	u, v := (x-edge)*k, (y-edge)*k
	if m.bend != nil {
		du, dv := m.bend.at(u, v)
		u, v = u+du*k, v+dv*k
	}
	w := 1 / (m.g*u + m.h*v + 1)
	return (m.a*u + m.b*v + m.c) * w, (m.d*u + m.e*v + m.f) * w
}

// module is how many pixels of the patch a module is wide, in the mean.
func (m *model) module() float32 {
	q := &m.quad
	around := float32(0)
	for i := range q {
		j := (i + 1) % 4
		around += hypot(q[j][0]-q[i][0], q[j][1]-q[i][1])
	}
	return around / (4 * float32(m.n-2*edge))
}

// marks are the modules whose colour the version fixes: finder patterns with
// their separators, timing and alignment patterns, version information. How
// well they fit is the judge of what is a code.
type marks struct {
	version int
	points  []mark
	finders int // how many of the first are of finder patterns and separators
	timing  int // and how many after them of the timing patterns
	far     int // from here: the alignment pattern next to the far corner
}

type mark struct{ x, y, sign float32 }

func newMarks(t *symbology.Template) *marks {
	m := &marks{version: t.Version}
	take := func(want ...symbology.Kind) {
		for i, k := range t.Kinds {
			x, y := i%t.N, i/t.N
			last := k == symbology.Alignment && x > t.N-10 && y > t.N-10
			for _, w := range want {
				if k != w || last {
					continue
				}
				sign := float32(-1)
				if t.Dark[i] {
					sign = 1
				}
				m.points = append(m.points, mark{float32(x) + 0.5, float32(y) + 0.5, sign})
			}
		}
	}
	take(symbology.Finder)
	m.finders = len(m.points)
	take(symbology.Timing)
	m.timing = len(m.points) - m.finders
	take(symbology.Alignment, symbology.VersionBit)
	m.far = len(m.points)
	if t.Version >= 2 {
		for y := t.N - 9; y < t.N-4; y++ {
			for x := t.N - 9; x < t.N-4; x++ {
				sign := float32(-1)
				if t.Dark[y*t.N+x] {
					sign = 1
				}
				m.points = append(m.points, mark{float32(x) + 0.5, float32(y) + 0.5, sign})
			}
		}
	}
	return m
}

// score is the mean of sign times normalised darkness over marks: 1 or more for
// a sharp code, 0.5 for one hardly readable, 0.4 at most for what is none.
func (p *patch) score(m *model, points []mark) float32 {
	k := 1 / float32(m.n-2*edge)
	sum := float32(0)
	for i := range points {
		q := &points[i]
		u, v := (q.x-edge)*k, (q.y-edge)*k
		if m.bend != nil {
			du, dv := m.bend.at(u, v)
			u, v = u+du*k, v+dv*k
		}
		w := 1 / (m.g*u + m.h*v + 1)
		sum += q.sign * p.lit((m.a*u+m.b*v+m.c)*w, (m.d*u+m.e*v+m.f)*w)
	}
	return sum / float32(len(points))
}

// restScore is the score of all marks but those of finder patterns.
func (f *fitter) restScore(m *model) float32 {
	marks := f.marksOf(symbology.Version(m.n))
	return f.patch.score(m, marks.points[marks.finders:])
}

// fitter finds the model that fits a triple best. It keeps its tables.
type fitter struct {
	tables  *symbology.Decoder
	marks   [symbology.MaxVersion + 1]*marks
	patch   patch
	meshing mesh
	bents   []bent
	rails   [2]rail
	room    [2*maxReach + 1]guess
	guesses []guess // of the triple at hand, in room
}

func (f *fitter) marksOf(version int) *marks {
	if f.marks[version] == nil {
		f.marks[version] = newMarks(f.tables.Template(version))
	}
	return f.marks[version]
}

// Limits of the fit.
const (
	versionReach = 2  // versions about the estimate that are tried,
	reachShare   = 16 // and one more for so many versions
	maxReach     = versionReach + symbology.MaxVersion/reachShare
	worthFitting = 0.35 // score of finder and timing patterns before the fit
	wellPlaced   = 0.8  // score at which the far corner need not be sought
	surelyTimed  = 0.7  // score of timing patterns that only the right version has,
	surelyNear   = 1    // and by how many modules the estimate may then be off
	cornerReach  = .16  // how far off the far corner may be, of the symbol's side
)

// trust is the model that three finders make with the far corner where it was in
// the last frame, far from completing a parallelogram by so many sides.
func (f *fitter) trust(t *triple, version int, far [2]float32) (m model, ok bool) {
	m.n = symbology.Size(version)
	m.quad = f.quadOf(t)
	q := &m.quad
	for i := range 2 {
		q[2][i] += far[0]*(q[1][i]-q[0][i]) + far[1]*(q[3][i]-q[0][i])
	}
	return m, m.solve()
}

// farOf is how far the far corner is from completing a parallelogram, in sides.
func (m *model) farOf() (far [2]float32) {
	q := &m.quad
	ux, uy := q[1][0]-q[0][0], q[1][1]-q[0][1]
	vx, vy := q[3][0]-q[0][0], q[3][1]-q[0][1]
	dx, dy := q[2][0]-q[1][0]-vx, q[2][1]-q[1][1]-vy
	det := ux*vy - uy*vx
	if det == 0 {
		return far
	}
	return [2]float32{(dx*vy - dy*vx) / det, (ux*dy - uy*dx) / det}
}

// quadOf is the parallelogram of three finders.
func (f *fitter) quadOf(t *triple) (quad [4][2]float32) {
	p := &f.patch
	quad[0][0], quad[0][1] = p.to(t.corner.x, t.corner.y)
	quad[1][0], quad[1][1] = p.to(t.right.x, t.right.y)
	quad[3][0], quad[3][1] = p.to(t.lower.x, t.lower.y)
	for i := range 2 {
		quad[2][i] = quad[1][i] + quad[3][i] - quad[0][i]
	}
	return quad
}

// guess is a version, and a quad for it.
type guess struct {
	version int
	quad    [4][2]float32
	score   float32 // of finder and timing patterns
}

// guessed is the model of the likeliest guess, not fitted any further. The score
// is 0 where nothing fits at all.
func (f *fitter) guessed() (m model, score float32) {
	if len(f.guesses) == 0 || f.guesses[0].score < worthFitting {
		return m, 0
	}
	g := &f.guesses[0]
	m = model{n: symbology.Size(g.version), quad: g.quad}
	m.solve()
	return m, f.patch.score(&m, f.marksOf(g.version).points)
}

// fit fits the likeliest guesses.
func (f *fitter) fit() (best model, score float32) {
	if len(f.guesses) == 0 || f.guesses[0].score < worthFitting {
		return best, 0
	}
	f.patch.develop()
	for i := range f.guesses[:min(len(f.guesses), 3)] {
		g := &f.guesses[i]
		if i > 0 && (score > 0.62 || g.score < f.guesses[0].score-0.3) {
			break
		}
		m := model{n: symbology.Size(g.version), quad: g.quad}
		if s := f.refine(&m); s > score {
			best, score = m, s
		}
	}
	return best, score
}

// guess lists the versions about what the finders of a triple tell, the likeliest
// first, once its patch is cut. Finder and timing patterns tell them apart before
// the far corner is known: they lie along the sides that are. Where no version fits
// as it is seen from straight ahead, each is fitted along the timing patterns alone.
// expected is the version if it is known, else 0.
func (f *fitter) guess(t *triple, expected int) {
	estimate := min(max(int((t.n-17)/4+0.5), symbology.MinVersion), symbology.MaxVersion)
	reach := versionReach + estimate/reachShare
	least, most := max(estimate-reach, symbology.MinVersion), min(estimate+reach, symbology.MaxVersion)
	if expected != 0 {
		least, most = expected, expected
	}
	f.guesses = f.room[:0]
	m := model{quad: f.quadOf(t)}
	if !m.solve() {
		return
	}
	top := float32(0)
	m.n = symbology.Size(estimate)
	near := abs32(t.n-float32(m.n)) <= surelyNear
	if s, timing := f.sideScores(&m); near && expected == 0 && timing >= surelyTimed && s >= wellPlaced {
		f.guesses = append(f.guesses, guess{estimate, m.quad, s}) // no other fits its timing patterns
		return
	}
	for v := least; v <= most; v++ {
		m.n = symbology.Size(v)
		s, _ := f.sideScores(&m)
		top = max(top, s)
		f.guesses = append(f.guesses, guess{v, m.quad, s})
	}
	if top < wellPlaced && f.layRails(t, m.quad) {
		for i := range f.guesses {
			f.alongRails(t, &f.guesses[i])
		}
	}
	slices.SortStableFunc(f.guesses, func(a, b guess) int { return cmp.Compare(b.score, a.score) })
}

// sideScores is the score of finder and timing patterns, and of the latter alone.
func (f *fitter) sideScores(m *model) (both, timing float32) {
	marks := f.marksOf(symbology.Version(m.n))
	finders := f.patch.score(m, marks.points[:marks.finders])
	timing = f.patch.score(m, marks.points[marks.finders:marks.finders+marks.timing])
	n, k := float32(marks.finders), float32(marks.timing)
	return (finders*n + timing*k) / (n + k), timing
}

// corner seeks the far corner alone.
func (f *fitter) corner(m *model) (score float32) {
	f.patch.develop()
	f.farCorner(m)
	return f.patch.score(m, f.marksOf(symbology.Version(m.n)).points)
}

// refine seeks the far corner, then moves all four.
func (f *fitter) refine(m *model) float32 {
	p, marks := &f.patch, f.marksOf(symbology.Version(m.n))
	if !m.solve() {
		return 0
	}
	best := p.score(m, marks.points)
	if best < wellPlaced {
		f.farCorner(m)
		best = p.score(m, marks.points)
	}
	if best < 0.15 || f.restScore(m) < 0.05 {
		return best
	}
	module := m.module()
	for _, step := range [...]float32{0.6, 0.3, 0.15} {
		for range 3 {
			before := best
			for c := range m.quad {
				if c == 2 && marks.far == len(marks.points) {
					continue // version 1: nothing near the far corner tells where it is
				}
				for axis := range 2 {
					best = f.nudge(m, marks, best, &m.quad[c][axis], step*module)
				}
			}
			if best-before < 0.003 {
				break
			}
		}
		if best < 0.25 {
			return best
		}
	}
	m.solve()
	return best
}

// nudge moves one number both ways and keeps what is better.
func (f *fitter) nudge(m *model, marks *marks, best float32, v *float32, step float32) float32 {
	old := *v
	keep := old
	for _, to := range [...]float32{old - step, old + step} {
		*v = to
		if m.solve() {
			if s := f.patch.score(m, marks.points); s > best {
				best, keep = s, to
				break
			}
		}
	}
	*v = keep
	m.solve()
	return best
}

// farCorner tries places about the one that completes a parallelogram. The
// alignment pattern next to it decides; the best few are judged by all marks.
func (f *fitter) farCorner(m *model) {
	p, marks := &f.patch, f.marksOf(symbology.Version(m.n))
	far := marks.points[marks.far:]
	if len(far) == 0 {
		return // version 1: only the finder patterns tell of perspective
	}
	reach := max(int(cornerReach*float32(m.n)), 4)
	module := float32(m.n - 2*edge)
	ux, uy := (m.quad[1][0]-m.quad[0][0])/module, (m.quad[1][1]-m.quad[0][1])/module
	vx, vy := (m.quad[3][0]-m.quad[0][0])/module, (m.quad[3][1]-m.quad[0][1])/module
	type place struct {
		at    [2]float32
		score float32
	}
	var best [6]place
	for i := range best {
		best[i].score = -10
	}
	start := m.quad[2]
	for j := -reach; j <= reach; j++ {
		for i := -reach; i <= reach; i++ {
			fi, fj := float32(i), float32(j)
			m.quad[2] = [2]float32{start[0] + fi*ux + fj*vx, start[1] + fi*uy + fj*vy}
			if !m.solve() {
				continue
			}
			s := p.score(m, far) - 0.004*(fi*fi+fj*fj)*100/float32(m.n*m.n)
			at := len(best)
			for ; at > 0 && best[at-1].score < s; at-- {
				if at < len(best) {
					best[at] = best[at-1]
				}
			}
			if at < len(best) {
				best[at] = place{m.quad[2], s}
			}
		}
	}
	m.quad[2] = start
	top, keep := float32(-10), start
	for i := -1; i < len(best); i++ {
		if i >= 0 {
			if best[i].score == -10 {
				break
			}
			m.quad[2] = best[i].at
		}
		if m.solve() {
			if s := p.score(m, marks.points); s > top {
				top, keep = s, m.quad[2]
			}
		}
	}
	m.quad[2] = keep
	m.solve()
}
