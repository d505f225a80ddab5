// Package block is the codec of a data set's records: how a pseudonym is
// placed in a numbered block, how a block's value is laid out, how it is
// searched where it lies and how it is digested (STORE §7.1).
//
// It is pure: no file, no database, no goroutine. The central side packs blocks
// with it, the box searches them with it.
//
// A set of N people has B = ceil(N/62) blocks. A pseudonym h (64 bits) falls
// into block hi64(h·B) and keeps 40 bits of the remainder, lo64(h·B)>>24. A
// block's value is its records side by side, sorted by remainder, without
// header: 7 bytes each, big-endian rem40<<16 | word. Empty blocks do not exist.
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

// AppendRecord appends one record; rem has 40 bits.
func AppendRecord(to []byte, rem uint64, w gate.Word) []byte {
	v := rem<<16 | uint64(w)
	return append(to, byte(v>>48), byte(v>>40), byte(v>>32), byte(v>>24), byte(v>>16), byte(v>>8), byte(v))
}

// At gives record i of a value; i is below len(value)/Width.
func At(value []byte, i int) (rem uint64, w gate.Word) {
	v := load(value, i*Width)
	return v >> 16, gate.Word(v)
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

// Search finds rem in a value. It starts where an even spread would put the
// record and walks from there; it copies nothing and allocates nothing.
// A value whose length is no multiple of [Width] is searched up to its last
// whole record.
func Search(value []byte, rem uint64) (gate.Word, bool) {
	n := len(value) / Width
	if n == 0 {
		return 0, false
	}
	guess, _ := bits.Mul64(rem<<remShift, uint64(n))
	i := int(guess) // below n, because rem<<24 < 2^64
	v := load(value, i*Width)
	for v>>16 < rem {
		if i++; i == n {
			return 0, false
		}
		v = load(value, i*Width)
	}
	for v>>16 > rem {
		if i--; i < 0 {
			return 0, false
		}
		v = load(value, i*Width)
	}
	return gate.Word(v), v>>16 == rem
}

// Check says whether value is a block's value: whole records, at least one, at
// most [MaxRecords], in strictly ascending order of their remainders.
func Check(value []byte) error {
	n := len(value) / Width
	switch {
	case len(value)%Width != 0:
		return fmt.Errorf("%w: %d bytes are no whole number of records", ErrMalformed, len(value))
	case n == 0:
		return fmt.Errorf("%w: empty", ErrMalformed)
	case n > MaxRecords:
		return fmt.Errorf("%w: %d records, more than %d", ErrMalformed, n, MaxRecords)
	}
	prev, _ := At(value, 0)
	for i := 1; i < n; i++ {
		rem, _ := At(value, i)
		if rem <= prev {
			return fmt.Errorf("%w: record %d is not above the one before it", ErrMalformed, i)
		}
		prev = rem
	}
	return nil
}
