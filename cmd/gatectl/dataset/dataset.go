// Package dataset turns a list of people into a version of a data set: sorted
// pseudonyms with their fact words, cut into chunks, with the manifest that
// names them; and it keeps the folder in which they wait to be published.
//
// It owns the layout of that folder. The list and its rule are
// cmd/gatectl/people's, the form of blocks cache/block's, that of chunks and
// manifest sync/wire's; signing is the caller's.
package dataset

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"

	"gateagent/agent/gate"
	"gateagent/cache/block"
	"gateagent/cmd/gatectl/people"
)

// Counts is what went into a version, for the operator to judge before it is
// published.
type Counts struct {
	Read       int // usable records of the list
	People     int // in the version
	ByKind     [8]int
	Extras     int // need more than one date, so come out UNKNOWN
	Duplicates int // records of a person who is there already, saying the same
	Conflicts  int // people whose records contradict each other: extras
	Collisions int // people who share a place with another: extras
	Future     int // dated facts that were ignored, lying after the day of the list
	Bad        int // lines that cannot be used
}

// Builder takes people in any order.
type Builder struct {
	rule   people.Rule
	base   gate.Day
	mac    *gate.Pseudonymer
	rows   []row
	counts Counts
}

// row is one record: 16 bytes, since a nation is held in memory.
type row struct {
	person gate.Pseudonym
	// number<<16 | word; the number tells the same person twice from two
	// people who share a pseudonym.
	rest uint64
}

func (r row) number() uint64  { return r.rest >> 16 }
func (r row) word() gate.Word { return gate.Word(r.rest) }

// NewBuilder makes a builder for a set whose pseudonyms are under key.
func NewBuilder(rule people.Rule, key gate.Key) *Builder {
	return &Builder{rule: rule, base: people.BaseDay(rule.AsOf), mac: gate.NewPseudonymer(key)}
}

// BaseDay is day 0 of the fact words.
func (b *Builder) BaseDay() gate.Day { return b.base }

// Add takes one person.
func (b *Builder) Add(p *people.Person) error {
	number, err := strconv.ParseUint(string(p.Number), 10, 48)
	if err != nil || !p.Number.Valid() {
		return errors.New("a personal number is not 12 digits")
	}
	fact, future := b.rule.Reduce(p)
	b.counts.Read++
	b.counts.Future += future
	b.rows = append(b.rows, row{b.mac.Of(p.Number), number<<16 | uint64(fact.Word(b.base))})
	return nil
}

// MaxProblems bounds how many bad lines are kept.
const MaxProblems = 50

// AddAll reads a list to its end and gives the bad lines, at most
// [MaxProblems] of them; Counts.Bad counts all. tick, when set, is told now and
// then how many records were read.
func (b *Builder) AddAll(src people.Source, tick func(read int)) ([]people.Problem, error) {
	var (
		p   people.Person
		bad []people.Problem
	)
	for {
		err := src.Next(&p)
		if err == nil {
			err = b.Add(&p)
		}
		le, isLine := errors.AsType[*people.LineError](err)
		switch {
		case errors.Is(err, io.EOF):
			return bad, nil
		case isLine:
			if b.counts.Bad++; len(bad) < MaxProblems {
				bad = append(bad, le.Problem)
			}
		case err != nil:
			return bad, err
		}
		if n := b.counts.Read + b.counts.Bad; tick != nil && n%10_000 == 0 {
			tick(n)
		}
	}
}

// extrasWord says "not by one date": the flag alone.
var extrasWord = people.Fact{Extras: true}.Word(0)

// Rows ends the list: everybody once, in the order of blocks. Whoever is
// there twice with different facts, or cannot be told from somebody else,
// gets the extras flag alone: the guard decides, never the mistake.
func (b *Builder) Rows() ([]block.Row, Counts, error) {
	slices.SortFunc(b.rows, func(x, y row) int {
		return cmp.Or(cmp.Compare(x.person, y.person), cmp.Compare(x.number(), y.number()))
	})
	out := make([]block.Row, 0, len(b.rows))
	for i := 0; i < len(b.rows); {
		r, same := b.rows[i], i+1
		word, clash, collides := r.word(), false, false
		for ; same < len(b.rows) && b.rows[same].person == r.person; same++ {
			o := b.rows[same]
			switch {
			case o.number() != b.rows[same-1].number():
				collides = true
			case o.word() != b.rows[same-1].word():
				clash = true
			default:
				b.counts.Duplicates++
			}
		}
		if clash {
			b.counts.Conflicts++
		}
		if collides {
			b.counts.Collisions++
		}
		if clash || collides {
			word = extrasWord
		}
		out = append(out, block.Row{Person: r.person, Word: word})
		i = same
	}
	b.rows = nil
	out, err := b.resolve(out)
	if err != nil {
		return nil, b.counts, err
	}
	b.counts.People = len(out)
	for _, r := range out {
		if r.Word.Extras() {
			b.counts.Extras++
		} else {
			b.counts.ByKind[r.Word.Kind()]++
		}
	}
	return out, b.counts, nil
}

// resolve sorts rows into blocks, and joins any two that share a place, until
// none do. At 98 million people that happens in 3 sets of 1,000.
func (b *Builder) resolve(rows []block.Row) ([]block.Row, error) {
	for {
		err := block.Sort(rows)
		c, ok := errors.AsType[*block.Collision](err)
		if !ok {
			if err != nil {
				return nil, fmt.Errorf("sort people into blocks: %w", err)
			}
			return rows, nil
		}
		b.counts.Collisions++
		i := slices.IndexFunc(rows, func(r block.Row) bool { return r.Person == c.A })
		rows[i].Word = extrasWord
		rows = slices.DeleteFunc(rows, func(r block.Row) bool { return r.Person == c.B })
	}
}

// Bad counts the lines so far that cannot be used.
func (b *Builder) Bad() int { return b.counts.Bad }
