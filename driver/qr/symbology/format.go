package symbology

import "math/bits"

// versionInformation is the version in 6 bits and the remainder of the (18, 6)
// BCH code, generator 1F25 (ISO/IEC 18004 annex D).
func versionInformation(version int) uint32 {
	r := uint32(version)
	for range 12 {
		r = r<<1 ^ r>>11*0x1F25
	}
	return uint32(version)<<12 | r&0xFFF
}

// formatMask is laid over the format information, so that it is never all light.
const formatMask = 0x5412

// formatInformation is 5 bits of level and mask and the remainder of the
// (15, 5) BCH code, generator 537 (annex C), masked.
func formatInformation(data uint32) uint32 {
	r := data
	for range 10 {
		r = r<<1 ^ r>>9*0x537
	}
	return (data<<10 | r&0x3FF) ^ formatMask
}

// format is what the format information says.
type format struct {
	level Level
	mask  int
	wrong int // bits that differ, in the better of the two copies
}

// levelOf are the levels in the order of their two bits.
var levelOf = [4]Level{M, L, H, Q}

// maxFormatErrors is how many wrong bits the BCH code restores for certain.
const maxFormatErrors = 3

// decodeFormat finds the format whose information is nearest to either of two
// copies as read. The copies together decide between equals.
func decodeFormat(a, b uint32) (f format, ok bool) {
	best, bestSum := maxFormatErrors+1, 0
	for data := range uint32(32) {
		want := formatInformation(data)
		da, db := bits.OnesCount32(want^a), bits.OnesCount32(want^b)
		d, sum := min(da, db), da+db
		if d < best || d == best && d <= maxFormatErrors && sum < bestSum {
			best, bestSum = d, sum
			f = format{levelOf[data>>3], int(data & 7), d}
		}
	}
	return f, best <= maxFormatErrors
}

// formatBits reads the two copies of the format information.
func formatBits(dark func(x, y int) bool, n int) (a, b uint32) {
	bit := func(v *uint32, x, y int) {
		*v <<= 1
		if dark(x, y) {
			*v |= 1
		}
	}
	for x := range 6 {
		bit(&a, x, 8)
	}
	bit(&a, 7, 8)
	bit(&a, 8, 8)
	bit(&a, 8, 7)
	for y := 5; y >= 0; y-- {
		bit(&a, 8, y)
	}
	for y := n - 1; y >= n-7; y-- {
		bit(&b, 8, y)
	}
	for x := n - 8; x < n; x++ {
		bit(&b, x, 8)
	}
	return a, b
}

// masked says whether a mask turns over the module in column x of row y (table 10).
func masked(mask, x, y int) bool {
	switch mask {
	case 0:
		return (x+y)%2 == 0
	case 1:
		return y%2 == 0
	case 2:
		return x%3 == 0
	case 3:
		return (x+y)%3 == 0
	case 4:
		return (y/2+x/3)%2 == 0
	case 5:
		return x*y%2+x*y%3 == 0
	case 6:
		return (x*y%2+x*y%3)%2 == 0
	default:
		return ((x+y)%2+x*y%3)%2 == 0
	}
}
