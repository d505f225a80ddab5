package dataset

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"gateagent/agent/gate"
)

// item is a record with its extras. The body is good until the next one.
type item struct {
	person gate.Pseudonym
	tag    uint64
	word   gate.Word
	check  uint16
	body   []byte
}

// source gives records in their order.
type source interface {
	// rewind goes to the beginning.
	rewind() error
	// next gives the next record; false at the end.
	next(*item) (bool, error)
}

type slabSource struct {
	slab *slab
	at   int
}

func (s *slabSource) rewind() error { s.at = 0; return nil }

func (s *slabSource) next(it *item) (bool, error) {
	if s.at == len(s.slab.records) {
		return false, nil
	}
	r := s.slab.records[s.at]
	s.at++
	*it = item{r.person, r.tag, r.word, r.check, s.slab.body(r)}
	return true, nil
}

// A file holds records one behind the other: 20 bytes, the length of the body
// as one byte, the body.
const (
	recordHead = 21
	runBuffer  = 128 << 10
)

type runWriter struct {
	file *os.File
	buf  []byte
}

func newRunWriter(f *os.File) *runWriter {
	return &runWriter{f, make([]byte, 0, runBuffer)}
}

func (w *runWriter) add(it *item) error {
	if len(w.buf)+recordHead+len(it.body) > cap(w.buf) {
		if err := w.flush(); err != nil {
			return err
		}
	}
	b := binary.LittleEndian.AppendUint64(w.buf, uint64(it.person))
	b = binary.LittleEndian.AppendUint64(b, it.tag)
	b = binary.LittleEndian.AppendUint16(b, uint16(it.word))
	b = binary.LittleEndian.AppendUint16(b, it.check)
	w.buf = append(append(b, byte(len(it.body))), it.body...)
	return nil
}

func (w *runWriter) flush() error {
	_, err := w.file.Write(w.buf)
	w.buf = w.buf[:0]
	return err
}

type fileSource struct {
	file *os.File
	size int
	off  int64 // in the file, of what is behind buf
	buf  []byte
	rest []byte // of buf, not yet given
}

func (s *fileSource) rewind() error { s.off, s.rest = 0, nil; return nil }

func (s *fileSource) next(it *item) (bool, error) {
	if len(s.rest) < recordHead || len(s.rest) < recordHead+int(s.rest[recordHead-1]) {
		if err := s.fill(); err != nil {
			return false, err
		}
		if len(s.rest) == 0 {
			return false, nil
		}
		if len(s.rest) < recordHead || len(s.rest) < recordHead+int(s.rest[recordHead-1]) {
			return false, fmt.Errorf("sort on the disk: %w", io.ErrUnexpectedEOF)
		}
	}
	b, n := s.rest, int(s.rest[recordHead-1])
	*it = item{
		person: gate.Pseudonym(binary.LittleEndian.Uint64(b)), tag: binary.LittleEndian.Uint64(b[8:]),
		word: gate.Word(binary.LittleEndian.Uint16(b[16:])), check: binary.LittleEndian.Uint16(b[18:]),
		body: b[recordHead : recordHead+n : recordHead+n],
	}
	s.rest = b[recordHead+n:]
	return true, nil
}

// fill reads on. What was given last is written over, so the two buffers take
// turns.
func (s *fileSource) fill() error {
	if s.buf == nil {
		s.buf = make([]byte, s.size)
	}
	kept := copy(s.buf, s.rest)
	n, err := s.file.ReadAt(s.buf[kept:], s.off)
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("sort on the disk: %w", err)
	}
	s.off += int64(n)
	s.rest = s.buf[:kept+n]
	return nil
}

// merge gives the records of several sources in one order: a tournament of
// which losers[0] holds the winner and every other place the loser there.
type merge struct {
	sources []source
	heads   []item
	ended   []bool
	losers  []int
	given   bool // the winner was handed out
}

func newMerge(sources []source) (*merge, error) {
	n := len(sources)
	m := &merge{sources: sources, heads: make([]item, n), ended: make([]bool, n), losers: make([]int, max(n, 1))}
	for i, s := range sources {
		if err := s.rewind(); err != nil {
			return nil, err
		}
		if err := m.pull(i); err != nil {
			return nil, err
		}
	}
	if n > 0 {
		m.losers[0] = m.play(1)
	}
	return m, nil
}

func (m *merge) pull(i int) error {
	ok, err := m.sources[i].next(&m.heads[i])
	m.ended[i] = !ok
	return err
}

// play holds the tournament of the subtree at a place and gives its winner. The
// leaves are the places from len(sources) on.
func (m *merge) play(at int) int {
	n := len(m.sources)
	if at >= n {
		return at - n
	}
	a, b := m.play(2*at), m.play(2*at+1)
	if m.before(b, a) {
		a, b = b, a
	}
	m.losers[at] = b
	return a
}

func (m *merge) before(a, b int) bool {
	switch {
	case m.ended[a]:
		return false
	case m.ended[b]:
		return true
	}
	x, y := &m.heads[a], &m.heads[b]
	return x.person < y.person || x.person == y.person && x.tag < y.tag
}

// next gives the next record, which is good until the call after it; false at
// the end.
func (m *merge) next() (*item, bool, error) {
	if len(m.sources) == 0 {
		return nil, false, nil
	}
	if m.given {
		winner := m.losers[0]
		if err := m.pull(winner); err != nil {
			return nil, false, err
		}
		for at := (winner + len(m.sources)) / 2; at > 0; at /= 2 {
			if m.before(m.losers[at], winner) {
				winner, m.losers[at] = m.losers[at], winner
			}
		}
		m.losers[0] = winner
	}
	m.given = true
	winner := m.losers[0]
	return &m.heads[winner], !m.ended[winner], nil
}
