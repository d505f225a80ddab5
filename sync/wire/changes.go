package wire

import (
	"encoding/binary"
	"errors"
	"fmt"

	"gateagent/agent/gate"
)

// A piece of a delta holds, of n changes in the order of [CompareChanges]:
//
//	1 when there are check bits, else 0             1 byte
//	first block, n                                  unsigned varints
//	blocks                                          rising numbers: distances, which may be 0, from the first block on
//	operations                                      bytes: bit 0 gone, bit 1 named by its remainder
//	places of those that a place names              bytes
//	remainders of the others                        5 bytes each, big-endian
//	fact words of those that are not gone           words
//	check bits of those that are not gone           2 bytes each
//	extras of the words that have the extras flag   lengths, bodies
//
// as pack.go writes columns. A place costs six bits and a block's distance a
// few, so that a change of a record that the base has takes a third of what its
// pseudonym would; the box that has the base needs no more.
const (
	maxPieceChanges = 1 << 17
	// firstPieceChanges is what is tried first: at two or three bytes each it
	// leaves room.
	firstPieceChanges = 1 << 16

	opGone = 1 << 0
	opRem  = 1 << 1
)

// EncodeChanges writes changes, in the order of [CompareChanges], as messages
// of at most [MaxChunk] bytes, each of which is read alone. width is that of
// the set's records: 7, with check bits 9. Of a record that is gone only the
// place or the remainder is written.
func EncodeChanges(changes []gate.Change, width int) ([][]byte, error) {
	if width != widthPlain && width != widthCheck {
		return nil, fmt.Errorf("encode changes: records of %d bytes", width)
	}
	for i, c := range changes {
		switch {
		case c.Block >= maxBlocks || c.Place >= maxPerBlock || c.Rem > remMask || c.Place >= 0 && c.Rem != 0:
			return nil, fmt.Errorf("encode changes: change %d names no record", i)
		case i > 0 && CompareChanges(changes[i-1], c) >= 0:
			return nil, fmt.Errorf("encode changes: change %d is out of order", i)
		case len(c.Extras) > 0 && (!c.Word.Extras() || c.Gone) || len(c.Extras) > maxExtrasBody:
			return nil, fmt.Errorf("encode changes: change %d has extras of %d bytes", i, len(c.Extras))
		case c.Check != 0 && width == widthPlain && !c.Gone:
			return nil, fmt.Errorf("encode changes: change %d has check bits", i)
		}
	}
	var w changesWriter
	var pieces [][]byte
	for len(changes) > 0 {
		n := min(len(changes), firstPieceChanges)
		for {
			body, err := w.encode(changes[:n], width == widthCheck)
			if err == nil && len(body) <= MaxChunk {
				pieces, changes = append(pieces, body), changes[n:]
				break
			}
			if err != nil && !errors.Is(err, ErrTooLarge) || n == 1 {
				return nil, fmt.Errorf("encode changes: %w", err)
			}
			n = (n + 1) / 2
		}
	}
	return pieces, nil
}

type changesWriter struct {
	p                                          packer
	gaps                                       []uint64
	words                                      []uint16
	ops, places, rems, checks, lengths, bodies []byte
}

