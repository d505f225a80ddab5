package qr

import "gateagent/driver/frame"

// The second stage looks at one place of the picture at full strength: sharpened,
// every row. It costs as much as many empty pictures, so
// that it starts only where the first stage left evidence of a code.

// evidence counts what the first stage's scan saw, in cells of the picture.
type evidence struct {
	columns, rows int
	weight        []int32 // row hits, and more for those that a column bears out
	around        []int32 // the same over 3×3 cells
}

const (
	cellSize   = 32 // pixels
	hitWeight  = 5  // of a hit that a column bears out, in row hits
	regionPad  = 48 // pixels about the cells that have evidence
	regionSide = 320
)

func (e *evidence) of(g *frame.Gray, s *scanner, b *blocks) {
	e.columns, e.rows = (g.Width+cellSize-1)/cellSize, (g.Height+cellSize-1)/cellSize
	n := e.columns * e.rows
	if cap(e.weight) < n {
		e.weight, e.around = make([]int32, n), make([]int32, n)
	}
	e.weight, e.around = e.weight[:n], e.around[:n]
	clear(e.weight)
	// A code's modules differ more than a texture that looks like one by chance:
	// the contrast of the block counts.
	add := func(x, y int, weight int32) {
		v := int32(b.ranges[min(y/blockSize, b.rows-1)*b.columns+min(x/blockSize, b.columns-1)])
		e.weight[y/cellSize*e.columns+x/cellSize] += weight * v * v / 32
	}
	for i := range s.raw {
		h := &s.raw[i]
		add(min(int(h.from+h.to)/2, g.Width-1), int(h.y), 1)
	}
	for i := range s.hits {
		h := &s.hits[i]
		add(min(int(h.x), g.Width-1), min(int(h.y), g.Height-1), hitWeight)
	}
	e.spread()
}

// spread sums 3×3 cells.
func (e *evidence) spread() {
	for y := range e.rows {
		for x := range e.columns {
			sum := int32(0)
			for j := max(y-1, 0); j <= min(y+1, e.rows-1); j++ {
				for i := max(x-1, 0); i <= min(x+1, e.columns-1); i++ {
					sum += e.weight[j*e.columns+i]
				}
			}
			e.around[y*e.columns+x] = sum
		}
	}
}

// peak gives the part of the picture with the most evidence: the cells about
// the peak that have at least half of it, and some more. Its evidence is
// forgotten.
func (e *evidence) peak(g *frame.Gray) (w window, weight int32) {
	best := 0
	for i, v := range e.around {
		if v > e.around[best] {
			best = i
		}
	}
	weight = e.around[best]
	if weight == 0 {
		return w, 0
	}
	px, py := best%e.columns, best/e.columns
	left, right, top, bottom := px, px, py, py
	for grown := true; grown; {
		grown = false
		has := func(x0, y0, x1, y1 int) bool {
			for y := max(y0, 0); y <= min(y1, e.rows-1); y++ {
				for x := max(x0, 0); x <= min(x1, e.columns-1); x++ {
					if 2*e.around[y*e.columns+x] >= weight {
						return true
					}
				}
			}
			return false
		}
		if left > 0 && has(left-1, top, left-1, bottom) {
			left, grown = left-1, true
		}
		if right < e.columns-1 && has(right+1, top, right+1, bottom) {
			right, grown = right+1, true
		}
		if top > 0 && has(left, top-1, right, top-1) {
			top, grown = top-1, true
		}
		if bottom < e.rows-1 && has(left, bottom+1, right, bottom+1) {
			bottom, grown = bottom+1, true
		}
	}
	for y := top; y <= bottom; y++ {
		for x := left; x <= right; x++ {
			e.weight[y*e.columns+x] = 0
		}
	}
	e.spread()
	cx, cy := px*cellSize+cellSize/2, py*cellSize+cellSize/2
	w = window{
		max(left*cellSize-regionPad, cx-regionSide/2), max(top*cellSize-regionPad, cy-regionSide/2),
		min((right+1)*cellSize+regionPad, cx+regionSide/2), min((bottom+1)*cellSize+regionPad, cy+regionSide/2),
	}
	return w.clip(g), weight
}

const (
	maxRegions = 2
	maxAlone   = 2  // finders about which a code is sought
	aloneReach = 60 // modules
	largeAlone = 4  // pixels a module from which half the size shows as much
	maxKept    = 6  // finders; of more in a picture that was not read, no code is
	// A place is worth the second stage if a finder was confirmed there, or if
	// it has row hits of good contrast, many more than the picture around it,
	// some of which a column bears out and next to none another row: print and
	// textures have none or many.
	leastRaw    = 15
	leastHits   = 1
	mostHits    = 20
	mostBorne   = 4
	leastWeight = 3000
	leastShare  = 7 // of all row hits, one in so many must be there,
	leastDense  = 3 // and so many times what would be there by chance
)

