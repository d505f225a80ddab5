package qr

import (
	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/common"
)

// Every code has the same finder patterns, separators and timing patterns in
// the same places. How much of them a sampled symbol shows tells a code from
// three things that happen to look like finder patterns from afar.
const (
	// worthDecoding is the least likeness that error correction is tried on.
	worthDecoding = 0.60
	// worthSearching is the least at which a better fourth corner is sought.
	worthSearching = 0.72
	// inView is the least likeness at which an unread symbol is said to be a
	// code all the same.
	inView = 0.86
)

// landmarks are the modules that every symbol of one size has in common.
type landmarks struct {
	n      int
	places []float64 // x, y of each module's centre, in modules
	dark   []bool
	finder int       // how many of the first are finder patterns and separators
	pixels []float64 // scratch for their places in the picture
}

// of makes l those of symbols of n modules a side.
func (l *landmarks) of(n int) {
	if l.n == n {
		return
	}
	l.n, l.places, l.dark = n, l.places[:0], l.dark[:0]
	add := func(x, y int, dark bool) {
		l.places = append(l.places, float64(x)+0.5, float64(y)+0.5)
		l.dark = append(l.dark, dark)
	}
	for y := range 8 {
		for x := range 8 {
			// The separator is row and column 7.
			d := max(abs(x-3), abs(y-3))
			dark := d <= 3 && d != 2
			add(x, y, dark)
			add(n-1-x, y, dark)
			add(x, n-1-y, dark)
		}
	}
	l.finder = len(l.dark)
	for i := 8; i < n-8; i++ {
		add(i, 6, i%2 == 0)
		add(6, i, i%2 == 0)
	}
}

// likeness compares the landmarks of a symbol in the threshold picture with
// what they must be: 1 all alike, about 0.5 for noise. The finder patterns
// with their separators count for half, the timing patterns for the other.
func (l *landmarks) likeness(bits *gozxing.BitMatrix, t *common.PerspectiveTransform) float64 {
	l.pixels = append(l.pixels[:0], l.places...)
	t.TransformPoints(l.pixels)
	finder, timing := 0, 0
	for i, dark := range l.dark {
		x, y := l.pixels[2*i], l.pixels[2*i+1]
		if x < 0 || y < 0 || bits.Get(int(x), int(y)) != dark {
			continue
		}
		if i < l.finder {
			finder++
		} else {
			timing++
		}
	}
	return 0.5*float64(finder)/float64(l.finder) + 0.5*float64(timing)/float64(len(l.dark)-l.finder)
}

func abs(v int) int { return max(v, -v) }
