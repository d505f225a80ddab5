package qr

import (
	"math"
	"slices"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode/detector"
)

// Bounds of the search, so that no picture costs more than a set multiple of
// an empty one: a screen full of finder patterns would otherwise keep the
// library's own search busy for minutes.
const (
	rowStep    = 2   // finder patterns are sought in every second row; at 3, small turned codes are lost
	maxCentres = 192 // after so many the scan stops
	maxPicked  = 20  // centres that triples are made of
	maxTries   = 8   // triples sampled in one threshold picture
)

// centre is a place that looks like a finder pattern in three directions.
type centre = detector.FinderPattern

// triple is three centres in the order the library wants, and how unlike a
// code's they lie: 0 is perfect.
type triple struct {
	bottomLeft, topLeft, topRight *centre
	flaw                          float64
}

// uses says whether the triple has c in it.
func (t *triple) uses(c *centre) bool {
	return t.bottomLeft == c || t.topLeft == c || t.topRight == c
}

// scan gives the centres found in the threshold picture, at most maxPicked,
// those seen in most rows first.
func (r *reader) scan(bits *gozxing.BitMatrix) []*centre {
	finder := detector.NewFinderPatternFinder(bits, nil)
	width := bits.GetWidth()
	for y := rowStep - 1; y < bits.GetHeight(); y += rowStep {
		r.row = bits.GetRow(y, r.row)
		r.scanRow(finder, y, width)
		if len(finder.GetPossibleCenters()) >= maxCentres {
			break
		}
	}
	centres := finder.GetPossibleCenters()
	slices.SortStableFunc(centres, func(a, b *centre) int { return b.GetCount() - a.GetCount() })
	return centres[:min(len(centres), maxPicked)]
}

// scanRow looks along one row for five runs in the ratio 1:1:3:1:1 that begin
// and end dark, and has the library confirm each across and diagonally.
func (r *reader) scanRow(finder *detector.FinderPatternFinder, y, width int) {
	var runs [5]int // dark, light, dark, light, dark
	gap := 0
	for n, at := 0, r.row.GetNextSet(0); at < width; n++ {
		end := r.row.GetNextUnset(at)
		runs = [5]int{runs[2], runs[3], runs[4], gap, end - at}
		if n >= 2 && likeFinder(&runs) && detector.FinderPatternFinder_foundPatternCross(runs[:]) {
			finder.HandlePossibleCenter(runs[:], y, end)
		}
		at = r.row.GetNextSet(end)
		gap = at - end
	}
}

// likeFinder is a cheap bound on the ratio test: the middle run must be more
// than 1.5 modules of the whole and each outer one less than 1.5.
func likeFinder(runs *[5]int) bool {
	total := runs[0] + runs[1] + runs[2] + runs[3] + runs[4]
	return 14*runs[2] > 3*total && 14*runs[0] < 3*total && 14*runs[4] < 3*total
}

// triples gives the triples of centres that could be a code's, least flawed
// first.
func (r *reader) triples(centres []*centre) []triple {
	r.found = r.found[:0]
	for i, a := range centres {
		for j, b := range centres[:i] {
			for _, c := range centres[:j] {
				if t, ok := shape(a, b, c); ok {
					r.found = append(r.found, t)
				}
			}
		}
	}
	slices.SortStableFunc(r.found, func(a, b triple) int {
		switch {
		case a.flaw < b.flaw:
			return -1
		case a.flaw > b.flaw:
			return 1
		}
		return 0
	})
	return r.found
}

// Limits of a triple's shape: a card tilted by 60 degrees still passes.
const (
	maxModuleRatio = 1.7  // largest module of the three to the smallest
	maxLegRatio    = 2.6  // longer leg to the shorter
	maxCosine      = 0.75 // of the angle at the top left
)

// shape orders three centres and judges how they lie.
func shape(a, b, c *centre) (t triple, ok bool) {
	lo := min(a.GetEstimatedModuleSize(), b.GetEstimatedModuleSize(), c.GetEstimatedModuleSize())
	hi := max(a.GetEstimatedModuleSize(), b.GetEstimatedModuleSize(), c.GetEstimatedModuleSize())
	if hi > maxModuleRatio*lo {
		return t, false
	}
	p, q, s := gozxing.ResultPoint_OrderBestPatterns(a, b, c)
	t = triple{bottomLeft: p.(*centre), topLeft: q.(*centre), topRight: s.(*centre)}
	ux, uy := s.GetX()-q.GetX(), s.GetY()-q.GetY()
	vx, vy := p.GetX()-q.GetX(), p.GetY()-q.GetY()
	u, v := math.Hypot(ux, uy), math.Hypot(vx, vy)
	if u == 0 || v == 0 {
		return t, false
	}
	ratio := max(u, v) / min(u, v)
	cosine := math.Abs(ux*vx+uy*vy) / (u * v)
	if ratio > maxLegRatio || cosine > maxCosine {
		return t, false
	}
	// The legs of version 1 are 14 modules long, of version 40 170. The module
	// size here is measured along rows: up to 1.5 times too large when turned.
	module := (a.GetEstimatedModuleSize() + b.GetEstimatedModuleSize() + c.GetEstimatedModuleSize()) / 3
	if max(u, v) < 7*module || min(u, v) > 260*module {
		return t, false
	}
	t.flaw = math.Log(ratio) + cosine + math.Log(hi/lo)
	for _, x := range [...]*centre{a, b, c} {
		if x.GetCount() < 2 {
			t.flaw += 0.3 // seen in one row only
		}
	}
	return t, true
}