// second seeks codes where the first stage left evidence: about finders that
// stand alone, then where hits are densest.
func (r *reader) second(g *frame.Gray) {
	first := len(r.kept)
	done := 0
	for i := 0; i < first && done < maxAlone; i++ {
		f := r.kept[i]
		if r.near(f, i) {
			continue // looked at already, about another
		}
		done++
		reach := int(min(max(aloneReach*f.module, 80), regionSide))
		w := window{int(f.x) - reach, int(f.y) - reach, int(f.x) + reach, int(f.y) + reach}.clip(g)
		ways := preparations[:]
		if f.module >= largeAlone {
			ways = ways[1:]
		}
		if r.look(g, w, f.module, ways) {
			return
		}
	}
	r.evidence.of(g, &r.scanner, &r.first)
	for region := range maxRegions {
		w, weight := r.evidence.peak(g)
		if weight == 0 {
			return
		}
		seen := r.scanner.within(w)
		confirmed := false
		for i := range r.kept[:first] {
			f := &r.kept[i]
			confirmed = confirmed || w.holds(f.x, f.y)
		}
		limit := 0 // preparations to try
		switch {
		case confirmed && done == 0:
			limit = len(preparations)
		case region == 0 && seen.like(weight) && standsOut(seen.raw, len(r.scanner.raw), w, g):
			limit = 1
		}
		if r.look(g, w, 0, preparations[:limit]) {
			return
		}
	}
}

// standsOut says whether a window that has raw of all row hits of the picture has
// more than its share.
func standsOut(raw, all int, w window, g *frame.Gray) bool {
	area := (w.right - w.left) * (w.bottom - w.top)
	return raw*leastShare >= all && int64(raw)*int64(g.Width*g.Height) >= leastDense*int64(all)*int64(area)
}

// near says whether one of the finders kept before lies where the i-th one's
// code must be.
func (r *reader) near(f finder, i int) bool {
	for _, o := range r.kept[:i] {
		if max(abs32(o.x-f.x), abs32(o.y-f.y)) < aloneReach*f.module/2 {
			return true
		}
	}
	return false
}

// look prepares a place in the ways given and says whether a code was read.
// module is how large modules may be in pixels, 0 if that is not known.
func (r *reader) look(g *frame.Gray, w window, module float32, ways []preparation) bool {
	if min(w.right-w.left, w.bottom-w.top) < leastSide {
		return false
	}
	for i := range ways {
		p := &ways[i]
		if p.shrink > 1 && module > 0 && module < 2*float32(p.shrink) {
			continue // too small for that
		}
		cost := (w.right - w.left) * (w.bottom - w.top) / (p.shrink * p.shrink)
		if cost > r.looks {
			continue
		}
		r.looks -= cost
		r.prepare(g, w, p)
		if r.passPrepared(g, w, p) {
			return true
		}
	}
	return false
}

// sight is what the scan saw in a window.
type sight struct {
	raw   int // row hits
	hits  int // of them, those that a column bears out
	borne int // and those that a neighbouring row does too
}

// like says whether that looks like a code too small or too blurred for the
// first stage, given the weight of its evidence.
func (s sight) like(weight int32) bool {
	return s.raw >= leastRaw && s.hits >= leastHits && s.hits <= mostHits && s.borne <= mostBorne && weight >= leastWeight
}

// within counts what was seen in a window.
func (s *scanner) within(w window) (seen sight) {
	for i := range s.raw {
		if h := &s.raw[i]; w.holds(float32(h.from+h.to)/2, float32(h.y)) {
			seen.raw++
		}
	}
	for i := range s.hits {
		if h := &s.hits[i]; w.holds(h.x, h.y) {
			seen.hits++
			if h.borneOut {
				seen.borne++
			}
		}
	}
	return seen
}

// passPrepared seeks and reads codes in the prepared picture of a place, whose
// threshold is the same everywhere. Every row is scanned.
func (r *reader) passPrepared(g *frame.Gray, w window, p *preparation) bool {
	before := len(r.codes)
	r.close.findFine(&r.prepared)
	r.expected.sift(&r.close, float32(p.shrink))
	r.finders = gather(r.finders, &r.prepared, r.close.hits, goodLinesPrepared)
	r.seek(g, &r.prepared, w, float32(p.shrink), way{prepared: p.shrink})
	return len(r.codes) > before
}

// goodLinesPrepared is the share of lines that must show a finder pattern in a
// prepared picture.
const goodLinesPrepared = 0.5
