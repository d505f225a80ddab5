package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"gateagent/agent/gate"
	"gateagent/agent/record"
	"gateagent/agent/record/strict"
)

// How a set's key may be held.
const (
	KeyHoldFile   = "file"   // in a file, readable by root only
	KeyHoldMemory = "memory" // delivered after each boot, never written
)

// Bounds of a manifest. A payload of MaxManifest bytes grows by a third as a
// JWS; NATS closes connections at 1 MiB, so the largest that is built stays
// below half of that.
const (
	MaxManifest   = 512 << 10 // payload, bytes
	MaxChunks     = 6144
	MaxRetained   = 200 // chunks of a set that may be published retained
	MaxDeltas     = 300 // deltas that a manifest names
	MaxVersion    = 1<<53 - 1
	widthPlain    = 7 // bytes a record
	widthCheck    = 9 // with check bits
	maxURLs       = 8
	maxBlocks     = 1 << 32
	peopleABlock  = 62
	maxPeople     = peopleABlock * maxBlocks
	maxPerBlock   = 255
	maxKeyID      = 64
	leastPercent  = 90 // of peopleABlock·Blocks
	mostPercent   = 115
	maxSpread     = 7 * 24 * 3600
	maxDeltaBytes = 64 << 10 // compact form of a delta
)

// Manifest is the payload of a gate-manifest+jws: a data set as it stands: one
// whole version, the chunks it is made of, and the deltas that lead on from
// there.
type Manifest struct {
	Aud string `json:"aud"` // the set
	// Ver is the newest version: the last delta's number, or the base's
	// version when no delta leads on from it.
	Ver uint64 `json:"ver"`
	Iat int64  `json:"iat"` // Unix seconds; data age counts from it
	Exp int64  `json:"exp"` // Unix seconds
	// Coding of the chunks: [CodingColumns].
	Coding  string `json:"coding"`
	KeyHold string `json:"key_hold"`
	Base    Base   `json:"base"`
	Chunks  Chunks `json:"chunks"`
	// Deltas, ascending without a gap, up to Ver. Those up to Base.Version
	// belong to the lineage before, so that a box on the base before can
	// reach the content of this one without fetching it.
	Deltas []DeltaRef `json:"deltas,omitempty"`
	// BackFrom, when set, lets this manifest replace versions above Ver, up to
	// and with that one: a mistake is taken back. It does so only for a box
	// whose version in force was vouched for before Iat.
	BackFrom uint64 `json:"back_from,omitempty"`
	// URLs are HTTPS places where the same chunks lie under their digests.
	URLs []string `json:"urls,omitempty"`
	// SpreadS asks boxes to begin at a random moment within so many seconds.
	SpreadS uint32 `json:"spread_s,omitempty"`
}

// Base describes the whole version: [gate.Generation] on the wire.
type Base struct {
	Version uint64 `json:"version"`
	People  uint64 `json:"people"`
	Extras  uint64 `json:"extras,omitempty"` // people among them with an extras entry
	// Blocks is about People/62: [FitsBlocks].
	Blocks  uint64 `json:"blocks"`
	Width   int    `json:"width"`    // bytes a record: 7, with check bits 9
	BaseDay string `json:"base_day"` // day 0 of the fact words
	KeyID   string `json:"key_id"`
	Digest  string `json:"digest"` // over all blocks, as gate.Generation says
	// Lists are the names that extras entries refer to by their place here.
	Lists []string `json:"lists,omitempty"`
}

// DeltaRef names a delta.
type DeltaRef struct {
	N      uint64 `json:"n"`      // it leads from version N-1 to N
	Base   uint64 `json:"base"`   // version whose blocks its changes refer to
	Size   int    `json:"size"`   // bytes of the document
	Digest string `json:"digest"` // SHA-256 of the document, in its compact form
}

// FitsBlocks says whether a set of so many people may have so many blocks:
// ceil(people/62), at least 1, or, since a new base may keep the number of the
// one before, so that between 90 and 115 people are there for each 100 that
// the blocks are meant for.
func FitsBlocks(people, blocks uint64) bool {
	if people > maxPeople || blocks == 0 || blocks > maxBlocks {
		return false
	}
	if blocks == max(1, (people+peopleABlock-1)/peopleABlock) {
		return true
	}
	meant := blocks * peopleABlock
	return people*100 >= meant*leastPercent && people*100 <= meant*mostPercent
}

// ParseManifest reads the payload of a manifest whose signature holds and
// checks that its parts fit together.
func ParseManifest(payload []byte) (Manifest, error) {
	var m Manifest
	if err := strict.Read(payload, &m, strict.Limits{Size: MaxManifest, Depth: maxBodyDepth}); err != nil {
		return Manifest{}, fmt.Errorf("manifest: %w", err)
	}
	if err := m.Check(); err != nil {
		return Manifest{}, fmt.Errorf("manifest: %w", err)
	}
	return m, nil
}

// Marshal writes the payload, to be signed, after checking it.
func (m Manifest) Marshal() ([]byte, error) {
	if err := m.Check(); err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	b, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	if len(b) > MaxManifest {
		return nil, fmt.Errorf("manifest: %d bytes, at most %d are taken: %w", len(b), MaxManifest, ErrTooLarge)
	}
	return b, nil
}

