package qr

import (
	"math"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/common"
	"github.com/makiuchi-d/gozxing/qrcode/decoder"
	"github.com/makiuchi-d/gozxing/qrcode/detector"
)

// symbol is a triple taken for a symbol of n modules a side: where its modules
// lie, and how like a symbol that is.
type symbol struct {
	n        int
	place    *common.PerspectiveTransform // modules to pixels
	likeness float64
}

// read decodes a triple. What the library's detector makes of it comes first;
// where that fails, neighbouring sizes are tried (a size one version off is its
// commonest mistake), then the fourth corner without the alignment pattern
// (which it takes from the data at times), then the fourth corner where the
// symbol looks best. The judge is the likeness before, and error correction
// after.
//
// ok says whether result is good; best is the likeliest symbol in any case.
func (r *reader) read(bits *gozxing.BitMatrix, t *triple) (result *common.DecoderResult, best symbol, ok bool) {
	try := func(n int, corner *detector.AlignmentPattern) bool {
		s := symbol{n: n, place: detector.Detector_createTransform(t.topLeft, t.topRight, t.bottomLeft, corner, n)}
		r.marks.of(n)
		s.likeness = r.marks.likeness(bits, s.place)
		if s.likeness > best.likeness {
			best = s
		}
		if s.likeness < worthDecoding {
			return false
		}
		grid, err := detector.Detector_sampleGrid(bits, s.place, n)
		if err != nil {
			return false
		}
		res, err := r.decoder.Decode(grid, r.hints)
		if err != nil {
			return false
		}
		result, best = res, s
		return true
	}
	n := t.modules()
	found, err := detector.NewDetector(bits).ProcessFinderPatternInfo(
		detector.NewFinderPatternInfo(t.bottomLeft, t.topLeft, t.topRight))
	if err == nil {
		n = found.GetBits().GetWidth()
		var corner *detector.AlignmentPattern
		if points := found.GetPoints(); len(points) > 3 {
			corner, _ = points[3].(*detector.AlignmentPattern)
		}
		if try(n, corner) || corner != nil && try(n, nil) {
			return result, best, true
		}
		if best.likeness < worthDecoding {
			return nil, best, false // three things that only look alike
		}
	}
	for _, n := range [...]int{n, n - 4, n + 4} {
		if n < 21 || n > 177 {
			continue
		}
		if corner := findAlignment(bits, t, n); corner != nil && try(n, corner) {
			return result, best, true
		}
		if try(n, nil) {
			return result, best, true
		}
	}
	if best.likeness >= worthSearching {
		if corner := r.bestCorner(bits, t, best.n); try(best.n, corner) {
			return result, best, true
		}
	}
	return nil, best, false
}

// bestCorner moves the fourth corner about to where the symbol looks best, and
// gives it as the library wants it: as an alignment pattern.
func (r *reader) bestCorner(bits *gozxing.BitMatrix, t *triple, n int) *detector.AlignmentPattern {
	r.marks.of(n)
	x, y, module := t.corner(n)
	bestX, bestY, best := x, y, -1.0
	look := func(x, y float64) {
		corner := detector.NewAlignmentPattern(x, y, module)
		l := r.marks.likeness(bits, detector.Detector_createTransform(t.topLeft, t.topRight, t.bottomLeft, corner, n))
		if l > best {
			bestX, bestY, best = x, y, l
		}
	}
	const reach = 5 // modules, as much as a tilt of 40 degrees takes
	for j := -reach; j <= reach; j++ {
		for i := -reach; i <= reach; i++ {
			look(x+float64(i)*module, y+float64(j)*module)
		}
	}
	x, y = bestX, bestY
	for j := -1; j <= 1; j++ {
		for i := -1; i <= 1; i++ {
			look(x+float64(i)*module/2, y+float64(j)*module/2)
		}
	}
	return detector.NewAlignmentPattern(bestX, bestY, module)
}

// modules estimates the modules a side from the legs and the sizes of the
// finder patterns: a size that exists, 21 to 177.
func (t *triple) modules() int {
	n := (legModules(t.topLeft, t.topRight)+legModules(t.topLeft, t.bottomLeft))/2 + 7
	version := math.Round((n - 17) / 4)
	return 17 + 4*int(min(max(version, 1), 40))
}

// legModules is how many modules lie between two centres. Their sizes were
// measured along a row, which crosses a turned pattern aslant.
func legModules(a, b *centre) float64 {
	dx, dy := b.GetX()-a.GetX(), b.GetY()-a.GetY()
	length := math.Hypot(dx, dy)
	if length == 0 {
		return 0
	}
	aslant := max(math.Abs(dx), math.Abs(dy)) / length
	return length / ((a.GetEstimatedModuleSize() + b.GetEstimatedModuleSize()) / 2 * aslant)
}

// corner is where a flat symbol of n modules would have the alignment pattern
// nearest its fourth corner, and how large a module is; pixels.
func (t *triple) corner(n int) (x, y, module float64) {
	module = (math.Hypot(t.topRight.GetX()-t.topLeft.GetX(), t.topRight.GetY()-t.topLeft.GetY()) +
		math.Hypot(t.bottomLeft.GetX()-t.topLeft.GetX(), t.bottomLeft.GetY()-t.topLeft.GetY())) / float64(2*(n-7))
	k := 1 - 3/float64(n-7)
	x = t.topLeft.GetX() + k*(t.topRight.GetX()+t.bottomLeft.GetX()-2*t.topLeft.GetX())
	y = t.topLeft.GetY() + k*(t.topRight.GetY()+t.bottomLeft.GetY()-2*t.topLeft.GetY())
	return x, y, module
}

// findAlignment seeks that alignment pattern about where it should be, wider
// each time. Version 1 has none.
func findAlignment(bits *gozxing.BitMatrix, t *triple, n int) *detector.AlignmentPattern {
	version, err := decoder.Version_GetProvisionalVersionForDimension(n)
	if err != nil || len(version.GetAlignmentPatternCenters()) == 0 {
		return nil
	}
	x, y, module := t.corner(n)
	for _, reach := range [...]float64{4, 8, 16} {
		left, right := max(0, int(x-reach*module)), min(bits.GetWidth()-1, int(x+reach*module))
		top, bottom := max(0, int(y-reach*module)), min(bits.GetHeight()-1, int(y+reach*module))
		if float64(right-left) < 3*module || float64(bottom-top) < 3*module {
			continue
		}
		p, err := detector.NewAlignmentPatternFinder(bits, left, top, right-left, bottom-top, module, nil).Find()
		if err == nil {
			return p
		}
	}
	return nil
}

// code gives size and corners of a symbol; the text is not known yet.
func (s *symbol) code() Code {
	side := float64(s.n)
	p := []float64{0, 0, side, 0, side, side, 0, side}
	s.place.TransformPoints(p)
	c := Code{Version: (s.n - 17) / 4}
	around := 0.0
	for i := range c.Corners {
		c.Corners[i] = Point{p[2*i], p[2*i+1]}
		next := (i + 1) % 4
		around += math.Hypot(p[2*next]-p[2*i], p[2*next+1]-p[2*i+1])
	}
	c.ModulePixels = around / (4 * side)
	return c
}
