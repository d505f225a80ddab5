package overlay

import (
	"encoding/binary"
	"fmt"
	"iter"

	"gateagent/agent/gate"
)

// A piece is a part of an overlay as the delta log keeps it; each can be read
// without the others. For every record:
//
//	uvarint  block, less the block of the record before (the first: less 0)
//	5 bytes  remainder
//	2 bytes  word; 0xFFFF: gone, nothing follows
//	2 bytes  check bits, in sets that have them
//	uvarint, bytes  length and body of the extras, where the word has the flag

// Pieces gives the overlay in pieces of at most size bytes, or of one record
// where that is longer. The piece is overwritten by the next step.
func (o *Overlay) Pieces(size int) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		piece, one := make([]byte, 0, size), make([]byte, 0, 64)
		last := uint64(0)
		for c := o.Cursor(); ; {
			e, ok := c.Next()
			if !ok {
				break
			}
			one = o.append(one[:0], e, last)
			if len(piece) > 0 && len(piece)+len(one) > size {
				if !yield(piece) {
					return
				}
				piece = piece[:0]
				one = o.append(one[:0], e, 0)
			}
			piece = append(piece, one...)
			last = e.Block
		}
		if len(piece) > 0 {
			yield(piece)
		}
	}
}

func (o *Overlay) append(to []byte, e Entry, last uint64) []byte {
	to = binary.AppendUvarint(to, e.Block-last)
	to = append(to, byte(e.Rem>>32), byte(e.Rem>>24), byte(e.Rem>>16), byte(e.Rem>>8), byte(e.Rem))
	if e.Gone {
		return binary.BigEndian.AppendUint16(to, uint16(tombstone))
	}
	to = binary.BigEndian.AppendUint16(to, uint16(e.Word))
	if o.size == wide {
		to = binary.BigEndian.AppendUint16(to, e.Check)
	}
	if e.Word.Extras() {
		to = binary.AppendUvarint(to, uint64(len(e.Extras)))
		to = append(to, e.Extras...)
	}
	return to
}

// AddPiece takes the next piece of an overlay. Anything that [Overlay.Pieces]
// would not write is refused.
func (b *Builder) AddPiece(piece []byte) error {
	if len(piece) == 0 {
		return fmt.Errorf("%w: an empty piece", ErrMalformed)
	}
	r := reader{left: piece}
	last := uint64(0)
	for len(r.left) > 0 {
		e := Entry{Block: r.uvarint(), Rem: uint64(r.take(1))<<32 | uint64(r.take(4))}
		if e.Block > maxBlock {
			return fmt.Errorf("%w: a gap of %d blocks", ErrMalformed, e.Block)
		}
		e.Block += last
		e.Word = gate.Word(r.take(2))
		if e.Word == tombstone {
			e.Gone = true
		} else {
			if b.b.o.size == wide {
				e.Check = uint16(r.take(2))
			}
			if e.Word.Extras() {
				e.Extras = r.bytes(r.uvarint())
			}
		}
		if r.short {
			return fmt.Errorf("%w: a piece ends within a record", ErrMalformed)
		}
		if err := b.Add(e); err != nil {
			return err
		}
		last = e.Block
	}
	return nil
}

// reader takes a piece apart; short is set once it asks for more than there is.
type reader struct {
	left  []byte
	short bool
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.left)
	if n <= 0 || n > 1 && r.left[n-1] == 0 { // cut, too long, or not the shortest form
		r.left, r.short = nil, true
		return 0
	}
	r.left = r.left[n:]
	return v
}

func (r *reader) bytes(n uint64) []byte {
	if uint64(len(r.left)) < n {
		r.left, r.short = nil, true
		return nil
	}
	b := r.left[:n]
	r.left = r.left[n:]
	return b
}

// take reads n bytes, at most 4, as a number.
func (r *reader) take(n uint64) uint32 {
	var v uint32
	for _, c := range r.bytes(n) {
		v = v<<8 | uint32(c)
	}
	return v
}
