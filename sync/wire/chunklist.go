package wire

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
)

// Chunk is one message of blocks. The chunks of a manifest divide its blocks
// among themselves: the first begins at block 0, each of the others where the
// one before it ends, and the last ends with the last block.
type Chunk struct {
	Digest string // SHA-256 of the message
	Size   int    // bytes of the message
	First  uint64 // first block of its share
	Last   uint64 // last block of its share
	People uint64 // records in it
}

// Chunks is the list of chunks of a manifest. Thousands of them have to go
// into one message, so that it is written in columns, an object of
//
//	digests  the 32 bytes of all digests, one after the other, as one base64url text without padding
//	sizes    bytes of each
//	blocks   how many blocks the share of each has
//	people   records in each
type Chunks []Chunk

type chunkColumns struct {
	Digests string   `json:"digests"`
	Sizes   []int    `json:"sizes"`
	Blocks  []uint64 `json:"blocks"`
	People  []uint64 `json:"people"`
}

// digestLen is the length of a digest in bytes.
const digestLen = 32

// MarshalJSON writes the columns. It fails where the shares do not adjoin.
func (c Chunks) MarshalJSON() ([]byte, error) {
	cols := chunkColumns{Sizes: make([]int, len(c)), Blocks: make([]uint64, len(c)), People: make([]uint64, len(c))}
	digests := make([]byte, len(c)*digestLen)
	var next uint64
	for i, chunk := range c {
		if err := decodeDigest(digests[i*digestLen:][:digestLen], chunk.Digest); err != nil {
			return nil, fmt.Errorf("chunk %d: %w", i, err)
		}
		if chunk.First != next || chunk.Last < chunk.First || chunk.Last >= maxBlocks {
			return nil, fmt.Errorf("chunk %d: blocks %d to %d do not follow block %d", i, chunk.First, chunk.Last, next)
		}
		next = chunk.Last + 1
		cols.Sizes[i], cols.Blocks[i], cols.People[i] = chunk.Size, next-chunk.First, chunk.People
	}
	cols.Digests = base64.RawURLEncoding.EncodeToString(digests)
	return json.Marshal(cols)
}

// UnmarshalJSON reads the columns. What the numbers say is for
// [Manifest.Check] to judge.
func (c *Chunks) UnmarshalJSON(text []byte) error {
	var cols chunkColumns
	if err := json.Unmarshal(text, &cols); err != nil {
		return fmt.Errorf("chunks: %w", err)
	}
	digests, err := base64.RawURLEncoding.Strict().DecodeString(cols.Digests)
	if err != nil {
		return errors.New("chunks: digests are not base64url without padding")
	}
	n := len(cols.Sizes)
	if n > MaxChunks {
		return fmt.Errorf("%d chunks, at most %d are taken", n, MaxChunks)
	}
	if len(digests) != n*digestLen || len(cols.Blocks) != n || len(cols.People) != n {
		return errors.New("chunks: columns of different length")
	}
	list := make(Chunks, n)
	var next uint64
	for i := range list {
		blocks := cols.Blocks[i]
		if blocks == 0 || blocks > maxBlocks-next {
			return fmt.Errorf("chunk %d has a share of %d blocks", i, blocks)
		}
		list[i] = Chunk{
			Digest: hex.EncodeToString(digests[i*digestLen:][:digestLen]), Size: cols.Sizes[i],
			First: next, Last: next + blocks - 1, People: cols.People[i],
		}
		next += blocks
	}
	*c = list
	return nil
}

// check holds the list to a version of that many blocks and people.
func (c Chunks) check(b Base) error {
	if len(c) > MaxChunks {
		return fmt.Errorf("%d chunks, at most %d are taken", len(c), MaxChunks)
	}
	var people, next uint64
	for i, c := range c {
		switch {
		case !ValidDigest(c.Digest):
			return fmt.Errorf("digest of chunk %d is not 64 hexadecimal digits", i)
		case c.Size <= 0 || c.Size > MaxChunk:
			return fmt.Errorf("chunk %d has %d bytes", i, c.Size)
		case c.First != next || c.Last < c.First || c.Last >= b.Blocks:
			return fmt.Errorf("chunk %d has blocks %d to %d, after block %d of %d", i, c.First, c.Last, next, b.Blocks)
		case c.People == 0 || c.People > b.People-people:
			return fmt.Errorf("chunk %d holds %d people", i, c.People)
		}
		next = c.Last + 1
		people += c.People
	}
	switch {
	case people != b.People:
		return fmt.Errorf("chunks hold %d people of %d", people, b.People)
	case people > 0 && next != b.Blocks:
		return fmt.Errorf("chunks end with block %d of %d", next, b.Blocks)
	}
	return nil
}

func decodeDigest(into []byte, s string) error {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(into) {
		return errors.New("digest is not 64 hexadecimal digits")
	}
	copy(into, b)
	return nil
}
