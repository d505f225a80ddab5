// Package record is the one form of the gate's journal: what is hashed, stored
// and sent. It turns the domain's words (agent/gate) into records of integer
// keys, chains them by hash, and turns them into CloudEvents and back
// (DESIGN §4.4).
//
// It owns the format: the key tables in README.md, the hash rule, and the
// golden vectors under testdata. It owns no file, no clock and no key: cache
// stores what it makes, sync sends it, gatectl verifies it.
//
//	hash(n) = SHA-256( hash(n-1) ‖ SHA-256(public) ‖ SHA-256(salt ‖ personal) )
//
// Units: instants are UTC milliseconds, latencies whole microseconds, ages
// seconds. All CBOR is core-deterministic (RFC 8949 §4.2.1).
package record

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"gateagent/agent/record/strict"
)

// Format is the number of the record format that this package writes; it is
// `v` in events and key 0 of the public part.
const Format = 1

// SaltSize is the length of a record's salt.
const SaltSize = 16

// MaxRecord bounds public and personal part together, in bytes.
const MaxRecord = 16 << 10

// MaxSeq is the largest sequence number: the largest integer that every JSON
// reader keeps exactly.
const MaxSeq = 1<<53 - 1

// ErrWrongType is returned by the decoders of one record type for a record of
// another.
var ErrWrongType = errors.New("record is of another type")

// Epoch names one journal file: 64 random bits, drawn when the file is made.
type Epoch [8]byte

// NewEpoch draws an epoch.
func NewEpoch() Epoch {
	var e Epoch
	rand.Read(e[:]) //nolint:errcheck // crypto/rand.Read never fails
	return e
}

// String gives 16 lower-case hexadecimal digits.
func (e Epoch) String() string { return hex.EncodeToString(e[:]) }

// IsZero says whether no epoch is named.
func (e Epoch) IsZero() bool { return e == Epoch{} }

// ParseEpoch is the inverse of [Epoch.String].
func ParseEpoch(s string) (Epoch, error) {
	var e Epoch
	if err := parseHex(e[:], s); err != nil {
		return Epoch{}, fmt.Errorf("epoch: %w", err)
	}
	return e, nil
}

// MarshalText is [Epoch.String], for JSON.
func (e Epoch) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

// UnmarshalText is [ParseEpoch], for JSON.
func (e *Epoch) UnmarshalText(b []byte) error { return parseHex(e[:], string(b)) }

// Hash is a SHA-256 digest; the zero Hash stands before the first record.
type Hash [32]byte

// String gives 64 lower-case hexadecimal digits.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// ParseHash is the inverse of [Hash.String].
func ParseHash(s string) (Hash, error) {
	var h Hash
	if err := parseHex(h[:], s); err != nil {
		return Hash{}, fmt.Errorf("hash: %w", err)
	}
	return h, nil
}

// MarshalText is [Hash.String], for JSON.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText is [ParseHash], for JSON.
func (h *Hash) UnmarshalText(b []byte) error { return parseHex(h[:], string(b)) }

func parseHex(into []byte, s string) error {
	if len(s) != 2*len(into) {
		return fmt.Errorf("%d characters instead of %d hexadecimal digits", len(s), 2*len(into))
	}
	if s != strings.ToLower(s) {
		return errors.New("hexadecimal digits are written in lower case")
	}
	_, err := hex.Decode(into, []byte(s))
	return err
}

// Position is a place in a chain: the last record up to which something holds.
// Seq 0 with the zero Head is the place before the first record.
type Position struct {
	Epoch Epoch
	Seq   uint64
	Head  Hash // hash of record Seq
}

// Origin says whose journal it is.
type Origin struct{ Site, Gate string }

// Source gives the CloudEvents source, "/site/gate".
func (o Origin) Source() string { return "/" + o.Site + "/" + o.Gate }

// Check reports a name that is not valid.
func (o Origin) Check() error {
	if !ValidName(o.Site) {
		return fmt.Errorf("site %q is not a name of [a-z0-9][a-z0-9-]{0,31}", clip(o.Site))
	}
	if !ValidName(o.Gate) {
		return fmt.Errorf("gate %q is not a name of [a-z0-9][a-z0-9-]{0,31}", clip(o.Gate))
	}
	return nil
}

// ParseSource is the inverse of [Origin.Source].
func ParseSource(s string) (Origin, error) {
	site, gate, ok := strings.Cut(strings.TrimPrefix(s, "/"), "/")
	o := Origin{site, gate}
	if !ok || o.Source() != s {
		return Origin{}, fmt.Errorf("source %q is not /site/gate", clip(s))
	}
	return o, o.Check()
}

// ValidName says whether s may name a site, a gate or a data set:
// [a-z0-9][a-z0-9-]{0,31}.
func ValidName(s string) bool {
	if len(s) == 0 || len(s) > 32 || s[0] == '-' {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

// Record is one record apart from its place in the chain.
type Record struct {
	// Public is the CBOR of the public part.
	Public []byte
	// Salt is 16 random bytes; nil after erasing.
	Salt []byte
	// Personal is the CBOR of the personal part, at least the empty map; nil
	// after erasing.
	Personal []byte
	// Digest is SHA-256(salt ‖ personal). It stays when the two are erased.
	Digest Hash
}

// emptyMap is the personal part of a record that has none.
var emptyMap = []byte{0xa0}

func newRecord(public, personal []byte, salt [SaltSize]byte) (Record, error) {
	if n := len(public) + len(personal); n > MaxRecord {
		return Record{}, fmt.Errorf("record of %d bytes, at most %d are kept", n, MaxRecord)
	}
	return Record{Public: public, Salt: salt[:], Personal: personal, Digest: digest(salt[:], personal)}, nil
}

func digest(salt, personal []byte) Hash {
	h := sha256.New()
	h.Write(salt)
	h.Write(personal)
	return Hash(h.Sum(nil))
}

// Hash gives the hash of r when prev is the hash of the record before it.
func (r Record) Hash(prev Hash) Hash {
	var in [96]byte
	public := sha256.Sum256(r.Public)
	copy(in[:32], prev[:])
	copy(in[32:64], public[:])
	copy(in[64:], r.Digest[:])
	return sha256.Sum256(in[:])
}

// Erased says whether the personal part is gone.
func (r Record) Erased() bool { return r.Salt == nil }

// Erase gives r without salt and personal part. Its hash is the same.
func (r Record) Erase() Record { return Record{Public: r.Public, Digest: r.Digest} }

// Check reports whether the digest fits salt and personal part. An erased
// record has nothing to check.
func (r Record) Check() error {
	if r.Erased() {
		if r.Personal != nil {
			return errors.New("record has a personal part without salt")
		}
		return nil
	}
	if len(r.Salt) != SaltSize {
		return fmt.Errorf("salt of %d bytes instead of %d", len(r.Salt), SaltSize)
	}
	if digest(r.Salt, r.Personal) != r.Digest {
		return errors.New("digest does not fit salt and personal part")
	}
	return nil
}

// Link is a record in its place. Seq counts from 1 in each epoch.
type Link struct {
	Seq    uint64
	Prev   Hash // hash of record Seq-1; zero for the first
	Record Record
}

// Hash gives the hash of the link's record in its place.
func (l Link) Hash() Hash { return l.Record.Hash(l.Prev) }

// Canonical gives the core-deterministic CBOR of a JSON value, for the `sig`
// of messages up; see [strict.Canonical].
func Canonical(v any) ([]byte, error) { return strict.Canonical(v) }

func clip(s string) string {
	if len(s) > 64 {
		return s[:64] + "…"
	}
	return s
}
