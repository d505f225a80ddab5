package qr

import "github.com/makiuchi-d/gozxing"

// Every code has the same finder patterns, separators and timing patterns in
// the same places. How much of them a sampled symbol shows tells a code from
// three things that happen to look like finder patterns from afar.
const (
	// worthDecoding is the least likeness that error correction is tried on.
	worthDecoding = 0.60
	// inView is the least likeness at which an unread symbol is said to be a
	// code all the same.
	inView = 0.86
)

// likeness compares the function patterns of a sampled symbol with what they
// must be: 1 all alike, about 0.5 for noise. The three finder patterns with
// their separators count for half, the two timing patterns for the other.
func likeness(bits *gozxing.BitMatrix) float64 {
	n := bits.GetWidth()
	if n < 21 || bits.GetHeight() != n {
		return 0
	}
	finder := 0
	for y := range 8 {
		for x := range 8 {
			dark := finderModule(x, y)
			if bits.Get(x, y) == dark {
				finder++
			}
			if bits.Get(n-1-x, y) == dark {
				finder++
			}
			if bits.Get(x, n-1-y) == dark {
				finder++
			}
		}
	}
	timing := 0
	for i := 8; i < n-8; i++ {
		dark := i%2 == 0
		if bits.Get(i, 6) == dark {
			timing++
		}
		if bits.Get(6, i) == dark {
			timing++
		}
	}
	return 0.5*float64(finder)/(3*64) + 0.5*float64(timing)/float64(2*(n-16))
}

// finderModule says whether a module of a finder pattern at the top left, or
// of the separator round it (row and column 7), is dark.
func finderModule(x, y int) bool {
	d := max(abs(x-3), abs(y-3))
	return d <= 3 && d != 2
}

func abs(v int) int { return max(v, -v) }
