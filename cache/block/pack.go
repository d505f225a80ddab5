package block

import (
	"cmp"
	"fmt"
	"iter"
	"slices"

	"gateagent/agent/gate"
)

// Row is one person on the way into a set.
type Row struct {
	Person gate.Pseudonym
	Word   gate.Word
	Check  uint16 // check bits; 0: none
}

// Collision says that two rows cannot be told apart: the same pseudonym twice,
// or two pseudonyms that share block and remainder (at 98 million people such a
// pair is expected in 3 sets of 1,000, STORE §6).
type Collision struct {
	A, B gate.Pseudonym
	No   uint64 // block
}

func (c *Collision) Error() string {
	return fmt.Sprintf("people %v and %v fall on the same record of block %d", c.A, c.B, c.No)
}

// Sort orders rows as [Pack] needs them and fails with a [*Collision] when two
// of them fall on the same record of a set of len(rows) people.
func Sort(rows []Row) error {
	slices.SortFunc(rows, func(a, b Row) int { return cmp.Compare(a.Person, b.Person) })
	blocks := Blocks(uint64(len(rows)))
	for i := 1; i < len(rows); i++ {
		no, rem := Place(rows[i-1].Person, blocks)
		no2, rem2 := Place(rows[i].Person, blocks)
		if no == no2 && rem == rem2 {
			return &Collision{A: rows[i-1].Person, B: rows[i].Person, No: no}
		}
	}
	return nil
}

// Pack gives the blocks of rows, which [Sort] has put in order, in ascending
// order of their numbers, with records of that width. The value is overwritten
// by the next step. [Packer] is for people who have extras or come as a stream.
func Pack(rows []Row, width int) iter.Seq2[uint64, []byte] {
	return func(yield func(uint64, []byte) bool) {
		blocks := Blocks(uint64(len(rows)))
		value := make([]byte, 0, MaxRecords*width)
		for i := 0; i < len(rows); {
			no, rem := Place(rows[i].Person, blocks)
			value = AppendRecord(value[:0], width, rem, rows[i].Word, rows[i].Check)
			for i++; i < len(rows); i++ {
				next, rem := Place(rows[i].Person, blocks)
				if next != no {
					break
				}
				value = AppendRecord(value, width, rem, rows[i].Word, rows[i].Check)
			}
			if !yield(no, value) {
				return
			}
		}
	}
}

// Packer makes blocks of people who come one by one, in ascending order of
// their pseudonyms. It keeps one block in memory.
type Packer struct {
	blocks uint64
	width  int
	emit   func(no uint64, value, extras []byte) error

	no, rem       uint64 // of the row that came last
	last          gate.Pseudonym
	value, extras []byte
}

// NewPacker makes blocks of a set of that many blocks and hands each to emit,
// which must not keep the bytes.
func NewPacker(blocks uint64, width int, emit func(no uint64, value, extras []byte) error) *Packer {
	return &Packer{
		blocks: blocks, width: width, emit: emit,
		value: make([]byte, 0, MaxRecords*width),
	}
}

// Add takes the next person, with the body of the extras entry if the word's
// flag promises one. It fails with a [*Collision] when the person cannot be
// told from the one before, and with what emit says.
func (p *Packer) Add(r Row, body []byte) error {
	no, rem := Place(r.Person, p.blocks)
	if len(p.value) > 0 {
		switch {
		case no == p.no && rem == p.rem:
			return &Collision{A: p.last, B: r.Person, No: no}
		case r.Person < p.last:
			return fmt.Errorf("%w: person %v comes after %v", ErrMalformed, r.Person, p.last)
		case no == p.no && len(p.value) == MaxRecords*p.width:
			return fmt.Errorf("%w: more than %d people in block %d", ErrMalformed, MaxRecords, no)
		case no != p.no:
			if err := p.Flush(); err != nil {
				return err
			}
		}
	}
	p.no, p.rem, p.last = no, rem, r.Person
	p.value = AppendRecord(p.value, p.width, rem, r.Word, r.Check)
	if len(body) > 0 {
		p.extras = AppendExtras(p.extras, rem, body)
	}
	return nil
}

// Flush hands over the block that is being filled, if any: after the last
// person.
func (p *Packer) Flush() error {
	if len(p.value) == 0 {
		return nil
	}
	err := p.emit(p.no, p.value, p.extras)
	p.value, p.extras = p.value[:0], p.extras[:0]
	return err
}
