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
	order   []step // the modules of the codewords as they are read
}

// step is the module of one bit of a codeword.
type step struct {
	x, y uint8
	cell uint8 // of a mask: they repeat every maskPeriod rows and columns
}

// maskPeriod is a period of all masks, both ways.
const maskPeriod = 12

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
	t.walk()
	return t
}

// walk lists the modules of the codewords: two columns at a time from the right,
// up and down in turn, past everything that is not data (§7.7.3).
func (t *Template) walk() {
	n, bits := t.N, 8*codewordCount(t.Version)
	t.order = make([]step, 0, bits)
	up := true
	for right := n - 1; right > 0; right -= 2 {
		if right == 6 {
			right = 5 // the timing pattern has this column
		}
		for i := range n {
			y := i
			if up {
				y = n - 1 - i
			}
			for x := right; x >= right-1; x-- {
				if t.Kinds[y*n+x] == Data && len(t.order) < bits {
					t.order = append(t.order, step{uint8(x), uint8(y), uint8(y%maskPeriod*maskPeriod + x%maskPeriod)})
				}
			}
		}
		up = !up
	}
}

func abs(v int) int { return max(v, -v) }
