package wire

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"gateagent/agent/gate"
)

// CodingChanges is the coding of a delta's changes that this version reads:
// [EncodeChanges].
const CodingChanges = "changes"

// Bounds of a delta.
const (
	// MaxInline is up to how many bytes of changes a delta holds itself.
	MaxInline      = 1 << 10
	MaxDeltaPieces = 256
	// MaxChanges bounds the changes of one delta. More than that is no change
	// of a set but another set.
	MaxChanges = 32 << 20
	maxDelta   = 48 << 10 // payload, bytes: maxDeltaBytes as a JWS
)

// DeltaDoc is the payload of a gate-delta+jws: what changed in a set from
// version N-1 to version N. [DeltaDoc.Changes] reads the changes.
type DeltaDoc struct {
	Aud string `json:"aud"` // the set
	N   uint64 `json:"n"`
	Iat int64  `json:"iat"` // Unix seconds; data age counts from it
	Exp int64  `json:"exp"` // Unix seconds
	// Base and BaseDigest name the whole version whose blocks the changes
	// refer to.
	Base       uint64 `json:"base"`
	BaseDigest string `json:"base_digest"`
	Coding     string `json:"coding"` // [CodingChanges]
	Count      uint64 `json:"changes"`
	People     uint64 `json:"people"` // records after it
	// Lists, when not empty, replace the base's.
	Lists []string `json:"lists,omitempty"`
	// Body holds the changes of a small delta. Those of a larger one are in
	// Chunks, which are fetched as those of a base are. Without changes there
	// is neither.
	Body   Blob    `json:"body,omitempty"`
	Chunks []Piece `json:"chunks,omitempty"`
}

// Piece is one message of changes.
type Piece struct {
	Digest string `json:"digest"` // SHA-256 of the message
	Size   int    `json:"size"`   // bytes of the message
}

// ParseDelta reads the payload of a delta whose signature holds and checks
// that its parts fit together.
func ParseDelta(payload []byte) (DeltaDoc, error) {
	var d DeltaDoc
	if err := parse("delta", payload, &d, maxDelta); err != nil {
		return DeltaDoc{}, err
	}
	if err := d.Check(); err != nil {
		return DeltaDoc{}, fmt.Errorf("delta: %w", err)
	}
	return d, nil
}

// Marshal writes the payload, to be signed, after checking it.
func (d DeltaDoc) Marshal() ([]byte, error) {
	if err := d.Check(); err != nil {
		return nil, fmt.Errorf("delta: %w", err)
	}
	b, err := json.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("delta: %w", err)
	}
	if len(b) > maxDelta {
		return nil, fmt.Errorf("delta: %d bytes, at most %d are taken: %w", len(b), maxDelta, ErrTooLarge)
	}
	return b, nil
}

// Check reports parts that do not fit together.
func (d DeltaDoc) Check() error {
	switch {
	case !ValidSet(d.Aud):
		return fmt.Errorf("data set %q is not a name", clip(d.Aud))
	case d.Base == 0 || d.N <= d.Base || d.N > MaxVersion:
		return fmt.Errorf("delta %d on base %d", d.N, d.Base)
	case !ValidDigest(d.BaseDigest):
		return errors.New("base_digest is not 64 hexadecimal digits")
	case d.Coding != CodingChanges:
		return fmt.Errorf("coding %q; this version reads %s", clip(d.Coding), CodingChanges)
	case d.Count > MaxChanges:
		return fmt.Errorf("%d changes, at most %d are taken", d.Count, MaxChanges)
	case d.People > maxPeople:
		return fmt.Errorf("%d people", d.People)
	case len(d.Body) > MaxInline:
		return fmt.Errorf("a body of %d bytes, at most %d are taken", len(d.Body), MaxInline)
	case len(d.Chunks) > MaxDeltaPieces:
		return fmt.Errorf("%d chunks, at most %d are taken", len(d.Chunks), MaxDeltaPieces)
	case len(d.Body) > 0 && len(d.Chunks) > 0, (len(d.Body) > 0 || len(d.Chunks) > 0) != (d.Count > 0):
		return fmt.Errorf("%d changes in a body of %d bytes and %d chunks", d.Count, len(d.Body), len(d.Chunks))
	}
	for i, p := range d.Chunks {
		if !ValidDigest(p.Digest) {
			return fmt.Errorf("digest of chunk %d is not 64 hexadecimal digits", i)
		}
		if p.Size <= 0 || p.Size > MaxChunk {
			return fmt.Errorf("chunk %d has %d bytes", i, p.Size)
		}
	}
	return checkLists(d.Lists)
}

// Domain gives what the document says beside its changes. The document has
// been checked.
func (d DeltaDoc) Domain() gate.Delta {
	g := gate.Delta{
		Set: d.Aud, N: d.N, Base: d.Base, Issued: time.Unix(d.Iat, 0).UTC(), Changes: d.Count, People: d.People, Lists: d.Lists,
	}
	_ = decodeDigest(g.BaseDigest[:], d.BaseDigest) // Check has seen it
	return g
}

// PutChanges puts what [EncodeChanges] gave into the document: into its body
// when it is small, otherwise into Chunks. It gives the messages that have to
// be published under those digests, which are then pieces themselves.
func (d *DeltaDoc) PutChanges(pieces [][]byte, count uint64) (messages [][]byte) {
	d.Coding, d.Count, d.Body, d.Chunks = CodingChanges, count, nil, nil
	if len(pieces) == 1 && len(pieces[0]) <= MaxInline {
		d.Body = pieces[0]
		return nil
	}
	for _, p := range pieces {
		sum := sha256.Sum256(p)
		d.Chunks = append(d.Chunks, Piece{Digest: hex.EncodeToString(sum[:]), Size: len(p)})
	}
	return pieces
}

// Changes reads the changes in their order (see [EncodeChanges]), and checks
// that there are as many as the document says. chunk gives the message of a
// piece, whose digest it has checked; a delta with a body does not ask for any.
// Errors of chunk and each come back as they are.
func (d DeltaDoc) Changes(chunk func(Piece) ([]byte, error), each func(gate.Change) error) error {
	var count uint64
	var last gate.Change
	take := func(c gate.Change) error {
		if count > 0 && CompareChanges(last, c) >= 0 {
			return fmt.Errorf("delta %d: changes out of order at block %d", d.N, c.Block)
		}
		if count++; count > d.Count {
			return fmt.Errorf("delta %d: more than %d changes", d.N, d.Count)
		}
		last = gate.Change{Block: c.Block, Place: c.Place, Rem: c.Rem}
		return each(c)
	}
	if len(d.Body) > 0 {
		if err := DecodeChanges(d.Body, take); err != nil {
			return err
		}
	}
	for _, p := range d.Chunks {
		body, err := chunk(p)
		if err != nil {
			return err
		}
		if err := DecodeChanges(body, take); err != nil {
			return err
		}
	}
	if count != d.Count {
		return fmt.Errorf("delta %d: %d changes of %d", d.N, count, d.Count)
	}
	return nil
}

// CompareChanges is the order of changes, for slices.SortFunc: by block, in it
// first those that a place names, by place, then those that a remainder names,
// by remainder.
func CompareChanges(a, b gate.Change) int {
	if c := cmp.Compare(a.Block, b.Block); c != 0 {
		return c
	}
	switch {
	case a.Place >= 0 && b.Place >= 0:
		return cmp.Compare(a.Place, b.Place)
	case a.Place >= 0:
		return -1
	case b.Place >= 0:
		return 1
	}
	return cmp.Compare(a.Rem, b.Rem)
}
