package block

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"
)

// extrasMark is the bit of a block number in a digest that says: what follows
// are the block's extras.
const extrasMark = 1 << 63

// Digest is the running SHA-256 over the blocks of a set in ascending order,
// each as block number (8 bytes big-endian), length of the value (4 bytes
// big-endian) and value; where a block has extras, they follow it in the same
// form, with the highest bit of the number set. It says whether two sets hold
// the same.
type Digest struct {
	h    hash.Hash
	head [12]byte
}

// NewDigest starts a Digest.
func NewDigest() *Digest { return &Digest{h: sha256.New()} }

// Add takes the next block.
func (d *Digest) Add(no uint64, value []byte) {
	binary.BigEndian.PutUint64(d.head[:8], no)
	binary.BigEndian.PutUint32(d.head[8:], uint32(len(value)))
	d.h.Write(d.head[:])
	d.h.Write(value)
}

// AddExtras takes the extras of the block that was added last; without any it
// does nothing.
func (d *Digest) AddExtras(no uint64, value []byte) {
	if len(value) > 0 {
		d.Add(no|extrasMark, value)
	}
}

// Sum gives the digest of the blocks so far.
func (d *Digest) Sum() (sum [sha256.Size]byte) {
	d.h.Sum(sum[:0])
	return sum
}
