package gate

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
)

// Pseudonym is the first 64 bits of HMAC-SHA-256(key, the number as 12 ASCII
// digits), big-endian (DESIGN §5), or of a pass ([Pseudonymer.OfPass]).
type Pseudonym uint64

// String gives 16 lower-case hexadecimal digits.
func (p Pseudonym) String() string { return fmt.Sprintf("%016x", uint64(p)) }

// ParsePseudonym is the inverse of [Pseudonym.String].
func ParsePseudonym(s string) (Pseudonym, error) {
	var b [8]byte
	if len(s) != 16 {
		return 0, fmt.Errorf("a pseudonym has 16 hexadecimal digits, not %d", len(s))
	}
	if _, err := hex.Decode(b[:], []byte(s)); err != nil {
		return 0, fmt.Errorf("pseudonym: %w", err)
	}
	return Pseudonym(binary.BigEndian.Uint64(b[:])), nil
}

// Key is a 256-bit secret for pseudonyms: of a data set or of a site's
// entries. Its String never shows it.
type Key [32]byte

func (Key) String() string { return "key(hidden)" }

// GoString hides it too, for %#v.
func (Key) GoString() string { return "key(hidden)" }

// Pseudonymer computes pseudonyms under one key without allocating. It is not
// safe for concurrent use.
type Pseudonymer struct {
	mac  hash.Hash
	in   [12]byte
	sum  [sha256.Size]byte
	card []byte // what else is hashed
}

// NewPseudonymer keys a Pseudonymer.
func NewPseudonymer(k Key) *Pseudonymer { return &Pseudonymer{mac: hmac.New(sha256.New, k[:])} }

// Of gives the pseudonym of n, which must be [Number.Valid].
func (p *Pseudonymer) Of(n Number) Pseudonym {
	copy(p.in[:], n)
	p.mac.Reset()
	p.mac.Write(p.in[:])
	out := p.mac.Sum(p.sum[:0])
	clear(p.in[:])
	return Pseudonym(binary.BigEndian.Uint64(out))
}

// OfPass gives the pseudonym of a pass: the first 64 bits of
// HMAC-SHA-256(key, "pass" NUL id). It is never mistaken for a number's.
func (p *Pseudonymer) OfPass(id [16]byte) Pseudonym {
	p.card = append(append(p.card[:0], "pass\x00"...), id[:]...)
	p.mac.Reset()
	p.mac.Write(p.card)
	return Pseudonym(binary.BigEndian.Uint64(p.mac.Sum(p.sum[:0])))
}

// Tagged gives with the pseudonym of n the next 64 bits of the same HMAC: two
// numbers that share a pseudonym, which happens, do not share these as well.
func (p *Pseudonymer) Tagged(n Number) (Pseudonym, uint64) {
	who := p.Of(n)
	return who, binary.BigEndian.Uint64(p.sum[8:])
}

// Check gives the 16 check bits over what a card says of the bearer of n: the
// first two bytes of HMAC-SHA-256(key, "card" NUL number card). card is
// [Claim.Card] and must not be empty. It is never 0, which stands for "none".
func (p *Pseudonymer) Check(n Number, card string) uint16 {
	p.card = append(append(append(p.card[:0], "card\x00"...), n...), card...)
	p.mac.Reset()
	p.mac.Write(p.card)
	out := p.mac.Sum(p.sum[:0])
	clear(p.card)
	return max(binary.BigEndian.Uint16(out), 1)
}
