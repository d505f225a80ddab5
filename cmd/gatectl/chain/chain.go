// Package chain checks a journal that central keeps: that each gate's records
// follow each other without a gap, that nothing in them was changed, and that
// the gate signed them.
//
// It owns no file. The form of records and of their hashes is agent/record's,
// that of signatures sync/wire's.
package chain

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"gateagent/agent/record"
	"gateagent/sync/identity"
	"gateagent/sync/wire"
)

// Problem is one thing that is wrong.
type Problem struct {
	File string
	Line int // from 1; 0 where it concerns no single line
	What string
}

func (p Problem) String() string {
	if p.Line == 0 {
		return fmt.Sprintf("%s: %s", p.File, p.What)
	}
	return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.What)
}

// Epoch is what was found of one journal of one gate.
type Epoch struct {
	Origin     record.Origin
	Epoch      record.Epoch
	First      uint64 // seq of the first record here
	Last       record.Position
	Records    uint64
	Repeated   uint64 // the same record again
	Erased     uint64 // records whose personal part is gone
	Signatures uint64 // that hold
	Unchecked  uint64 // signatures for which no key is known
}

// maxPending bounds the records that wait for the signature that covers them;
// a batch never has more.
const maxPending = wire.MaxBatchEvents

// Checker takes events in the order in which they were kept.
type Checker struct {
	topics  wire.Topics
	keys    func(record.Origin) []identity.Key
	problem func(Problem)
	epochs  map[epochKey]*state
}

type epochKey struct {
	origin record.Origin
	epoch  record.Epoch
}

type state struct {
	Epoch
	// hashes holds the first 64 bits of each record's hash, to tell a repeat from
	// another record of the same number.
	hashes  map[uint64]uint64
	pending []record.Event
	keys    []identity.Key // asked for with the first signature
}

// New makes a checker. keys gives the keys that are known of a gate, several
// where its box was replaced, and must always give the same; problem is told
// what is wrong.
func New(topics wire.Topics, keys func(record.Origin) []identity.Key, problem func(Problem)) *Checker {
	return &Checker{topics: topics, keys: keys, problem: problem, epochs: map[epochKey]*state{}}
}

// maxLine bounds a line, in bytes.
const maxLine = record.MaxEvent + 1024

// Read takes a file of events, one JSON object a line. It reports what is
// wrong and fails only when the file cannot be read.
func (c *Checker) Read(name string, r io.Reader) error {
	in := bufio.NewScanner(r)
	in.Buffer(make([]byte, 0, 64<<10), maxLine)
	line := 0
	for in.Scan() {
		line++
		text := bytes.TrimSpace(in.Bytes())
		if len(text) == 0 {
			continue
		}
		e, err := record.ParseEvent(text)
		if err != nil {
			c.problem(Problem{name, line, fmt.Sprintf("not an event, or changed: %v", err)})
			continue
		}
		c.take(name, line, e)
	}
	if errors.Is(in.Err(), bufio.ErrTooLong) {
		c.problem(Problem{name, line + 1, fmt.Sprintf("longer than %d bytes; the rest of the file was not read", maxLine)})
		return nil
	}
	if in.Err() != nil {
		return fmt.Errorf("read %s: %w", name, in.Err())
	}
	return nil
}

func (c *Checker) take(file string, line int, e record.Event) {
	at := e.Position()
	key := epochKey{e.Origin(), at.Epoch}
	s := c.epochs[key]
	if s == nil {
		s = &state{Epoch: Epoch{Origin: key.origin, Epoch: key.epoch, First: at.Seq}, hashes: map[uint64]uint64{}}
		c.epochs[key] = s
		if at.Seq != 1 {
			c.problem(Problem{file, line, fmt.Sprintf("%s begins at record %d; records 1 to %d are not here", s.name(), at.Seq, at.Seq-1)})
		} else if e.Link().Prev != (record.Hash{}) {
			c.problem(Problem{file, line, s.name() + " does not begin its chain at zero"})
		}
	}
	short := binary.BigEndian.Uint64(at.Head[:8])
	if had, again := s.hashes[at.Seq]; again {
		if had == short {
			s.Repeated++
			return
		}
		c.problem(Problem{file, line, fmt.Sprintf("%s has two different records %d", s.name(), at.Seq)})
		return
	}
	switch follows := at.Seq == s.Last.Seq+1 && e.Link().Prev == s.Last.Head; {
	case s.Records == 0, follows:
	case at.Seq > s.Last.Seq+1:
		c.problem(Problem{file, line, fmt.Sprintf("%s: records %d to %d are missing", s.name(), s.Last.Seq+1, at.Seq-1)})
		c.unsigned(file, line, s)
	case at.Seq <= s.Last.Seq:
		c.problem(Problem{file, line, fmt.Sprintf("%s: record %d comes after record %d", s.name(), at.Seq, s.Last.Seq)})
		return
	default:
		c.problem(Problem{file, line, fmt.Sprintf("%s: record %d does not continue the chain of record %d: one of the two was changed", s.name(), at.Seq, s.Last.Seq)})
		c.unsigned(file, line, s)
	}
	s.hashes[at.Seq] = short
	s.Last = at
	s.Records++
	if e.Link().Record.Erased() {
		s.Erased++
	}
	c.sign(file, line, s, e)
}

// sign gathers events up to the one that bears the signature of all of them.
func (c *Checker) sign(file string, line int, s *state, e record.Event) {
	s.pending = append(s.pending, e)
	if e.Sig == nil {
		if len(s.pending) > maxPending {
			c.unsigned(file, line, s)
		}
		return
	}
	defer func() { s.pending = s.pending[:0] }()
	if s.keys == nil {
		s.keys = c.keys(s.Origin)
	}
	if len(s.keys) == 0 {
		s.Unchecked++
		return
	}
	// One journal is one box's: the key that held is tried first from then on.
	var err error
	for i, key := range s.keys {
		if err = wire.VerifyBatch(c.topics.Entry(s.Origin), s.Origin, s.pending, key); err == nil {
			s.keys[0], s.keys[i] = s.keys[i], s.keys[0]
			break
		}
	}
	if err != nil {
		c.problem(Problem{file, line, fmt.Sprintf("%s: records %d to %d: %v", s.name(), s.pending[0].Position().Seq, e.Position().Seq, err)})
		return
	}
	s.Signatures++
}

// unsigned gives up events whose signature will not come.
func (c *Checker) unsigned(file string, line int, s *state) {
	if n := len(s.pending); n > 0 {
		c.problem(Problem{file, line, fmt.Sprintf("%s: no signature covers records %d to %d",
			s.name(), s.pending[0].Position().Seq, s.pending[n-1].Position().Seq)})
	}
	s.pending = s.pending[:0]
}

func (s *state) name() string {
	return fmt.Sprintf("%s/%s epoch %s", s.Origin.Site, s.Origin.Gate, s.Epoch.Epoch)
}

// End says that no more comes, reports what is left open, and gives what was
// found, sorted by gate.
func (c *Checker) End() []Epoch {
	var all []Epoch
	for _, s := range c.epochs {
		c.unsigned(s.Origin.Site+"/"+s.Origin.Gate, 0, s)
		all = append(all, s.Epoch)
	}
	slices.SortFunc(all, func(a, b Epoch) int {
		return cmp.Or(cmp.Compare(a.Origin.Site, b.Origin.Site), cmp.Compare(a.Origin.Gate, b.Origin.Gate),
			cmp.Compare(a.Epoch.String(), b.Epoch.String()))
	})
	return all
}
