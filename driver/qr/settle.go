package qr

import "gateagent/driver/qr/symbology"

// Limits of settling the far corner.
const (
	// settled is the share of what finder and timing patterns score that the
	// alignment pattern next to the far corner has where it is: less is a corner
	// off by half a module.
	settled     = 0.8
	settleShare = 10 // of the symbol's side that the corner may be off, one in so many
	settleReach = 3  // modules that it may be off in any symbol
	settleSpots = 3  // places that are looked at more closely
)

// settle puts the far corner of a likely model where the alignment pattern next
// to it is, if that is not far off: three finders tell nothing of the perspective,
// and this is all that most tilted codes need. side is the score of finder and
// timing patterns. It says whether the corner was moved.
func (f *fitter) settle(m *model, side float32) (moved bool) {
	marks := f.marksOf(symbology.Version(m.n))
	far := marks.points[marks.far:]
	if len(far) == 0 {
		return false // version 1 has none
	}
	start := m.quad[2]
	at := f.patch.score(m, far)
	if at >= settled*side {
		return false
	}
	k := 1 / float32(m.n-2*edge)
	ux, uy := (m.quad[1][0]-m.quad[0][0])*k, (m.quad[1][1]-m.quad[0][1])*k
	vx, vy := (m.quad[3][0]-m.quad[0][0])*k, (m.quad[3][1]-m.quad[0][1])*k
	score := func(i, j float32) float32 {
		m.quad[2] = [2]float32{start[0] + i*ux + j*vx, start[1] + i*uy + j*vy}
		if !m.solve() {
			return -1
		}
		return f.patch.score(m, far)
	}
	var spots [settleSpots]spot
	spots[0].score = at
	keep := func(s spot) {
		for i := range spots {
			if s.score > spots[i].score {
				spots[i], s = s, spots[i]
			}
		}
	}
	reach := max(m.n/settleShare, settleReach)
	// From the middle outwards: it is seldom far.
	for d := 1; d <= reach && spots[0].score < settled*side; d++ {
		for i := -d; i <= d; i++ {
			step := 2 * d
			if i == -d || i == d {
				step = 1
			}
			for j := -d; j <= d; j += step {
				x, y := float32(i), float32(j)
				keep(spot{x, y, score(x, y)})
			}
		}
	}
	var best spot
	for _, s := range spots {
		for _, step := range [...]float32{0.5, 0.25} {
			s.climb(score, step)
		}
		if s.score > best.score {
			best = s
		}
		if best.score >= settled*side {
			break
		}
	}
	if best.score < at+0.1 {
		m.quad[2] = start
		m.solve()
		return false
	}
	score(best.x, best.y)
	return true
}

// spot is a place of the far corner, in modules from where it was thought to be.
type spot struct{ x, y, score float32 }

// climb moves the spot by step as long as that is better, along either axis.
func (s *spot) climb(score func(x, y float32) float32, step float32) {
	for _, d := range [...][2]float32{{step, 0}, {0, step}} {
		for _, sign := range [...]float32{1, -1} {
			x, y := s.x+sign*d[0], s.y+sign*d[1]
			if v := score(x, y); v > s.score {
				s.x, s.y, s.score = x, y, v
				break
			}
		}
	}
}