// Check reports parts that do not fit together.
func (m Manifest) Check() error {
	if m.Coding != CodingColumns {
		return fmt.Errorf("coding %q; this version reads %s", clip(m.Coding), CodingColumns)
	}
	if m.KeyHold != KeyHoldFile && m.KeyHold != KeyHoldMemory {
		return fmt.Errorf("key_hold %q is neither %s nor %s", clip(m.KeyHold), KeyHoldFile, KeyHoldMemory)
	}
	if !ValidSet(m.Aud) {
		return fmt.Errorf("data set %q is not a name", clip(m.Aud))
	}
	if m.Ver == 0 || m.Ver > MaxVersion {
		return fmt.Errorf("version %d is out of range", m.Ver)
	}
	if m.BackFrom != 0 && (m.BackFrom <= m.Ver || m.BackFrom > MaxVersion) {
		return fmt.Errorf("version %d is no way back from version %d", m.Ver, m.BackFrom)
	}
	if m.SpreadS > maxSpread {
		return fmt.Errorf("spread_s of %d, at most %d are taken", m.SpreadS, maxSpread)
	}
	if err := m.Base.check(); err != nil {
		return err
	}
	if err := m.checkDeltas(); err != nil {
		return err
	}
	if len(m.URLs) > maxURLs {
		return fmt.Errorf("%d urls, at most %d are taken", len(m.URLs), maxURLs)
	}
	for _, u := range m.URLs {
		if p, err := url.Parse(u); err != nil || p.Scheme != "https" || p.Host == "" || !strings.HasSuffix(p.Path, "/") {
			return errors.New("a url does not begin with https:// and end with /")
		}
	}
	return m.Chunks.check(m.Base)
}

func (b Base) check() error {
	switch {
	case b.Version == 0:
		return errors.New("the base has no version")
	case b.Width != widthPlain && b.Width != widthCheck:
		return fmt.Errorf("records of %d bytes; this version reads %d and %d", b.Width, widthPlain, widthCheck)
	case !FitsBlocks(b.People, b.Blocks):
		return fmt.Errorf("%d blocks for %d people", b.Blocks, b.People)
	case b.Extras > b.People:
		return fmt.Errorf("%d of %d people with extras", b.Extras, b.People)
	case !ValidDigest(b.Digest):
		return errors.New("base digest is not 64 hexadecimal digits")
	case b.KeyID == "" || len(b.KeyID) > maxKeyID:
		return errors.New("key_id is missing")
	}
	if _, err := gate.ParseDay(b.BaseDay); err != nil {
		return err
	}
	return checkLists(b.Lists)
}

// checkLists says whether lists may be the names of a set's lists.
func checkLists(lists []string) error {
	if len(lists) > gate.MaxListNames {
		return fmt.Errorf("%d list names, at most %d are taken", len(lists), gate.MaxListNames)
	}
	for i, name := range lists {
		if !record.ValidName(name) {
			return fmt.Errorf("list %q is not a name", clip(name))
		}
		if slices.Contains(lists[:i], name) {
			return fmt.Errorf("list %q is named twice", name)
		}
	}
	return nil
}

func (m Manifest) checkDeltas() error {
	d := m.Deltas
	if len(d) > MaxDeltas {
		return fmt.Errorf("%d deltas, at most %d are taken", len(d), MaxDeltas)
	}
	last := m.Base.Version
	if len(d) > 0 {
		last = d[len(d)-1].N
	}
	if m.Base.Version > m.Ver || last != m.Ver {
		return fmt.Errorf("base %d and its deltas lead to version %d, not to %d", m.Base.Version, last, m.Ver)
	}
	for i, r := range d {
		switch {
		case i > 0 && r.N != d[i-1].N+1 || i == 0 && (r.N == 0 || r.N > m.Base.Version+1):
			return fmt.Errorf("delta %d is out of turn", r.N)
		case r.N > m.Base.Version && r.Base != m.Base.Version:
			return fmt.Errorf("delta %d has base %d, not %d", r.N, r.Base, m.Base.Version)
		case r.N <= m.Base.Version && (r.Base == 0 || r.Base != d[0].Base || r.Base >= d[0].N):
			return fmt.Errorf("delta %d has base %d", r.N, r.Base)
		case r.Size <= 0 || r.Size > maxDeltaBytes:
			return fmt.Errorf("delta %d has %d bytes", r.N, r.Size)
		case !ValidDigest(r.Digest):
			return fmt.Errorf("digest of delta %d is not 64 hexadecimal digits", r.N)
		}
	}
	return nil
}

// Generation gives what the manifest promises of its base; compact is the
// signed document, kept with it.
func (m Manifest) Generation(compact []byte) (gate.Generation, error) {
	day, err := gate.ParseDay(m.Base.BaseDay)
	if err != nil {
		return gate.Generation{}, fmt.Errorf("manifest: %w", err)
	}
	g := gate.Generation{
		Set:         m.Aud,
		Version:     m.Base.Version,
		People:      m.Base.People,
		Extras:      m.Base.Extras,
		Blocks:      m.Base.Blocks,
		Width:       m.Base.Width,
		KeyID:       m.Base.KeyID,
		KeyInMemory: m.KeyHold == KeyHoldMemory,
		BaseDay:     day,
		Lists:       m.Base.Lists,
		Issued:      time.Unix(m.Iat, 0).UTC(),
		Manifest:    compact,
	}
	if err := decodeDigest(g.Digest[:], m.Base.Digest); err != nil {
		return gate.Generation{}, fmt.Errorf("manifest: %w", err)
	}
	return g, nil
}
