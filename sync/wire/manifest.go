package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"gateagent/agent/gate"
	"gateagent/agent/record/strict"
)

// CodingBlocks is the coding of chunks that this version reads: blocks of
// records (STORE §7.1), zstd; see [EncodeChunk].
const CodingBlocks = "blocks+zstd"

// How a set's key may be held.
const (
	KeyHoldFile   = "file"   // in a file, readable by root only
	KeyHoldMemory = "memory" // delivered after each boot, never written
)

// Bounds of a manifest.
const (
	MaxManifest  = 512 << 10 // payload, bytes
	MaxChunks    = 4096
	MaxRetained  = 200 // chunks of a set that may be published retained
	recordWidth  = 7
	peopleABlock = 62
	maxURLs      = 8
	maxBlocks    = 1 << 32
	maxPerBlock  = 4096
)

// Manifest is the payload of a gate-manifest+jws: one whole version of a data
// set, and the chunks it is made of.
type Manifest struct {
	Aud string `json:"aud"` // the set
	Ver uint64 `json:"ver"`
	Iat int64  `json:"iat"` // Unix seconds; data age counts from it
	Exp int64  `json:"exp"` // Unix seconds
	// Coding of the chunks: [CodingBlocks].
	Coding  string  `json:"coding"`
	KeyHold string  `json:"key_hold"`
	Base    Base    `json:"base"`
	Chunks  []Chunk `json:"chunks"`
	// URLs are HTTPS places where the same chunks lie under their digests.
	URLs []string `json:"urls,omitempty"`
	// SpreadS asks boxes to begin at a random moment within so many seconds.
	SpreadS uint32 `json:"spread_s,omitempty"`
}

// Base describes the whole version: [gate.Generation] on the wire.
type Base struct {
	Version uint64 `json:"version"`
	People  uint64 `json:"people"`
	Blocks  uint64 `json:"blocks"` // about people/62, at least 1; see fits
	Width   int    `json:"width"`  // bytes a record: 7
	BaseDay string `json:"base_day"`
	KeyID   string `json:"key_id"`
	Digest  string `json:"digest"` // over all blocks, as gate.Generation says
}

// Chunk is one message of blocks.
type Chunk struct {
	Digest string `json:"digest"` // SHA-256 of the message
	Size   int    `json:"size"`   // bytes of the message
	First  uint64 `json:"first"`  // first block in it
	Last   uint64 `json:"last"`   // last block in it
	People uint64 `json:"people"` // records in it
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
	return json.Marshal(m)
}

// Check reports parts that do not fit together.
func (m Manifest) Check() error {
	if m.Coding != CodingBlocks {
		return fmt.Errorf("coding %q; this version reads %s", clip(m.Coding), CodingBlocks)
	}
	if m.KeyHold != KeyHoldFile && m.KeyHold != KeyHoldMemory {
		return fmt.Errorf("key_hold %q is neither %s nor %s", clip(m.KeyHold), KeyHoldFile, KeyHoldMemory)
	}
	if !ValidSet(m.Aud) {
		return fmt.Errorf("data set %q is not a name", clip(m.Aud))
	}
	if err := m.Base.check(m.Ver); err != nil {
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
	return m.checkChunks()
}

// fits says whether so many people may lie in so many blocks: a new base may
// keep the block count of the one before (cache/block, Fits).
func fits(people, blocks uint64) bool {
	if blocks == 0 || blocks > maxBlocks || people > maxBlocks*peopleABlock {
		return false
	}
	return (blocks+1)*peopleABlock*100 >= people*90 && (blocks-1)*peopleABlock*100 <= people*115
}

func (b Base) check(ver uint64) error {
	switch {
	case b.Version != ver || ver == 0:
		return fmt.Errorf("base is version %d of version %d", b.Version, ver)
	case b.Width != recordWidth:
		return fmt.Errorf("records of %d bytes; this version reads %d", b.Width, recordWidth)
	case !fits(b.People, b.Blocks):
		return fmt.Errorf("%d blocks for %d people", b.Blocks, b.People)
	case !ValidDigest(b.Digest):
		return errors.New("base digest is not 64 hexadecimal digits")
	case b.KeyID == "" || len(b.KeyID) > 64:
		return errors.New("key_id is missing")
	}
	_, err := gate.ParseDay(b.BaseDay)
	return err
}

func (m Manifest) checkChunks() error {
	if len(m.Chunks) > MaxChunks {
		return fmt.Errorf("%d chunks, at most %d are taken", len(m.Chunks), MaxChunks)
	}
	var people, next uint64
	for i, c := range m.Chunks {
		switch {
		case !ValidDigest(c.Digest):
			return fmt.Errorf("digest of chunk %d is not 64 hexadecimal digits", i)
		case c.Size <= 0 || c.Size > MaxChunk:
			return fmt.Errorf("chunk %d has %d bytes", i, c.Size)
		case c.First < next || c.Last < c.First || c.Last >= m.Base.Blocks:
			return fmt.Errorf("chunk %d holds blocks %d to %d out of order", i, c.First, c.Last)
		case c.People == 0 || c.People > m.Base.People-people:
			return fmt.Errorf("chunk %d holds %d people", i, c.People)
		}
		next = c.Last + 1
		people += c.People
	}
	if people != m.Base.People {
		return fmt.Errorf("chunks hold %d people of %d", people, m.Base.People)
	}
	return nil
}

// Generation gives what the manifest promises. compact is the signed document,
// kept with it.
func (m Manifest) Generation(compact []byte) (gate.Generation, error) {
	day, err := gate.ParseDay(m.Base.BaseDay)
	if err != nil {
		return gate.Generation{}, fmt.Errorf("manifest: %w", err)
	}
	g := gate.Generation{
		Set:      m.Aud,
		Version:  m.Base.Version,
		People:   m.Base.People,
		Blocks:   m.Base.Blocks,
		Width:    m.Base.Width,
		KeyID:    m.Base.KeyID,
		BaseDay:  day,
		Issued:   time.Unix(m.Iat, 0).UTC(),
		Manifest: compact,
	}
	return g, decodeDigest(g.Digest[:], m.Base.Digest)
}
