package symbology

// Kind says what a module is for.
type Kind uint8

// The kinds of modules.
const (
	Data       Kind = iota // a bit of a codeword
	Finder                 // of a finder pattern or its separator
	Timing                 //
	Alignment              //
	VersionBit             // of the version information, from version 7 on
	FormatBit              // of the format information: which bit is not fixed by the size
	DarkModule             // the one beside the lower left finder pattern
)

// Template is what all symbols of a version have in common.
type Template struct {
	N, Version int
	Kinds      []Kind // row by row
	Dark       []bool // of the modules with a fixed value; false elsewhere
	// Centres are the rows and columns of alignment patterns, see
	// [AlignmentCentres].
	Centres []int
}

// NewTemplate lays out a version, 1 to 40.
func NewTemplate(version int) *Template {
	n := Size(version)
	t := &Template{N: n, Version: version, Kinds: make([]Kind, n*n), Dark: make([]bool, n*n)}
	t.Centres = AlignmentCentres(nil, version)
	set := func(x, y int, k Kind, dark bool) { t.Kinds[y*n+x], t.Dark[y*n+x] = k, dark }
	for i := 8; i < n-8; i++ {
		set(i, 6, Timing, i%2 == 0)
		set(6, i, Timing, i%2 == 0)
	}
	for y := range 8 {
		for x := range 8 {
			d := max(abs(x-3), abs(y-3)) // the separator is row and column 7
			dark := d <= 3 && d != 2
			set(x, y, Finder, dark)
			set(n-1-x, y, Finder, dark)
			set(x, n-1-y, Finder, dark)
		}
	}
	for i := range 9 {
		if i != 6 {
			set(i, 8, FormatBit, false)
			set(8, i, FormatBit, false)
		}
		if i < 8 {
			set(n-1-i, 8, FormatBit, false)
			set(8, n-1-i, FormatBit, false)
		}
	}
	set(8, n-8, DarkModule, true)
	last := len(t.Centres) - 1
	for i, cy := range t.Centres {
		for j, cx := range t.Centres {
			if i == 0 && j == 0 || i == 0 && j == last || i == last && j == 0 {
				continue // finder patterns are there
			}
			for y := -2; y <= 2; y++ {
				for x := -2; x <= 2; x++ {
					set(cx+x, cy+y, Alignment, max(abs(x), abs(y)) != 1)
				}
			}
		}
	}
	if version >= 7 {
		bits := versionInformation(version)
		for i := range 18 {
			dark := bits>>i&1 == 1
			set(n-11+i%3, i/3, VersionBit, dark)
			set(i/3, n-11+i%3, VersionBit, dark)
		}
	}
	return t
}

func abs(v int) int { return max(v, -v) }
