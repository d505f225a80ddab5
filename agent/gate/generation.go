package gate

import "time"

// Generation describes one whole, immutable version of a data set: what a
// manifest promises and what a set file carries in its meta bucket.
type Generation struct {
	Set     string
	Version uint64
	People  uint64 // records
	Blocks  uint64 // B of STORE §7.1: ceil(People/62), at least 1
	Width   int    // bytes a record: 7
	KeyID   string // key of the pseudonyms
	BaseDay Day    // day 0 of the fact words
	// Issued is the `iat` of the newest manifest that vouches for this
	// version; data age counts from it.
	Issued time.Time
	// Digest is SHA-256 over all blocks in order, each as block number
	// (8 bytes big-endian), length (4 bytes big-endian) and value.
	Digest [32]byte
	// Manifest is the signed document as received, kept to be verified again.
	Manifest []byte
}

// GenerationWriter takes the blocks of a generation in ascending order, in
// staging. Nothing is in force before Commit returns nil.
type GenerationWriter interface {
	// Block adds a block. value holds n records of Width bytes, sorted by
	// their 40-bit remainder; it is copied.
	Block(no uint64, value []byte) error
	// Commit verifies count and digest, makes the file durable and switches
	// readers to it. After an error the old generation is still in force.
	Commit() error
	// Abort throws the staging away; after Commit it does nothing.
	Abort() error
}
