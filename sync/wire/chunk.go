package wire

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/klauspost/compress/zstd"
)

// The codings of chunks that this version reads.
const (
	// CodingColumns takes positions, fact words, check bits and extras apart
	// and codes each as what it is: see columns.go.
	CodingColumns = "columns"
	// CodingBlocks is zstd over the blocks as they are; it has no extras.
	CodingBlocks = "blocks+zstd"
)

// MaxInflated bounds a chunk when inflated, in bytes.
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
	case coding == CodingBlocks:
		out, err = encodeBlocks(width, blocks)
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
	case coding == CodingBlocks:
		return decodeBlocks(width, body, each)
	}
	return fmt.Errorf("decode chunk: coding %q", clip(coding))
}

// encodeBlocks writes zstd over, for each block, the distance of its number
// from the one before (the first: its number) and the count of its records as
// unsigned varints, then the records.
func encodeBlocks(width int, blocks []Block) ([]byte, error) {
	plain := make([]byte, 0, 64<<10)
	var last uint64
	for _, b := range blocks {
		if len(b.Extras) > 0 {
			return nil, fmt.Errorf("block %d has extras, for which this coding has no room", b.No)
		}
		plain = binary.AppendUvarint(plain, b.No-last)
		plain = binary.AppendUvarint(plain, uint64(len(b.Value)/width))
		plain = append(plain, b.Value...)
		last = b.No
	}
	return pack(plain)
}

// pack is zstd over at most [MaxInflated] bytes.
func pack(plain []byte) ([]byte, error) {
	if len(plain) > MaxInflated {
		return nil, fmt.Errorf("%d bytes, at most %d go into one: %w", len(plain), MaxInflated, ErrTooLarge)
	}
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedBetterCompression))
	if err != nil {
		return nil, err
	}
	defer enc.Close() //nolint:errcheck // it writes nowhere
	return enc.EncodeAll(plain, nil), nil
}

// unpack is the inverse of pack for bytes that anyone may have written.
func unpack(body []byte, most int) ([]byte, error) {
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(uint64(most)), zstd.WithDecoderLowmem(true))
	if err != nil {
		return nil, err
	}
	defer dec.Close()
	return dec.DecodeAll(body, nil)
}

func decodeBlocks(width int, body []byte, each func(no uint64, value, extras []byte) error) error {
	plain, err := unpack(body, MaxInflated)
	if err != nil {
		return fmt.Errorf("decode chunk: %w", err)
	}
	var last uint64
	for first := true; len(plain) > 0; first = false {
		gap, n1 := binary.Uvarint(plain)
		if n1 <= 0 {
			return errors.New("decode chunk: cut short")
		}
		count, n2 := binary.Uvarint(plain[n1:])
		if n2 <= 0 {
			return errors.New("decode chunk: cut short")
		}
		plain = plain[n1+n2:]
		if gap == 0 && !first || gap >= maxBlocks || last+gap >= maxBlocks {
			return fmt.Errorf("decode chunk: block %d followed by a gap of %d", last, gap)
		}
		if count == 0 || count > maxPerBlock || int(count)*width > len(plain) {
			return fmt.Errorf("decode chunk: block of %d records", count)
		}
		last += gap
		if err := each(last, plain[:int(count)*width], nil); err != nil {
			return err
		}
		plain = plain[int(count)*width:]
	}
	return nil
}
