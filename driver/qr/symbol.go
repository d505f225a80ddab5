package qr

import (
	"math"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/common"
	"github.com/makiuchi-d/gozxing/qrcode/decoder"
	"github.com/makiuchi-d/gozxing/qrcode/detector"
)

// symbol is a triple sampled as a symbol of n modules a side.
type symbol struct {
	bits     *gozxing.BitMatrix
	outline  Code // without text
	likeness float64
}

// read samples a triple and decodes it. What the library's detector makes of
// it comes first; where that fails, neighbouring sizes are tried (a size one
// version off is its commonest mistake) and the fourth corner without the
// alignment pattern (which it takes from the data at times). The judge is
// [likeness] before, and error correction after.
//
// ok says whether result is good; best is the likeliest sample in any case.
func (r *reader) read(bits *gozxing.BitMatrix, t *triple) (result *common.DecoderResult, best symbol, ok bool) {
	try := func(s symbol, sampled bool) bool {
		if !sampled {
			return false
		}
		if s.likeness > best.likeness {
			best = s
		}
		if s.likeness < worthDecoding {
			return false
		}
		res, err := r.decoder.Decode(s.bits, r.hints)
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
		var alignment *detector.AlignmentPattern
		if points := found.GetPoints(); len(points) > 3 {
			alignment, _ = points[3].(*detector.AlignmentPattern)
		}
		s := symbol{bits: found.GetBits(), likeness: likeness(found.GetBits()), outline: outline(t, n, alignment)}
		if try(s, true) {
			return result, best, true
		}
		if s.likeness < worthDecoding-0.1 {
			return nil, best, false
		}
	}
	for _, n := range [...]int{n, n - 4, n + 4} {
		if n < 21 || n > 177 {
			continue
		}
		alignment := findAlignment(bits, t, n)
		if alignment != nil {
			if s, sampled := sample(bits, t, n, alignment); try(s, sampled) {
				return result, best, true
			}
		}
		if s, sampled := sample(bits, t, n, nil); try(s, sampled) {
			return result, best, true
		}
	}
	return nil, best, false
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

// findAlignment seeks the alignment pattern nearest the fourth corner, where a
// flat symbol of n modules would have it and then wider. Version 1 has none.
func findAlignment(bits *gozxing.BitMatrix, t *triple, n int) *detector.AlignmentPattern {
	version, err := decoder.Version_GetProvisionalVersionForDimension(n)
	if err != nil || len(version.GetAlignmentPatternCenters()) == 0 {
		return nil
	}
	module := (math.Hypot(t.topRight.GetX()-t.topLeft.GetX(), t.topRight.GetY()-t.topLeft.GetY()) +
		math.Hypot(t.bottomLeft.GetX()-t.topLeft.GetX(), t.bottomLeft.GetY()-t.topLeft.GetY())) / float64(2*(n-7))
	k := 1 - 3/float64(n-7)
	x := t.topLeft.GetX() + k*(t.topRight.GetX()+t.bottomLeft.GetX()-2*t.topLeft.GetX())
	y := t.topLeft.GetY() + k*(t.topRight.GetY()+t.bottomLeft.GetY()-2*t.topLeft.GetY())
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

// sample reads the modules of a symbol of n modules a side. Without an
// alignment pattern the symbol is taken for a parallelogram.
func sample(bits *gozxing.BitMatrix, t *triple, n int, alignment *detector.AlignmentPattern) (symbol, bool) {
	grid, err := detector.Detector_sampleGrid(bits, toPixels(t, n, alignment), n)
	if err != nil {
		return symbol{}, false
	}
	return symbol{bits: grid, likeness: likeness(grid), outline: outline(t, n, alignment)}, true
}

// toPixels maps modules to pixels.
func toPixels(t *triple, n int, alignment *detector.AlignmentPattern) *common.PerspectiveTransform {
	return detector.Detector_createTransform(t.topLeft, t.topRight, t.bottomLeft, alignment, n)
}

// outline gives size and corners of a symbol; the text is not known yet.
func outline(t *triple, n int, alignment *detector.AlignmentPattern) Code {
	side := float64(n)
	p := []float64{0, 0, side, 0, side, side, 0, side}
	toPixels(t, n, alignment).TransformPoints(p)
	c := Code{Version: (n - 17) / 4}
	around := 0.0
	for i := range c.Corners {
		c.Corners[i] = Point{p[2*i], p[2*i+1]}
		next := (i + 1) % 4
		around += math.Hypot(p[2*next]-p[2*i], p[2*next+1]-p[2*i+1])
	}
	c.ModulePixels = around / (4 * side)
	return c
}
