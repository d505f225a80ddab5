package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// A chunk in columns holds, of n records in ascending order of block and
// remainder:
//
//	first block, n                  unsigned varints
//	positions                       rising numbers: (block - first block)<<40 | rem40
//	fact words                      words
//	check bits                      2 bytes each, only at width 9
//	extras of the n' records whose  lengths, 0 for a record that has none; bodies
//	word has the extras flag
//
// each column as pack.go writes it; there is no gap between them and nothing
// behind the last. A block's records lie in one chunk.
const (
	// MaxChunkPeople bounds the records of a chunk in columns.
	MaxChunkPeople = 1 << 17
	maxChunkBlocks = 1 << 19 // from the first to the last

	remBits    = 40
	remBytes   = remBits / 8
	remMask    = 1<<remBits - 1
	extrasFlag = 1 << 15
	// an entry of a block's extras begins with the remainder and the length
	// of its body (cache/block)
	entryHead     = remBytes + 1
	maxExtrasBody = 255
)

var errTooMany = fmt.Errorf("more than fits one chunk: %w", ErrTooLarge)

func encodeColumns(width int, blocks []Block) ([]byte, error) {
	var c columnsWriter
	return c.encode(width, blocks)
}

// columnsWriter writes chunks in columns. It keeps what can be used again.
type columnsWriter struct {
	p       packer
	gaps    []uint64
	words   []uint16
	checks  []byte
	lengths []byte
	bodies  []byte
}

func (c *columnsWriter) encode(width int, blocks []Block) ([]byte, error) {
	c.gaps, c.words, c.checks, c.lengths, c.bodies = c.gaps[:0], c.words[:0], c.checks[:0], c.lengths[:0], c.bodies[:0]
	first := blocks[0].No
	if blocks[len(blocks)-1].No-first >= maxChunkBlocks {
		return nil, errTooMany
	}
	next := uint64(0)
	for _, b := range blocks {
		extras := b.Extras
		for v := b.Value; len(v) > 0; v = v[width:] {
			rem := uint64(v[0])<<32 | uint64(binary.BigEndian.Uint32(v[1:]))
			pos := (b.No-first)<<remBits | rem
			if pos < next {
				return nil, fmt.Errorf("block %d is out of order", b.No)
			}
			c.gaps = append(c.gaps, pos-next)
			next = pos + 1
			word := binary.BigEndian.Uint16(v[5:])
			c.words = append(c.words, word)
			if width == widthCheck {
				c.checks = append(c.checks, v[7], v[8])
			}
			if word&extrasFlag == 0 {
				continue
			}
			var body []byte
			if len(extras) >= entryHead && string(extras[:remBytes]) == string(v[:remBytes]) {
				end := entryHead + int(extras[remBytes])
				if end > len(extras) || end == entryHead {
					return nil, fmt.Errorf("extras of block %d are cut short", b.No)
				}
				body, extras = extras[entryHead:end], extras[end:]
			}
			c.lengths = append(c.lengths, byte(len(body)))
			c.bodies = append(c.bodies, body...)
		}
		if len(extras) > 0 {
			return nil, fmt.Errorf("extras of block %d belong to no record with the extras flag", b.No)
		}
	}
	if len(c.gaps) > MaxChunkPeople || len(c.bodies) > MaxInflated {
		return nil, errTooMany
	}
	out := make([]byte, 0, MaxChunk)
	out = binary.AppendUvarint(out, first)
	out = binary.AppendUvarint(out, uint64(len(c.gaps)))
	out = c.p.rising(out, c.gaps)
	out = c.p.words(out, c.words)
	out = append(out, c.checks...)
	return c.p.bodies(out, c.lengths, c.bodies), nil
}

func decodeColumns(width int, body []byte, each func(no uint64, value, extras []byte) error) error {
	u := unpacker{in: body}
	first := u.number(maxBlocks - 1)
	n := int(u.number(MaxChunkPeople))
	if n == 0 {
		u.fail(errors.New("it holds nobody"))
	}
	gaps, k := u.rising()
	words := u.words(n)
	var checks []byte
	if width == widthCheck {
		checks = u.take(2 * n)
	}
	flagged := 0
	for _, w := range words {
		flagged += int(w >> 15)
	}
	lengths, bodies := u.bodies(flagged)
	if err := u.close(); err != nil {
		return fmt.Errorf("decode chunk: %w", err)
	}
	limit := min(maxChunkBlocks, maxBlocks-first)<<remBits - 1
	var (
		value  = make([]byte, 0, maxPerBlock*widthCheck)
		extras = make([]byte, 0, 1<<10)
		block  uint64
		next   uint64
	)
	for i, word := range words {
		g, err := gaps.rice(k, limit-next)
		if err != nil {
			return fmt.Errorf("decode chunk: %w", err)
		}
		pos := next + g
		if no := pos >> remBits; no != block {
			if len(value) > 0 {
				if err := each(first+block, value, extras); err != nil {
					return err
				}
			}
			block, value, extras = no, value[:0], extras[:0]
		}
		if next = pos + 1; next > limit && i < n-1 {
			return fmt.Errorf("decode chunk: %w", errBits)
		}
		if len(value) >= maxPerBlock*width {
			return fmt.Errorf("decode chunk: more than %d records in block %d", maxPerBlock, first+block)
		}
		rem := pos & remMask
		at := len(value)
		value = append(value, byte(rem>>32), byte(rem>>24), byte(rem>>16), byte(rem>>8), byte(rem), byte(word>>8), byte(word))
		if width == widthCheck {
			value = append(value, checks[2*i], checks[2*i+1])
		}
		if word&extrasFlag == 0 {
			continue
		}
		length := lengths[0]
		if lengths = lengths[1:]; length > 0 {
			extras = append(append(extras, value[at:at+remBytes]...), length)
			extras = append(extras, bodies[:length]...)
			bodies = bodies[length:]
		}
	}
	if err := gaps.close(); err != nil {
		return fmt.Errorf("decode chunk: %w", err)
	}
	return each(first+block, value, extras)
}
