package qr

import "math"

// light is the local mean of a plane and its local deviation, on a grid of
// cells: they change slowly, over the square that they are taken of. Between the
// middles of cells they are interpolated.
type light struct {
	w, h          int // of the plane
	cell          int // pixels a side
	columns, rows int
	mean, scale   []float32 // of each cell's square; scale is 1/(deviation + few)
	sum, sq       []float32 // of each cell, then of five cells below each other
	row           []float32 // scratch: mean and scale along a row of pixels
}

// lightCells is how many cells each way the mean is taken of.
const lightCells = 3

// measure takes the mean over squares that reach so many pixels each way, of
// what there is of them at the edges.
func (l *light) measure(plane []float32, w, h, reach int) {
	l.grow(w, h, reach)
	for y := range h {
		l.add(y, plane[y*w:(y+1)*w])
	}
	l.spread()
}

func (l *light) grow(w, h, reach int) {
	l.w, l.h = w, h
	l.cell = max((2*min(reach, 100)+1+lightCells/2)/lightCells, 2)
	l.columns, l.rows = (w+l.cell-1)/l.cell, (h+l.cell-1)/l.cell
	n := l.columns * l.rows
	if cap(l.mean) < n {
		l.mean, l.scale = make([]float32, n), make([]float32, n)
		l.sum, l.sq = make([]float32, n), make([]float32, n)
	}
	l.mean, l.scale, l.sum, l.sq = l.mean[:n], l.scale[:n], l.sum[:n], l.sq[:n]
	clear(l.sum)
	clear(l.sq)
	if cap(l.row) < 2*w {
		l.row = make([]float32, 2*w)
	}
	l.row = l.row[:2*w]
}

// add sums a row into its cells: values and their squares.
func (l *light) add(y int, row []float32) {
	at := y / l.cell * l.columns
	for i := range l.columns {
		part := row[:min(l.cell, len(row))]
		row = row[len(part):]
		// In two sums, neither of which waits for the other.
		var sum, sq, sum2, sq2 float32
		for ; len(part) >= 4; part = part[4:] {
			sum += part[0] + part[1]
			sq += part[0]*part[0] + part[1]*part[1]
			sum2 += part[2] + part[3]
			sq2 += part[2]*part[2] + part[3]*part[3]
		}
		for _, v := range part {
			sum += v
			sq += v * v
		}
		l.sum[at+i] += sum + sum2
		l.sq[at+i] += sq + sq2
	}
}

// addBytes is add for a row of pixels.
func (l *light) addBytes(y int, row []byte) {
	at := y / l.cell * l.columns
	for i := range l.columns {
		part := row[:min(l.cell, len(row))]
		row = row[len(part):]
		var sum, sq int32
		for _, v := range part {
			sum += int32(v)
			sq += int32(v) * int32(v)
		}
		l.sum[at+i] += float32(sum)
		l.sq[at+i] += float32(sq)
	}
}

// spread makes means and scales of the cells' sums.
func (l *light) spread() {
	const half = lightCells / 2
	for y := range l.rows {
		top, bottom := max(y-half, 0), min(y+half+1, l.rows)
		deep := min(bottom*l.cell, l.h) - top*l.cell
		for x := range l.columns {
			left, right := max(x-half, 0), min(x+half+1, l.columns)
			var sum, sq float32
			for j := top; j < bottom; j++ {
				for i := j*l.columns + left; i < j*l.columns+right; i++ {
					sum += l.sum[i]
					sq += l.sq[i]
				}
			}
			k := 1 / float32((min(right*l.cell, l.w)-left*l.cell)*deep)
			mean := sum * k
			variance := max(sq*k-mean*mean, 0)
			l.mean[y*l.columns+x] = mean
			l.scale[y*l.columns+x] = 1 / (float32(math.Sqrt(float64(variance))) + normFloor)
		}
	}
}

// at gives mean and scale at a place.
func (l *light) at(x, y float32) (mean, scale float32) {
	k := 1 / float32(l.cell)
	i, u := between(x*k-0.5, l.columns)
	j, v := between(y*k-0.5, l.rows)
	a := j*l.columns + i
	right, below := 1, l.columns
	if i == l.columns-1 {
		right = 0
	}
	if j == l.rows-1 {
		below = 0
	}
	mix := func(f []float32) float32 {
		p, q := f[a], f[a+below]
		p += (f[a+right] - p) * u
		q += (f[a+below+right] - q) * u
		return p + (q-p)*v
	}
	return mix(l.mean), mix(l.scale)
}

// between gives the whole number below f, from 0 to n-1, and how far f is beyond
// it.
func between(f float32, n int) (i int, rest float32) {
	if !(f > 0) { // nor is it a number near a model's horizon
		return 0, 0
	}
	if i = int(f); uint(i) >= uint(n-1) { // beyond an int, i is negative
		return n - 1, 0
	}
	return i, f - float32(i)
}

// take puts what is left of the plane without its light into out.
func (l *light) take(out, plane []float32) {
	for y := range l.h {
		means, scales := l.along(y)
		in, to := plane[y*l.w:(y+1)*l.w], out[y*l.w:(y+1)*l.w]
		means, scales, to = means[:len(in)], scales[:len(in)], to[:len(in)]
		for x, v := range in {
			to[x] = min(max((v-means[x])*scales[x], -2), 2)
		}
	}
}

// along gives mean and scale at each pixel of a row, until it is called again.
func (l *light) along(y int) (means, scales []float32) {
	means, scales = l.row[:l.w], l.row[l.w:2*l.w]
	l.pieces(y, func(from, end int, m, s, dm, ds float32) {
		to, too := means[from:end], scales[from:end]
		too = too[:len(to)]
		for k := range to {
			to[k], too[k] = m, s
			m += dm
			s += ds
		}
	})
	return means, scales
}

// pieces cuts a row where the middles of cells are: between, mean and scale go
// straight, from m and s on by dm and ds a pixel.
func (l *light) pieces(y int, piece func(from, end int, m, s, dm, ds float32)) {
	n := l.columns
	j, v := between((float32(y)+0.5)/float32(l.cell)-0.5, l.rows)
	a, b := j*n, min(j+1, l.rows-1)*n
	step := 1 / float32(l.cell)
	mean := l.mean[a] + (l.mean[b]-l.mean[a])*v
	scale := l.scale[a] + (l.scale[b]-l.scale[a])*v
	x := 0
	for i := range n + 1 { // from the middle of cell i-1 to that of cell i
		c := min(i, n-1)
		nextMean := l.mean[a+c] + (l.mean[b+c]-l.mean[a+c])*v
		nextScale := l.scale[a+c] + (l.scale[b+c]-l.scale[a+c])*v
		dm, ds := (nextMean-mean)*step, (nextScale-scale)*step
		beyond := float32(x) + 0.5 - (float32(i)-0.5)*float32(l.cell)
		end := min(i*l.cell+l.cell/2, l.w)
		piece(x, end, mean+beyond*dm, scale+beyond*ds, dm, ds)
		mean, scale, x = nextMean, nextScale, end
	}
}
