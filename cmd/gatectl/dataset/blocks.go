package dataset

import (
	"fmt"

	"gateagent/agent/gate"
	"gateagent/cache/block"
)

// entry is one record of a block.
type entry struct {
	rem   uint64
	word  gate.Word
	check uint16
	body  []byte // of its extras; empty: none
	// place within the block of the base; -1 when it is not there.
	place int
	// gone is true for a record of the base that a delta has taken away.
	gone bool
}

// same says whether two entries say the same of a person.
func (e entry) same(o entry) bool {
	return e.word == o.word && e.check == o.check && string(e.body) == string(o.body)
}

// blocks gives the blocks of a version in ascending order.
type blocks interface {
	// next gives a block; the entries, sorted by remainder, are good until the
	// block after it. ok is false at the end.
	next() (no uint64, entries []entry, ok bool, err error)
}

// placing gives the people of a list as blocks.
type placing struct {
	people *folding
	blocks uint64
	counts *Counts

	ahead   item
	has     bool
	started bool
	entries []entry
	bodies  []byte
}

func (b *Builder) place(blocks uint64, counts *Counts) (*placing, error) {
	f, err := b.fold(counts)
	if err != nil {
		return nil, err
	}
	return &placing{people: f, blocks: blocks, counts: counts}, nil
}

func (p *placing) step() (err error) {
	p.ahead, p.has, err = p.people.person()
	return err
}

func (p *placing) next() (uint64, []entry, bool, error) {
	if !p.started {
		p.started = true
		if err := p.step(); err != nil {
			return 0, nil, false, err
		}
	}
	if !p.has {
		return 0, nil, false, nil
	}
	no, _ := block.Place(p.ahead.person, p.blocks)
	p.entries, p.bodies = p.entries[:0], p.bodies[:0]
	for p.has {
		at, rem := block.Place(p.ahead.person, p.blocks)
		if at != no {
			break
		}
		if n := len(p.entries); n > 0 && p.entries[n-1].rem == rem {
			// Two people on one record cannot be told apart.
			p.entries[n-1] = entry{rem: rem, word: unclear, place: -1}
			p.counts.Collisions++
		} else {
			from := len(p.bodies)
			p.bodies = append(p.bodies, p.ahead.body...)
			p.entries = append(p.entries, entry{
				rem: rem, word: p.ahead.word, check: p.ahead.check, body: p.bodies[from:len(p.bodies):len(p.bodies)], place: -1,
			})
		}
		if err := p.step(); err != nil {
			return 0, nil, false, err
		}
	}
	if len(p.entries) > block.MaxRecords {
		return 0, nil, false, fmt.Errorf("block %d would hold %d people, more than %d", no, len(p.entries), block.MaxRecords)
	}
	return no, p.entries, true, nil
}

// tally counts what entries say.
func (c *Counts) tally(e entry) {
	c.People++
	if e.check != 0 {
		c.Cards++
	}
	switch {
	case e.word.Extras() && len(e.body) == 0:
		c.Unclear++
		return
	case e.word.Extras():
		c.Extras++
	}
	c.ByKind[e.word.Kind()]++
}
