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
