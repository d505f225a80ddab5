package gate

import "fmt"

// Word is the 16-bit fact word of a record, in the common case all that is
// known about a person: 1 bit extras, 3 bits kind, 12 bits day.
//
//	15      14..12  11..0
//	extras  kind    days since the base day of the set (0..4095)
type Word uint16

// FactKind says what the day of a [Word] means.
type FactKind uint8

// The fact kinds (STORE §7.1). Numbers are part of the file format.
const (
	FactNothing FactKind = 0 // a record, nothing that counts
	// FactCompleted: series completed, day of the completing dose; in lists for
	// policies by which doses expire that of the last one, once both say the same.
	FactCompleted  FactKind = 1
	FactRecovered  FactKind = 2 // recovered: day of recovery
	FactBegun      FactKind = 3 // series begun: day of the first dose
	FactPositive   FactKind = 4 // positive and not recovered: day of the result
	FactQuarantine FactKind = 5 // quarantine: last day in force
	// 6 and 7 are reserved and read as UNKNOWN.
)

var factNames = [...]string{"nothing", "completed", "recovered", "begun", "positive", "quarantine", "reserved6", "reserved7"}

func (k FactKind) String() string { return nameOf(factNames[:], uint8(k), "FactKind") }

// MaxWordDay is the largest day offset a Word can hold: 11 years from the base.
const MaxWordDay = 1<<12 - 1

// NewWord packs a kind and a day relative to base. It fails when the day lies
// outside base..base+4095.
func NewWord(kind FactKind, day, base Day, extras bool) (Word, error) {
	off := int64(day) - int64(base)
	if kind > 7 {
		return 0, fmt.Errorf("fact kind %d does not fit 3 bits", kind)
	}
	if off < 0 || off > MaxWordDay {
		return 0, fmt.Errorf("day %v is not within %d days of the base day %v", day, MaxWordDay, base)
	}
	w := Word(kind)<<12 | Word(off)
	if extras {
		w |= 1 << 15
	}
	return w, nil
}

// Kind gives bits 14..12.
func (w Word) Kind() FactKind { return FactKind(w >> 12 & 7) }

// Offset gives bits 11..0: days since the base day.
func (w Word) Offset() int { return int(w & MaxWordDay) }

// Extras says whether the person has an entry in the extras bucket.
func (w Word) Extras() bool { return w>>15 != 0 }

// Facts is what the data sets say about one person. The zero value says that
// nobody by that pseudonym is known.
type Facts struct {
	Found bool
	Word  Word
	Base  Day // base day of the set that answered
	// HasExtras says that Extras hold what the word's extras flag promises,
	// or what further sets say; without it a word with the flag says that
	// there is more to know than is known here.
	HasExtras bool
	Extras    Extras
	// CardMismatch is true when what is printed on the card (name, birth
	// date, issue date) is not what central has for this number.
	CardMismatch bool
}

// Day gives the absolute day of the word.
func (f Facts) Day() Day { return f.Base + Day(f.Word.Offset()) }

// MaxSets is how many data sets a box merges at most.
const MaxSets = 8

// SetVersion names the version of a data set in force; Version 0 means none.
type SetVersion struct {
	Set     string
	Version uint64
}

// DataState is the state of the data behind an answer: read together with the
// facts, so that an entry names the very versions that were asked.
type DataState struct {
	Sets [MaxSets]SetVersion
	N    int // sets in use
	// AsOf is when central last vouched for the oldest of the sets asked
	// (`iat` of its newest manifest or delta); zero when a set is missing.
	AsOf int64 // UTC milliseconds
	// Missing is true when a configured set has no data or no key.
	Missing bool
}
