package symbology

// The error correction characteristics of ISO/IEC 18004 table 9, by level and
// version: codewords of error correction a block, and blocks.
var (
	checkwords = [4][MaxVersion + 1]uint8{
		L: {0, 7, 10, 15, 20, 26, 18, 20, 24, 30, 18, 20, 24, 26, 30, 22, 24, 28, 30, 28, 28, 28, 28, 30, 30, 26, 28, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30},
		M: {0, 10, 16, 26, 18, 24, 16, 18, 22, 22, 26, 30, 22, 22, 24, 24, 28, 28, 26, 26, 26, 26, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28},
		Q: {0, 13, 22, 18, 26, 18, 24, 18, 22, 20, 24, 28, 26, 24, 20, 30, 24, 28, 28, 26, 30, 28, 30, 30, 30, 30, 28, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30},
		H: {0, 17, 28, 22, 16, 22, 28, 26, 26, 24, 28, 24, 28, 22, 24, 24, 30, 28, 28, 26, 28, 30, 24, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30},
	}
	blockCount = [4][MaxVersion + 1]uint8{
		L: {0, 1, 1, 1, 1, 1, 2, 2, 2, 2, 4, 4, 4, 4, 4, 6, 6, 6, 6, 7, 8, 8, 9, 9, 10, 12, 12, 12, 13, 14, 15, 16, 17, 18, 19, 19, 20, 21, 22, 24, 25},
		M: {0, 1, 1, 1, 2, 2, 4, 4, 4, 5, 5, 5, 8, 9, 9, 10, 10, 11, 13, 14, 16, 17, 17, 18, 20, 21, 23, 25, 26, 28, 29, 31, 33, 35, 37, 38, 40, 43, 45, 47, 49},
		Q: {0, 1, 1, 2, 2, 4, 4, 6, 6, 8, 8, 8, 10, 12, 16, 12, 17, 16, 18, 21, 20, 23, 23, 25, 27, 29, 34, 34, 35, 38, 40, 43, 45, 48, 51, 53, 56, 59, 62, 65, 68},
		H: {0, 1, 1, 2, 4, 4, 4, 5, 6, 8, 8, 11, 11, 16, 16, 18, 16, 19, 21, 25, 25, 25, 34, 30, 32, 35, 37, 40, 42, 45, 48, 51, 54, 57, 60, 63, 66, 70, 74, 77, 81},
	}
)

// layout is how the codewords of a symbol are divided into blocks. Blocks of
// the second kind have one data codeword more; they come last.
type layout struct {
	blocks, short int // blocks, and how many of them are of the first kind
	data, check   int // codewords in a block of the first kind
}

// layoutOf gives the division of a version at a level.
func layoutOf(version int, level Level) layout {
	l := layout{blocks: int(blockCount[level][version]), check: int(checkwords[level][version])}
	total := codewordCount(version)
	l.data = total/l.blocks - l.check
	l.short = l.blocks - total%l.blocks
	return l
}

// codewordCount is how many whole codewords a symbol holds.
func codewordCount(version int) int {
	n := Size(version)
	modules := n*n - 3*64 - 2*(n-16) - 2*15 - 1 // finders with separators, timing, format, the dark module
	if version >= 2 {
		k := version/7 + 2
		modules -= 25 * (k*k - 3)
		modules += 10 * (k - 2) // those on the timing patterns: counted there already
	}
	if version >= 7 {
		modules -= 2 * 18
	}
	return modules / 8
}

// AlignmentCentres gives the rows and columns in whose crossings alignment
// patterns have their middle module, those at finder patterns aside; none for
// version 1. It appends to to.
func AlignmentCentres(to []int, version int) []int {
	if version < 2 {
		return to
	}
	// ISO/IEC 18004 annex E: evenly spaced from the far end, the even step
	// rounded up to even, the first one at 6. Version 32 is the exception.
	k := version/7 + 2
	step := (version*4 + k*2 + 1) / (2*k - 2) * 2
	if version == 32 {
		step = 26
	}
	n := Size(version)
	to = append(to, 6)
	for i := k - 2; i >= 0; i-- {
		to = append(to, n-7-i*step)
	}
	return to
}
