package qr

// mesh is how a bent card's modules are displaced from a flat one's: nine
// displacements in modules on the 3×3 grid of u, v = 0, ½, 1, and between and
// beyond them the parabolas through these.
type mesh struct{ node [3][3][2]float32 }

// at gives the displacement at (u, v), in modules.
func (b *mesh) at(u, v float32) (du, dv float32) {
	wu, wv := parabola(u), parabola(v)
	for j := range 3 {
		for i := range 3 {
			w := wu[i] * wv[j]
			du += w * b.node[j][i][0]
			dv += w * b.node[j][i][1]
		}
	}
	return du, dv
}

// parabola gives the weights of the values at 0, ½ and 1.
func parabola(t float32) [3]float32 {
	return [3]float32{(2*t - 1) * (t - 1), 4 * t * (1 - t), t * (2*t - 1)}
}

// Steps of the mesh's descent, in modules.
var meshSteps = [...]float32{0.6, 0.3, 0.15, 0.08}

const (
	meshVersion = 2 // the least that has an alignment pattern
	meshReach   = 3 // modules that an alignment pattern is sought about its place
	meshNodes   = 9
)

// bent is a mark while a mesh is fitted: where it lies, how much each of the
// nine displacements counts there, and what they add up to.
type bent struct {
	u, v, sign float32
	weight     [meshNodes]float32
	shift      [2]float32 // modules
}

// bendTo fits a bent model to what a flat one fits badly: each alignment pattern
// is sought alone, then all displacements are moved together. The mesh is the
// fitter's, good until the next call.
func (f *fitter) bendTo(m *model) (score float32) {
	version := (m.n - 17) / 4
	f.patch.develop()
	f.meshing = mesh{}
	m.bend = nil
	f.seekAlignment(m, version)
	m.bend = &f.meshing
	f.bendMarks(m, f.marksOf(version))
	score = f.bentScore(m, 0, [2]float32{})
	for _, step := range meshSteps {
		for range 3 {
			before := score
			for node := range meshNodes {
				score = f.shift(m, score, node, [2]float32{step, 0})
				score = f.shift(m, score, node, [2]float32{0, step})
			}
			if score-before < 0.004 {
				break
			}
		}
	}
	return score
}

// bendMarks prepares the marks for the mesh as it is.
func (f *fitter) bendMarks(m *model, marks *marks) {
	k := 1 / float32(m.n-2*edge)
	f.bents = f.bents[:0]
	for _, p := range marks.points {
		b := bent{u: (p.x - edge) * k, v: (p.y - edge) * k, sign: p.sign}
		wu, wv := parabola(b.u), parabola(b.v)
		for node := range meshNodes {
			b.weight[node] = wu[node%3] * wv[node/3]
		}
		b.shift[0], b.shift[1] = f.meshing.at(b.u, b.v)
		f.bents = append(f.bents, b)
	}
}

// bentScore is the score with one node displaced by so much more.
func (f *fitter) bentScore(m *model, node int, by [2]float32) float32 {
	k := 1 / float32(m.n-2*edge)
	sum := float32(0)
	for i := range f.bents {
		b := &f.bents[i]
		w := b.weight[node]
		u, v := b.u+(b.shift[0]+w*by[0])*k, b.v+(b.shift[1]+w*by[1])*k
		z := 1 / (m.g*u + m.h*v + 1)
		sum += b.sign * f.patch.at(f.patch.norm, (m.a*u+m.b*v+m.c)*z, (m.d*u+m.e*v+m.f)*z)
	}
	return sum / float32(len(f.bents))
}

// shift displaces a node both ways and keeps what is better.
func (f *fitter) shift(m *model, best float32, node int, by [2]float32) float32 {
	for _, by := range [...][2]float32{{-by[0], -by[1]}, by} {
		s := f.bentScore(m, node, by)
		if s <= best {
			continue
		}
		at := &f.meshing.node[node/3][node%3]
		at[0] += by[0]
		at[1] += by[1]
		for i := range f.bents {
			b := &f.bents[i]
			b.shift[0] += b.weight[node] * by[0]
			b.shift[1] += b.weight[node] * by[1]
		}
		return s
	}
	return best
}

// seekAlignment sets the displacements of the nodes that have an alignment
// pattern near, each from that pattern alone.
func (f *fitter) seekAlignment(m *model, version int) {
	centres := f.tables.Template(version).Centres
	last := len(centres) - 1
	grid := [3]int{0, (last + 1) / 2, last}
	for j, cj := range grid {
		for i, ci := range grid {
			if (i == 0 || i == 2) && j == 0 || i == 0 && j == 2 {
				continue // finder patterns
			}
			if last == 1 && (i == 1 || j == 1) {
				continue // before version 7 there are none between; timing patterns must do
			}
			x, y := float32(centres[ci])+0.5, float32(centres[cj])+0.5
			best := float32(0.35) // what nothing scores by chance
			for dy := float32(-meshReach); dy <= meshReach; dy += 0.5 {
				for dx := float32(-meshReach); dx <= meshReach; dx += 0.5 {
					if s := f.alignmentScore(m, x+dx, y+dy) - 0.02*(dx*dx+dy*dy); s > best {
						best = s
						f.meshing.node[j][i] = [2]float32{dx, dy}
					}
				}
			}
		}
	}
}

// alignmentScore is the score of an alignment pattern with its middle at (x, y),
// modules.
func (f *fitter) alignmentScore(m *model, x, y float32) float32 {
	sum := float32(0)
	for j := -2; j <= 2; j++ {
		for i := -2; i <= 2; i++ {
			px, py := m.place(x+float32(i), y+float32(j))
			v := f.patch.lit(px, py)
			if max(absInt(i), absInt(j)) == 1 {
				v = -v
			}
			sum += v
		}
	}
	return sum / 25
}