func (w *changesWriter) encode(changes []gate.Change, checks bool) ([]byte, error) {
	w.gaps, w.words = w.gaps[:0], w.words[:0]
	w.ops, w.places, w.rems, w.checks, w.lengths, w.bodies = w.ops[:0], w.places[:0], w.rems[:0], w.checks[:0], w.lengths[:0], w.bodies[:0]
	block := changes[0].Block
	for i := range changes {
		c := &changes[i]
		w.gaps = append(w.gaps, c.Block-block)
		block = c.Block
		var op byte
		if c.Place >= 0 {
			w.places = append(w.places, byte(c.Place))
		} else {
			op |= opRem
			w.rems = append(w.rems, byte(c.Rem>>32), byte(c.Rem>>24), byte(c.Rem>>16), byte(c.Rem>>8), byte(c.Rem))
		}
		if c.Gone {
			w.ops = append(w.ops, op|opGone)
			continue
		}
		w.ops = append(w.ops, op)
		w.words = append(w.words, uint16(c.Word))
		if checks {
			w.checks = append(w.checks, byte(c.Check>>8), byte(c.Check))
		}
		if c.Word.Extras() {
			w.lengths = append(w.lengths, byte(len(c.Extras)))
			w.bodies = append(w.bodies, c.Extras...)
		}
	}
	if len(w.bodies) > MaxInflated {
		return nil, errTooMany
	}
	var out []byte
	if checks {
		out = append(out, 1)
	} else {
		out = append(out, 0)
	}
	out = binary.AppendUvarint(out, changes[0].Block)
	out = binary.AppendUvarint(out, uint64(len(changes)))
	out = w.p.rising(out, w.gaps)
	out = w.p.bytes(out, w.ops)
	out = w.p.bytes(out, w.places)
	out = append(out, w.rems...)
	out = w.p.words(out, w.words)
	out = append(out, w.checks...)
	return w.p.bodies(out, w.lengths, w.bodies), nil
}

// DecodeChanges reads one of the messages that [EncodeChanges] gave. Extras of
// a change are only good until each returns; what each gives comes back as it
// is. Memory and time are bounded whatever the message says.
func DecodeChanges(body []byte, each func(gate.Change) error) error {
	if len(body) > MaxChunk {
		return fmt.Errorf("decode changes: %d bytes, at most %d are taken: %w", len(body), MaxChunk, ErrTooLarge)
	}
	u := unpacker{in: body}
	withChecks := u.number(1) == 1
	block := u.number(maxBlocks - 1)
	n := int(u.number(maxPieceChanges))
	if n == 0 {
		u.fail(errors.New("it holds nothing"))
	}
	gaps, k := u.rising()
	ops := u.bytes(n)
	var gone, byRem int
	for _, op := range ops {
		if op > opGone|opRem {
			u.fail(errColumn)
		}
		gone += int(op & opGone)
		byRem += int(op >> 1)
	}
	places := u.bytes(len(ops) - byRem)
	rems := u.take(byRem * remBytes)
	words := u.words(len(ops) - gone)
	var checks []byte
	if withChecks {
		checks = u.take(2 * (len(ops) - gone))
	}
	flagged := 0
	for _, w := range words {
		flagged += int(w >> 15)
	}
	lengths, bodies := u.bodies(flagged)
	if err := u.close(); err != nil {
		return fmt.Errorf("decode changes: %w", err)
	}
	var last gate.Change
	for i, op := range ops {
		g, err := gaps.rice(k, maxBlocks-1-block)
		if err != nil {
			return fmt.Errorf("decode changes: %w", err)
		}
		block += g
		c := gate.Change{Block: block, Place: -1}
		if op&opRem != 0 {
			c.Rem = uint64(rems[0])<<32 | uint64(binary.BigEndian.Uint32(rems[1:]))
			rems = rems[remBytes:]
		} else {
			c.Place, places = int(places[0]), places[1:]
		}
		if i > 0 && CompareChanges(last, c) >= 0 || c.Place >= maxPerBlock {
			return fmt.Errorf("decode changes: change %d names no record", i)
		}
		last = c
		if c.Gone = op&opGone != 0; !c.Gone {
			c.Word, words = gate.Word(words[0]), words[1:]
			if withChecks {
				c.Check, checks = binary.BigEndian.Uint16(checks), checks[2:]
			}
			if c.Word.Extras() {
				length := int(lengths[0])
				if lengths = lengths[1:]; length > 0 {
					c.Extras, bodies = bodies[:length:length], bodies[length:]
				}
			}
		}
		if err := each(c); err != nil {
			return err
		}
	}
	if err := gaps.close(); err != nil {
		return fmt.Errorf("decode changes: %w", err)
	}
	return nil
}
