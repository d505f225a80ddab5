package dataset

import (
	"context"
	"fmt"
	"math/bits"
	"slices"

	"gateagent/agent/gate"
	"gateagent/agent/hint"
	"gateagent/cache/block"
	"gateagent/sync/wire"
)

// Compare tells in how many people the newest versions of two folders differ,
// and how: from a to b. The number of blocks, the base day and the names of
// lists may be other ones; the secret may not.
func Compare(ctx context.Context, a Folder, am wire.Manifest, b Folder, bm wire.Manifest) (d Differences, err error) {
	if am.Base.KeyID != bm.Base.KeyID {
		return d, hint.New("only versions under one secret have the same pseudonyms",
			"the versions are under the secrets %s and %s", am.Base.KeyID, bm.Base.KeyID)
	}
	x, err := a.people(am)
	if err != nil {
		return d, err
	}
	defer x.src.close()
	y, err := b.people(bm)
	if err != nil {
		return d, err
	}
	defer y.src.close()
	y.as = newTerms(x, y)
	// A place tells all of a pseudonym but its last 24 bits, shared among the
	// blocks; with other blocks the same person looks a little off.
	off := uint64(0)
	if am.Base.Blocks != bm.Base.Blocks {
		off = 1<<24/min(am.Base.Blocks, bm.Base.Blocks) + 1
	}
	if err := x.step(); err != nil {
		return d, err
	}
	if err := y.step(); err != nil {
		return d, err
	}
	for n := 0; x.has || y.has; n++ {
		if n%tickPeople == 0 && ctx.Err() != nil {
			return d, context.Cause(ctx)
		}
		first := !y.has || x.has && x.person < y.person && y.person-x.person > off
		second := !first && (!x.has || y.person < x.person && x.person-y.person > off)
		var before, after *entry
		if !second {
			before = &x.entry
		}
		if !first {
			after = &y.entry
		}
		d.add(before, after)
		if before != nil {
			if err := x.step(); err != nil {
				return d, err
			}
		}
		if after != nil {
			if err := y.step(); err != nil {
				return d, err
			}
		}
	}
	return d, nil
}

// peopleOf gives the people of a version one by one.
type peopleOf struct {
	src   *version
	m     wire.Manifest
	base  gate.Day
	lists []string
	as    *terms // nil: as they are

	no     uint64
	rest   []entry
	person uint64 // the least pseudonym that has this place
	entry  entry
	has    bool
}

func (f Folder) people(m wire.Manifest) (*peopleOf, error) {
	p := &peopleOf{m: m}
	var err error
	if p.base, err = gate.ParseDay(m.Base.BaseDay); err != nil {
		return nil, err
	}
	if p.lists, err = f.Lists(m); err != nil {
		return nil, err
	}
	p.src, err = f.open(m, m.Ver)
	return p, err
}

func (p *peopleOf) step() error {
	for {
		for len(p.rest) == 0 {
			no, entries, ok, err := p.src.next()
			if err != nil {
				return err
			}
			if !ok {
				p.has = false
				return nil
			}
			p.no, p.rest = no, entries
		}
		p.entry, p.rest = p.rest[0], p.rest[1:]
		if p.entry.gone {
			continue
		}
		p.person, _ = bits.Div64(p.no, p.entry.rem<<24, p.m.Base.Blocks)
		p.has = true
		if p.as != nil {
			return p.as.turn(&p.entry)
		}
		return nil
	}
}

// terms turns what one version says into the terms of another.
type terms struct {
	base, from gate.Day
	lists, old []string
	cards      bool
}

// newTerms gives the terms of x for y; nil when they are the same.
func newTerms(x, y *peopleOf) *terms {
	cards := x.m.Base.Width == block.WidthCheck && y.m.Base.Width == block.WidthCheck
	if x.m.Base.Width == y.m.Base.Width && x.base == y.base && len(y.lists) <= len(x.lists) && slices.Equal(x.lists[:len(y.lists)], y.lists) {
		return nil
	}
	t := &terms{base: x.base, from: y.base, lists: append([]string(nil), x.lists...), old: y.lists, cards: cards}
	for _, l := range y.lists {
		if !slices.Contains(t.lists, l) {
			t.lists = append(t.lists, l)
		}
	}
	if !cards {
		x.as = &terms{base: x.base, from: x.base, lists: x.lists, old: x.lists}
	}
	return t
}

func (t *terms) turn(e *entry) error {
	if !t.cards {
		e.check = 0
	}
	if t.base == t.from && slices.Equal(t.lists, t.old) {
		return nil
	}
	if kind := e.word.Kind(); kind != gate.FactNothing {
		day := min(max(t.from+gate.Day(e.word.Offset()), t.base), t.base+gate.MaxWordDay)
		w, err := gate.NewWord(kind, day, t.base, e.word.Extras())
		if err != nil {
			return err
		}
		e.word = w
	}
	if len(e.body) == 0 {
		return nil
	}
	var x gate.Extras
	if err := block.DecodeExtras(e.body, t.from, t.old, &x); err != nil {
		return fmt.Errorf("read extras: %w", err)
	}
	body, err := block.EncodeExtras(x, t.base, t.lists)
	if err != nil {
		return nil //nolint:nilerr // it says what the other cannot: they differ
	}
	e.body = body
	return nil
}
