// Package dataset turns a list of people into the versions of a data set:
// sorted pseudonyms with their fact words, check bits and extras, cut into
// chunks under a manifest, and deltas from one version to the next; and it
// keeps the folder in which they wait to be published.
//
// It owns the layout of that folder and the sorting of lists that are larger
// than memory. The list and its rule are cmd/gatectl/people's, the form of
// blocks cache/block's, that of chunks, deltas and manifest sync/wire's;
// signing is the caller's.
//
// A number is a number only between its line and its pseudonym: what is sorted,
// and written to the disk for that, is the pseudonym and a tag, both under the
// secret of the set.
package dataset

import (
	"errors"
	"runtime"
	"slices"

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
	Extras     int // people about whom there is more than the word says
	Unclear    int // people who come out UNKNOWN: conflicts and collisions
	Cards      int // people with check bits
	Duplicates int // records of a person who is there already, saying the same
	Conflicts  int // people whose records contradict each other
	CardTwice  int // people of whom records name different cards: no check bits
	Collisions int // pairs of people who share a place
	Future     int // dated facts that were ignored, lying after the day of the list
	Bad        int // lines that cannot be used
}

// Stage says what is being done.
type Stage string

// The stages of building, in their order.
const (
	Reading  Stage = "reading"
	Counting Stage = "counting"
	Writing  Stage = "writing"
)

// Progress is how far a stage is.
type Progress struct {
	Stage  Stage
	People int
	// Done and Total measure the stage: bytes of the list while reading,
	// people after that. Total is 0 when it is not known.
	Done, Total int64
}

// Options are how a list is taken in.
type Options struct {
	Rule people.Rule
	// Key is the secret of the set.
	Key gate.Key
	// BaseDay is day 0 of the fact words; 0: [people.BaseDay] of the list's day.
	BaseDay gate.Day
	// CheckBits adds 16 bits about what the card says.
	CheckBits bool
	// Lists are the names that extras refer to so far; they keep their places.
	Lists []string
	// Memory bounds what is held in memory, in bytes; what is more is sorted
	// on the disk. 0: [DefaultMemory].
	Memory int64
	// Temp is where that is; a directory of its own is made in it. Empty: it
	// all stays in memory.
	Temp string
	// Workers parse and compute at the same time; 0: one a processor.
	Workers int
	// Progress, when set, is told now and then how far it is.
	Progress func(Progress)
}

// DefaultMemory is the bound of memory unless told otherwise.
const DefaultMemory = 512 << 20

// ErrLists is given for lists that name more lists than a set can have.
var ErrLists = errors.New("the people are on more different lists than a set can have")

// Builder takes people in any order. It is for one goroutine; [Builder.ReadAll]
// starts others and waits for them.
type Builder struct {
	opts  Options
	names *names
	sort  *sorter
	own   *worker // of Add
	// near are the pairs of different pseudonyms, next to each other, that may
	// share a place.
	near   [][2]gate.Pseudonym
	counts Counts // of reading
	sealed bool
}

// NewBuilder makes a builder. It must be closed.
func NewBuilder(o Options) *Builder {
	if o.BaseDay == 0 {
		o.BaseDay = people.BaseDay(o.Rule.AsOf)
	}
	if o.Memory <= 0 {
		o.Memory = DefaultMemory
	}
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	if o.Progress == nil {
		o.Progress = func(Progress) {}
	}
	b := &Builder{opts: o, names: newNames(o.Lists), sort: newSorter(o.Temp, o.Memory, o.Workers)}
	b.own = b.worker()
	return b
}

// BaseDay is day 0 of the fact words.
func (b *Builder) BaseDay() gate.Day { return b.opts.BaseDay }

// Width is how many bytes a record takes.
func (b *Builder) Width() int {
	if b.opts.CheckBits {
		return block.WidthCheck
	}
	return block.Width
}

// Lists are the names that extras refer to, those of the options first.
func (b *Builder) Lists() []string { return b.names.final() }

// Bad counts the lines so far that cannot be used.
func (b *Builder) Bad() int { return b.counts.Bad }

// Add takes one person.
func (b *Builder) Add(p *people.Person) error {
	if b.sealed {
		return errors.New("the list has been ended")
	}
	err := b.own.add(p)
	b.take(b.own)
	return err
}

// take adds what a worker has counted.
func (b *Builder) take(w *worker) {
	b.counts.Read += w.read
	b.counts.Future += w.future
	w.read, w.future = 0, 0
}

// Close removes what is left on the disk. Versions that were written stay.
func (b *Builder) Close() error { return b.sort.close() }

// names is the table of list names: those that were there, then, in the order
// in which workers meet them, those that are new.
type names struct {
	before int
	table  chan []string // of one, taken to be changed
}

func newNames(lists []string) *names {
	n := &names{before: len(lists), table: make(chan []string, 1)}
	n.table <- slices.Clone(lists)
	return n
}

// with gives the table with the names of lists in it. The slices it gave
// before stay as they are.
func (n *names) with(lists []gate.Membership, known []string) ([]string, error) {
	if !slices.ContainsFunc(lists, func(m gate.Membership) bool { return !slices.Contains(known, m.List) }) {
		return known, nil
	}
	table := <-n.table
	defer func() { n.table <- table }()
	for _, m := range lists {
		if slices.Contains(table, m.List) {
			continue
		}
		if len(table) == gate.MaxListNames {
			return nil, ErrLists
		}
		table = append(slices.Clip(table), m.List)
	}
	return table, nil
}

// met gives the names in the order in which they were met.
func (n *names) met() []string {
	table := <-n.table
	n.table <- table
	return table
}

// final gives the names in an order that does not depend on who met them
// first.
func (n *names) final() []string {
	all := slices.Clone(n.met())
	slices.Sort(all[n.before:])
	return all
}
