package wire

import (
	"errors"
	"fmt"
)

// CodingColumns is the coding of chunks that this version reads: positions,
// fact words, check bits and extras apart, each coded as what it is.
const CodingColumns = "columns"

// MaxInflated bounds the bodies of extras in one chunk or piece, in bytes.
const MaxInflated = 4 << 20

// Block is one block of a data set: Value holds its records, sorted; Extras
// the entries of those whose word has the extras flag.
type Block struct {
	No     uint64
	Value  []byte
	Extras []byte
}

// EncodeChunk writes one chunk. Blocks ascend and hold at least one record of
// width bytes (7, with check bits 9). It wraps [ErrTooLarge] when they are too
// many for one chunk. Who has many chunks to write uses a [ChunkWriter].
func EncodeChunk(coding string, width int, blocks []Block) ([]byte, error) {
	var out []byte
	err := checkBlocks(width, blocks)
	switch {
	case err != nil:
	case coding == CodingColumns:
		out, err = encodeColumns(width, blocks)
	default:
		err = fmt.Errorf("no coding is called %q", clip(coding))
	}
	if err == nil && len(out) > MaxChunk {
		err = fmt.Errorf("%d bytes, at most %d are sent: %w", len(out), MaxChunk, ErrTooLarge)
	}
	if err != nil {
		return nil, fmt.Errorf("encode chunk: %w", err)
	}
	return out, nil
}

func checkBlocks(width int, blocks []Block) error {
	if width != widthPlain && width != widthCheck {
		return fmt.Errorf("records of %d bytes", width)
	}
	if len(blocks) == 0 {
		return errors.New("nothing to write")
	}
	for i, b := range blocks {
		n := len(b.Value) / width
		switch {
		case n*width != len(b.Value) || n == 0 || n > maxPerBlock || b.No >= maxBlocks:
			return fmt.Errorf("block %d of %d bytes", b.No, len(b.Value))
		case i > 0 && b.No <= blocks[i-1].No:
			return fmt.Errorf("block %d after block %d", b.No, blocks[i-1].No)
		}
	}
	return nil
}

// DecodeChunk reads a chunk and gives its blocks one by one, in ascending
// order. value and extras are only good until each returns; what each gives
// comes back as it is. Memory and time are bounded whatever the chunk says.
func DecodeChunk(coding string, width int, body []byte, each func(no uint64, value, extras []byte) error) error {
	switch {
	case len(body) > MaxChunk:
		return fmt.Errorf("decode chunk: %d bytes, at most %d are taken: %w", len(body), MaxChunk, ErrTooLarge)
	case width != widthPlain && width != widthCheck:
		return fmt.Errorf("decode chunk: records of %d bytes", width)
	case coding == CodingColumns:
		return decodeColumns(width, body, each)
	}
	return fmt.Errorf("decode chunk: coding %q", clip(coding))
}
