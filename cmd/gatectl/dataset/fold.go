package dataset

import (
	"bytes"
	"fmt"
	"slices"

	"gateagent/agent/gate"
	"gateagent/cache/block"
)

// unclear is the word of a person who cannot be told from somebody else, or
// whose records contradict each other: the extras flag, and no extras. The
// guard decides, never the mistake.
const unclear = gate.Word(1 << 15)

// folding gives every pseudonym once: what several records say of one person
// becomes one.
type folding struct {
	merge  *merge
	counts *Counts
	lists  *relist

	body []byte // of the person given last
	next *item  // not yet given; nil at the end
}

// fold ends the list and begins to give its people, in the order of their
// pseudonyms. It can be done again, with the same outcome.
func (b *Builder) fold(counts *Counts) (*folding, error) {
	b.sealed = true
	sources, err := b.sort.sources()
	if err != nil {
		return nil, err
	}
	m, err := newMerge(sources)
	if err != nil {
		return nil, err
	}
	f := &folding{merge: m, counts: counts, lists: newRelist(b)}
	return f, f.step()
}

func (f *folding) step() (err error) {
	it, ok, err := f.merge.next()
	if f.next = it; !ok {
		f.next = nil
	}
	return err
}

// person gives the next person; the body is good until the one after. ok is
// false at the end.
func (f *folding) person() (p item, ok bool, err error) {
	if f.next == nil {
		return item{}, false, nil
	}
	p = *f.next
	f.body = append(f.body[:0], p.body...)
	p.body = f.body
	var (
		tag             = p.tag
		same            = 0 // records of this tag beyond the first, saying the same
		clash, collides bool
		cards           bool
	)
	for {
		if err := f.step(); err != nil {
			return item{}, false, err
		}
		o := f.next
		if o == nil || o.person != p.person {
			break
		}
		if o.tag != tag {
			// Another number: what the first one says is given up.
			f.counts.Collisions++
			collides, tag = true, o.tag
			continue
		}
		if collides {
			continue
		}
		if o.word != p.word || !bytes.Equal(o.body, p.body) {
			clash = true
		}
		same++
		switch {
		case p.check == 0 && !cards:
			p.check = o.check
		case o.check != 0 && o.check != p.check:
			cards, p.check = true, 0
		}
	}
	switch {
	case clash:
		f.counts.Conflicts++
	default:
		f.counts.Duplicates += same
	}
	if cards {
		f.counts.CardTwice++
	}
	if collides {
		p.check = 0
	}
	if clash || collides {
		p.word, p.body = unclear, nil
	} else if len(p.body) > 0 {
		if p.body, err = f.lists.body(p.body); err != nil {
			return item{}, false, err
		}
	}
	return p, true, nil
}

// relist turns bodies that refer to lists in the order in which they were met
// into such that refer to them in their final order.
type relist struct {
	base     gate.Day
	from, to []string
	same     bool
}

func newRelist(b *Builder) *relist {
	r := &relist{base: b.opts.BaseDay, from: b.names.met(), to: b.names.final()}
	r.same = slices.Equal(r.from, r.to)
	return r
}

func (r *relist) body(body []byte) ([]byte, error) {
	if r.same {
		return body, nil
	}
	var e gate.Extras
	if err := block.DecodeExtras(body, r.base, r.from, &e); err != nil {
		return nil, fmt.Errorf("read back the extras of a person: %w", err)
	}
	if e.ListN == 0 {
		return body, nil
	}
	body, err := block.EncodeExtras(e, r.base, r.to)
	if err != nil {
		return nil, fmt.Errorf("write the extras of a person: %w", err)
	}
	return body, nil
}
