// Package block is the codec of a data set's records: how a pseudonym is
// placed in a numbered block, how a block's value is laid out, how it is
// searched where it lies and how it is digested (STORE §7.1); and the codec of
// the extras, what is known about the people of a block beyond one word each.
//
// It is pure: no file, no database, no goroutine. The central side packs blocks
// with it, the box searches them with it. cache/README.md describes the format
// field by field.
//
// A set of N people has B = ceil(N/62) blocks. A pseudonym h (64 bits) falls
// into block hi64(h·B) and keeps 40 bits of the remainder, lo64(h·B)>>24. A
// block's value is its records side by side, sorted by remainder, without
// header, each big-endian: rem40 | word16, and with check bits | check16.
// Empty blocks do not exist.
package block

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"

	"gateagent/agent/gate"
)

const (
	// Width is the length of a record in bytes.
	Width = 7
	// WidthCheck is that of a record with check bits. All records of a set
	// have the same length.
	WidthCheck = 9
	// Tombstone is the word of a record that is gone, in a file into which
	// deltas were folded. No whole version holds it.
	Tombstone gate.Word = 0xFFFF
	// PerBlock is how many people a block holds on average: eight blocks of
	// 62 fill a 4 KiB page (STORE §1).
	PerBlock = 62
	// MaxPeople bounds a set so that block numbers fit 4-byte keys.
	MaxPeople = PerBlock << 32
	// MaxRecords bounds one block. The size of a block follows a Poisson
	// distribution around 62; more than 255 means that the pseudonyms are
	// not spread evenly, so the input is not what it says it is.
	MaxRecords = 255

	remBits     = 40
	remShift    = 64 - remBits
	maxRem      = 1<<remBits - 1
	shortBlocks = 1 << 24 // up to here a key has 3 bytes
)

// ErrMalformed is what every refusal of a block's bytes wraps.
var ErrMalformed = errors.New("malformed block")

// Blocks gives the number of blocks of a set of that many people, at least 1.
func Blocks(people uint64) uint64 {
	b := people / PerBlock
	if people%PerBlock != 0 {
		b++
	}
	return max(b, 1)
}

// Place gives the block number, below blocks, and the 40-bit remainder of p.
func Place(p gate.Pseudonym, blocks uint64) (no, rem uint64) {
	hi, lo := bits.Mul64(uint64(p), blocks)
	return hi, lo >> remShift
}

// KeyLen gives the length of the keys of a set with that many blocks: 3 bytes
// up to 2^24 blocks, 4 above.
func KeyLen(blocks uint64) int {
	if blocks <= shortBlocks {
		return 3
	}
	return 4
}

// PutKey writes the key of block no, big-endian, into buf and gives the part
// that it uses.
func PutKey(buf *[4]byte, no, blocks uint64) []byte {
	if blocks <= shortBlocks {
		buf[0], buf[1], buf[2] = byte(no>>16), byte(no>>8), byte(no)
		return buf[:3]
	}
	binary.BigEndian.PutUint32(buf[:], uint32(no))
	return buf[:4]
}

// ParseKey is the inverse of [PutKey]. It fails when the length does not fit
// the number of blocks or the block number is out of range.
func ParseKey(key []byte, blocks uint64) (uint64, error) {
	if len(key) != KeyLen(blocks) {
		return 0, fmt.Errorf("%w: key of %d bytes in a set of %d blocks", ErrMalformed, len(key), blocks)
	}
	var no uint64
	for _, b := range key {
		no = no<<8 | uint64(b)
	}
	if no >= blocks {
		return 0, fmt.Errorf("%w: block %d of %d", ErrMalformed, no, blocks)
	}
	return no, nil
}

// ValidWidth says whether records can have that length.
func ValidWidth(width int) bool { return width == Width || width == WidthCheck }

// AppendRecord appends one record; rem has 40 bits. check is dropped where the
// width has no room for it.
func AppendRecord(to []byte, width int, rem uint64, w gate.Word, check uint16) []byte {
	v := rem<<16 | uint64(w)
	to = append(to, byte(v>>48), byte(v>>40), byte(v>>32), byte(v>>24), byte(v>>16), byte(v>>8), byte(v))
	if width == WidthCheck {
		to = append(to, byte(check>>8), byte(check))
	}
	return to
}

// At gives record i of a value; i is below len(value)/width. check is 0 where
// the width has none.
func At(value []byte, width, i int) (rem uint64, w gate.Word, check uint16) {
	at := i * width
	v := load(value, at)
	return v >> 16, gate.Word(v), checkBits(value, width, at)
}

func checkBits(value []byte, width, at int) uint16 {
	if width != WidthCheck {
		return 0
	}
	return binary.BigEndian.Uint16(value[at+Width:])
}

// load reads the 7 bytes at off: as one 8-byte load where the value goes on,
// byte by byte at its end.
func load(value []byte, off int) uint64 {
	if off+8 <= len(value) {
		return binary.BigEndian.Uint64(value[off:]) >> 8
	}
	var v uint64
	for _, b := range value[off : off+Width] {
		v = v<<8 | uint64(b)
	}
	return v
}

// Search finds rem in a value. See [Find].
func Search(value []byte, width int, rem uint64) (w gate.Word, check uint16, ok bool) {
	i, ok := Find(value, width, rem)
	if !ok {
		return 0, 0, false
	}
	_, w, check = At(value, width, i)
	return w, check, true
}

// Find gives the place of rem in a value. It starts where an even spread would
// put the record and walks from there; it copies nothing and allocates nothing.
// A value whose length is no multiple of width is searched up to its last
// whole record.
func Find(value []byte, width int, rem uint64) (place int, ok bool) {
	n := len(value) / width
	if n == 0 {
		return 0, false
	}
	guess, _ := bits.Mul64(rem<<remShift, uint64(n))
	i := int(guess) // below n, because rem<<24 < 2^64
	v := load(value, i*width) >> 16
	for v < rem {
		if i++; i == n {
			return 0, false
		}
		v = load(value, i*width) >> 16
	}
	for v > rem {
		if i--; i < 0 {
			return 0, false
		}
		v = load(value, i*width) >> 16
	}
	return i, v == rem
}

// Check says whether value is a block's value in a whole version: whole
// records, at least one, at most [MaxRecords], in strictly ascending order of
// their remainders, none a [Tombstone].
func Check(value []byte, width int) error { return check(value, width, false) }

// CheckFolded is [Check] for a file into which deltas were folded: records may
// be tombstones.
func CheckFolded(value []byte, width int) error { return check(value, width, true) }

func check(value []byte, width int, folded bool) error {
	if !ValidWidth(width) {
		return fmt.Errorf("%w: records of %d bytes", ErrMalformed, width)
	}
	n := len(value) / width
	switch {
	case len(value)%width != 0:
		return fmt.Errorf("%w: %d bytes are no whole number of records", ErrMalformed, len(value))
	case n == 0:
		return fmt.Errorf("%w: empty", ErrMalformed)
	case n > MaxRecords:
		return fmt.Errorf("%w: %d records, more than %d", ErrMalformed, n, MaxRecords)
	}
	prev := uint64(0)
	for i := range n {
		v := load(value, i*width)
		rem := v >> 16
		if i > 0 && rem <= prev {
			return fmt.Errorf("%w: record %d is not above the one before it", ErrMalformed, i)
		}
		if !folded && gate.Word(v) == Tombstone {
			return fmt.Errorf("%w: record %d is one that is gone", ErrMalformed, i)
		}
		prev = rem
	}
	return nil
}
