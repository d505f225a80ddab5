package qr

import (
	"slices"

	"gateagent/driver/frame"
)

// Where only two finder patterns of a code were found, the third must lie in one
// of six places: beside either end, on either side, or completing a square of
// which the two are a diagonal.

const (
	maxPairs  = 3
	maxPairUp = 10  // finders that pairs are made of
	pairReach = 0.2 // of the side: how far from its place the third is sought
	thirdFit  = 0.5 // least score of the third
	crossFit  = 0.3 // and of its middle row and column
)

// keep remembers finders found in any pass, in pixels of the picture.
func (r *reader) keep(found []finder, factor, dx, dy float32) {
	for _, f := range found {
		f.x, f.y, f.module = f.x*factor+dx, f.y*factor+dy, f.module*factor
		known := false
		for i := range r.kept {
			o := &r.kept[i]
			known = known || o.light == f.light && abs32(o.x-f.x) < 2*o.module && abs32(o.y-f.y) < 2*o.module
		}
		if !known && len(r.kept) < maxPairUp {
			r.kept = append(r.kept, f)
		}
	}
}

// readPairs tries pairs of the finders kept, those of most equal size first.
func (r *reader) readPairs(g *frame.Gray) {
	r.duos = r.duos[:0]
	for i := range r.kept {
		for j := range i {
			a, b := &r.kept[i], &r.kept[j]
			ratio := max(a.module, b.module) / min(a.module, b.module)
			d := distance(a, b)
			module := (a.module + b.module) / 2
			if a.light != b.light || ratio > 1.4 || d < 12*module || d > 120*module {
				continue
			}
			r.duos = append(r.duos, duo{*a, *b, ratio})
		}
	}
	slices.SortStableFunc(r.duos, func(a, b duo) int {
		switch {
		case a.ratio < b.ratio:
			return -1
		case a.ratio > b.ratio:
			return 1
		}
		return 0
	})
	for i := range r.duos[:min(len(r.duos), maxPairs)] {
		if r.readPair(g, &r.duos[i]) {
			return
		}
	}
}

// duo is two finders that could be of one code.
type duo struct {
	a, b  finder
	ratio float32 // of their module sizes
}

func (r *reader) readPair(g *frame.Gray, d *duo) bool {
	a, b := d.a, d.b
	dx, dy := b.x-a.x, b.y-a.y
	module := (a.module + b.module) / 2
	third := a
	third.module = module
	p := &r.fitter.patch
	if r.sought <= 0 {
		return false
	}
	// One patch holds all six places.
	reach := 1.3*hypot(dx, dy) + 6*module
	cx, cy := (a.x+b.x)/2, (a.y+b.y)/2
	if !p.cut(g, window{int(cx - reach), int(cy - reach), int(cx + reach), int(cy + reach)}, module, keepToSeek, a.light) {
		return false
	}
	r.sought -= p.w * p.h
	p.takeLight()
	p.develop()
	side := hypot(dx, dy) / module
	type place struct {
		x, y  float32
		score float32
		kind  int
	}
	var best place
	for kind := range 6 {
		var x, y float32
		n := side
		switch kind {
		case 0:
			x, y = a.x-dy, a.y+dx
		case 1:
			x, y = a.x+dy, a.y-dx
		case 2:
			x, y = b.x-dy, b.y+dx
		case 3:
			x, y = b.x+dy, b.y-dx
		case 4:
			x, y = cx-dy/2, cy+dx/2
			n *= 0.7071
		default:
			x, y = cx+dy/2, cy-dx/2
			n *= 0.7071
		}
		// The axes of the module grid in pixels of the patch.
		ux, uy := dx/side, dy/side
		if kind >= 4 {
			ux, uy = (dx-dy)/2/n, (dy+dx)/2/n
		}
		k := 1 / float32(p.scale)
		ux, uy = ux*k, uy*k
		px, py := p.to(x, y)
		steps := int(pairReach*n/0.75) + 2
		for j := -steps; j <= steps; j++ {
			for i := -steps; i <= steps; i++ {
				fi, fj := 0.75*float32(i), 0.75*float32(j)
				qx, qy := px+fi*ux-fj*uy, py+fi*uy+fj*ux
				if p.crossScore(qx, qy, ux, uy) < crossFit {
					continue
				}
				if s := p.finderScore(qx, qy, ux, uy); s > best.score {
					best = place{qx, qy, s, kind}
				}
			}
		}
	}
	if best.score < thirdFit {
		return false
	}
	third.x, third.y = p.from(best.x, best.y)
	// The places beside an end have the corner there.
	corner, other, last := a, b, third
	switch best.kind {
	case 2, 3:
		corner, other = b, a
	case 4, 5:
		corner, other, last = third, a, b
	}
	t, ok := shape(corner, other, last)
	if !ok || !t.measure(g) {
		return false
	}
	code, _, ok := r.readTriple(g, &t)
	if ok {
		r.codes, r.ways = append(r.codes, code), append(r.ways, way{})
	}
	return ok
}

// finderScore is how well a finder pattern fits about (x, y) of the patch, with
// rows along (ux, uy), a module long, and columns square to them.
func (p *patch) finderScore(x, y, ux, uy float32) float32 {
	sum := float32(0)
	for j := -3; j <= 3; j++ {
		for i := -3; i <= 3; i++ {
			fi, fj := float32(i), float32(j)
			v := p.lit(x+fi*ux-fj*uy, y+fi*uy+fj*ux)
			if max(absInt(i), absInt(j)) == 2 {
				v *= -2 // 16 light ones against 33 dark
			}
			sum += v
		}
	}
	return sum / 65
}

// crossScore is the same of what tells most: the middle, and on the axes the
// light and the dark ring.
func (p *patch) crossScore(x, y, ux, uy float32) float32 {
	sum := p.lit(x, y)
	for _, d := range [...][2]float32{{ux, uy}, {-ux, -uy}, {uy, -ux}, {-uy, ux}} {
		sum += p.lit(x+3*d[0], y+3*d[1]) - p.lit(x+2*d[0], y+2*d[1])
	}
	return sum / 9
}
