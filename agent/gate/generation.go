package gate

import "time"

// Generation describes one whole, immutable version of a data set: what a
// manifest promises and what a set file carries in its meta bucket.
type Generation struct {
	Set     string
	Version uint64
	People  uint64 // records
	Extras  uint64 // people among them with an extras entry
	Blocks  uint64 // B of STORE §7.1: People/62, a little fewer or more where it was kept from the version before
	Width   int    // bytes a record: 7, with check bits 9
	KeyID   string // key of the pseudonyms
	// KeyInMemory is true when that key must never be written to the disk.
	KeyInMemory bool
	BaseDay     Day // day 0 of the fact words
	// Lists are the names that extras entries refer to by their place here;
	// at most [MaxListNames].
	Lists []string
	// Issued is the `iat` of the newest manifest that vouches for this
	// version; data age counts from it.
	Issued time.Time
	// Digest is SHA-256 over all blocks in order, each as block number
	// (8 bytes big-endian), length (4 bytes big-endian) and value; where a
	// block has extras, they follow it in the same form, with the highest bit
	// of the number set.
	Digest [32]byte
	// Manifest is the signed document as received, kept to be verified again.
	Manifest []byte
}

// GenerationWriter takes the blocks of a generation in ascending order, in
// staging. Nothing is in force before Commit returns nil.
type GenerationWriter interface {
	// Block adds a block. value holds n records of Width bytes, sorted by
	// their 40-bit remainder; extras, empty for most blocks, the entries of
	// those whose word has the extras flag. Both are copied.
	Block(no uint64, value, extras []byte) error
	// Commit verifies count and digest, makes the file durable and switches
	// readers to it. After an error the old generation is still in force.
	Commit() error
	// Abort throws the staging away; after Commit it does nothing.
	Abort() error
}

// MaxListNames bounds the list names of one data set.
const MaxListNames = 64

// Delta is one change of a data set from version N-1 to version N, as its
// signed document describes it.
type Delta struct {
	Set string
	N   uint64
	// Base and BaseDigest name the whole version whose blocks the changes
	// refer to: the one in force must have grown from it.
	Base       uint64
	BaseDigest [32]byte
	Issued     time.Time
	Changes    uint64 // how many
	People     uint64 // records after it
	// Lists, when not empty, replace [Generation.Lists].
	Lists []string
}

// Change is one person's record, new, other or gone.
type Change struct {
	Block uint64
	// Place is the record's place within the block of the base, counted from
	// 0; -1 where Rem names the record, because the base does not have it.
	Place int
	Rem   uint64 // 40 bits; not set where Place is
	Gone  bool
	Word  Word
	Check uint16 // check bits; 0: none
	// Extras is the body of the extras entry; empty: none. It is only good
	// until the call that was given it returns.
	Extras []byte
}
