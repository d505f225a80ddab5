package wire

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/klauspost/compress/zstd"
)

// MaxInflated bounds a chunk when inflated, in bytes.
const MaxInflated = 4 << 20

// Block is one block of a data set: Value holds its records, sorted.
type Block struct {
	No    uint64
	Value []byte
}

// EncodeChunk writes one chunk: zstd over, for each block, the distance of its
// number from the one before (the first: its number) and the count of its
// records as unsigned varints, then the records. Blocks ascend and hold at
// least one record of width bytes.
func EncodeChunk(blocks []Block, width int) ([]byte, error) {
	plain := make([]byte, 0, 64<<10)
	var last uint64
	for i, b := range blocks {
		n := len(b.Value) / max(width, 1)
		switch {
		case width <= 0 || n*width != len(b.Value) || n == 0 || n > maxPerBlock:
			return nil, fmt.Errorf("encode chunk: block %d of %d bytes", b.No, len(b.Value))
		case i > 0 && b.No <= last:
			return nil, fmt.Errorf("encode chunk: block %d after block %d", b.No, last)
		}
		plain = binary.AppendUvarint(plain, b.No-last)
		plain = binary.AppendUvarint(plain, uint64(n))
		plain = append(plain, b.Value...)
		last = b.No
	}
	if len(plain) == 0 || len(plain) > MaxInflated {
		return nil, fmt.Errorf("encode chunk: %d bytes, at most %d go into one", len(plain), MaxInflated)
	}
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedBetterCompression))
	if err != nil {
		return nil, fmt.Errorf("encode chunk: %w", err)
	}
	defer enc.Close() //nolint:errcheck // it writes nowhere
	out := enc.EncodeAll(plain, nil)
	if len(out) > MaxChunk {
		return nil, fmt.Errorf("encode chunk: %d bytes, at most %d are sent: %w", len(out), MaxChunk, ErrTooLarge)
	}
	return out, nil
}

// DecodeChunk reads a chunk and gives its blocks one by one, in ascending
// order. value is only good until block returns. The memory it takes is
// bounded by [MaxInflated], whatever the chunk says.
func DecodeChunk(body []byte, width int, block func(no uint64, value []byte) error) error {
	if len(body) > MaxChunk {
		return fmt.Errorf("decode chunk: %d bytes, at most %d are taken: %w", len(body), MaxChunk, ErrTooLarge)
	}
	if width <= 0 {
		return fmt.Errorf("decode chunk: records of %d bytes", width)
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(MaxInflated), zstd.WithDecoderLowmem(true))
	if err != nil {
		return fmt.Errorf("decode chunk: %w", err)
	}
	defer dec.Close()
	plain, err := dec.DecodeAll(body, nil)
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
		if gap == 0 && !first || gap > maxBlocks || last+gap > maxBlocks {
			return fmt.Errorf("decode chunk: block %d followed by a gap of %d", last, gap)
		}
		if count == 0 || count > maxPerBlock || int(count)*width > len(plain) {
			return fmt.Errorf("decode chunk: block of %d records", count)
		}
		last += gap
		if err := block(last, plain[:int(count)*width]); err != nil {
			return err
		}
		plain = plain[int(count)*width:]
	}
	return nil
}

func decodeDigest(into []byte, s string) error {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(into) {
		return errors.New("manifest: digest is not 64 hexadecimal digits")
	}
	copy(into, b)
	return nil
}
