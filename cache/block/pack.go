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
// order of their numbers. The value is overwritten by the next step.
func Pack(rows []Row) iter.Seq2[uint64, []byte] {
	return func(yield func(uint64, []byte) bool) {
		blocks := Blocks(uint64(len(rows)))
		value := make([]byte, 0, MaxRecords*Width)
		for i := 0; i < len(rows); {
			no, rem := Place(rows[i].Person, blocks)
			value = AppendRecord(value[:0], rem, rows[i].Word)
			for i++; i < len(rows); i++ {
				next, rem := Place(rows[i].Person, blocks)
				if next != no {
					break
				}
				value = AppendRecord(value, rem, rows[i].Word)
			}
			if !yield(no, value) {
				return
			}
		}
	}
}
