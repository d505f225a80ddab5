// Package overlay holds what has changed in a data set since the file in force
// was built: a sorted list of records in memory that is asked before the file.
//
// It is pure: no file, no database, no goroutine. An [Overlay] never changes;
// [Overlay.Merge] gives another one that shares what the change did not touch,
// so that readers need no lock.
//
// A record costs 9 bytes, with check bits 11, and what allocation rounds up to.
// Records lie in segments of at most 4 KiB, each a sorted run of
//
//	block - block of the segment (16 bits) | remainder (40 bits) | word (16 bits) [| check (16 bits)]
//
// so that a merge copies the segments it changes and no more. The bodies of
// extras, which few people have, lie beside them.
package overlay

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"unsafe"

	"gateagent/agent/gate"
	"gateagent/cache/block"
)

const (
	tombstone = block.Tombstone // the word of a record that is gone

	maxBlock = 1<<32 - 1
	remBits  = 40
	maxRem   = 1<<remBits - 1
	maxRel   = 1<<16 - 1

	wordAt      = 7 // offset in a record
	checkAt     = 9
	narrow      = 9 // bytes a record
	wide        = 11
	segmentSize = 4096
)

// ErrMalformed is what every refusal of an entry or a piece wraps.
var ErrMalformed = errors.New("malformed change")

// Entry is what an overlay says about one record.
type Entry struct {
	Block, Rem uint64 // 32 and 40 bits
	Word       gate.Word
	Check      uint16
	// Gone is true when the record is not there any more; the fields below
	// and above it are then not set.
	Gone bool
	// Extras is the body of the extras entry, set exactly when the word has
	// the extras flag. It must not be changed.
	Extras []byte
}

// before says whether a stands before b in the order of a set.
func (e *Entry) before(no, rem uint64) bool {
	return e.Block < no || e.Block == no && e.Rem < rem
}

// segment is a run of records that lie within 65536 blocks.
type segment struct {
	records []byte
	extras  *bodies // nil: none
}

// bodies are the extras of a segment's records, in their order.
type bodies struct {
	record []uint16 // which record
	end    []uint32 // where its body ends in data
	data   []byte
}

// top says where a segment begins.
type top struct {
	block, rem uint64
	*segment
}

// Overlay is a sorted list of changed records. Nil is an empty one. It is safe
// for concurrent use.
type Overlay struct {
	size  int // bytes a record: narrow or wide
	tops  []top
	n     int
	bytes int
}

// Len gives the number of records.
func (o *Overlay) Len() int {
	if o == nil {
		return 0
	}
	return o.n
}

// Bytes gives the memory that the overlay takes, but for what allocation rounds
// up to: at most an eighth.
func (o *Overlay) Bytes() int {
	if o == nil {
		return 0
	}
	return o.bytes
}

// load reads block, relative, and remainder of the record at off.
func (s *segment) load(off int) uint64 {
	return binary.BigEndian.Uint64(s.records[off:]) >> 8
}

// Find looks one record up. It allocates nothing.
func (o *Overlay) Find(no, rem uint64) (Entry, bool) {
	if o == nil {
		return Entry{}, false
	}
	low, high := 0, len(o.tops) // the segment is the last that begins at or before the record
	for low < high {
		mid := int(uint(low+high) >> 1)
		if t := &o.tops[mid]; t.block < no || t.block == no && t.rem <= rem {
			low = mid + 1
		} else {
			high = mid
		}
	}
	if low == 0 || no-o.tops[low-1].block > maxRel {
		return Entry{}, false
	}
	t := &o.tops[low-1]
	want := (no-t.block)<<remBits | rem
	low, high = 0, len(t.records)/o.size
	for low < high {
		mid := int(uint(low+high) >> 1)
		if t.load(mid*o.size) < want {
			low = mid + 1
		} else {
			high = mid
		}
	}
	if low*o.size == len(t.records) || t.load(low*o.size) != want {
		return Entry{}, false
	}
	e := o.entry(t, low)
	if e.Word.Extras() && !e.Gone {
		e.Extras = t.extras.find(low)
	}
	return e, true
}

// entry gives record i of a segment without its extras.
func (o *Overlay) entry(t *top, i int) Entry {
	record := t.records[i*o.size:]
	v := binary.BigEndian.Uint64(record) >> 8
	e := Entry{Block: t.block + v>>remBits, Rem: v & maxRem, Word: gate.Word(binary.BigEndian.Uint16(record[wordAt:]))}
	if e.Word == tombstone {
		return Entry{Block: e.Block, Rem: e.Rem, Gone: true}
	}
	if o.size == wide {
		e.Check = binary.BigEndian.Uint16(record[checkAt:])
	}
	return e
}

// find gives the body of a record.
func (b *bodies) find(record int) []byte {
	low, high := 0, len(b.record)
	for low < high {
		mid := int(uint(low+high) >> 1)
		if int(b.record[mid]) < record {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return b.at(low)
}

// at gives body i.
func (b *bodies) at(i int) []byte {
	from := uint32(0)
	if i > 0 {
		from = b.end[i-1]
	}
	return b.data[from:b.end[i]:b.end[i]]
}

// Cursor walks through an overlay in the order of the set.
type Cursor struct {
	o                   *Overlay
	segment, record, xi int
}

// Cursor begins a walk.
func (o *Overlay) Cursor() Cursor { return Cursor{o: o} }

// Next gives the next entry, false at the end.
func (c *Cursor) Next() (Entry, bool) {
	if c.o == nil || c.segment == len(c.o.tops) {
		return Entry{}, false
	}
	t := &c.o.tops[c.segment]
	e := c.o.entry(t, c.record)
	if e.Word.Extras() && !e.Gone {
		e.Extras = t.extras.at(c.xi)
		c.xi++
	}
	if c.record++; c.record*c.o.size == len(t.records) {
		c.segment, c.record, c.xi = c.segment+1, 0, 0
	}
	return e, true
}

// Merge gives what holds after newer came on top of o: both unchanged, each
// record as newer has it, otherwise as o has it. Both are of the same width.
func (o *Overlay) Merge(newer *Overlay) *Overlay {
	switch {
	case newer.Len() == 0:
		return o
	case o.Len() == 0:
		return newer
	}
	b := builder{o: &Overlay{size: o.size, tops: make([]top, 0, len(o.tops)+len(newer.tops))}}
	walk := newer.Cursor()
	next, more := walk.Next()
	for i := range o.tops {
		t := &o.tops[i]
		last := i+1 == len(o.tops)
		before := func() bool { // whether next belongs into this segment
			return more && (last || next.before(o.tops[i+1].block, o.tops[i+1].rem))
		}
		if !before() {
			b.keep(*t)
			continue
		}
		old := Cursor{o: o, segment: i}
		have, there := old.Next()
		for there || before() {
			switch {
			case !there || before() && next.before(have.Block, have.Rem):
				b.add(next)
				next, more = walk.Next()
			case before() && next.Block == have.Block && next.Rem == have.Rem:
				b.add(next)
				next, more = walk.Next()
				have, there = old.Next()
				there = there && old.within(i)
			default:
				b.add(have)
				have, there = old.Next()
				there = there && old.within(i)
			}
		}
		b.flush()
	}
	return b.o
}

// within says whether the entry that Next gave last is of segment i.
func (c *Cursor) within(i int) bool {
	return c.segment == i || c.segment == i+1 && c.record == 0
}

const (
	segmentHead = int(unsafe.Sizeof(segment{}) + unsafe.Sizeof(top{}))
	bodiesHead  = int(unsafe.Sizeof(bodies{}))
)

// builder collects ascending entries into segments.
type builder struct {
	o      *Overlay
	block  uint64 // of the segment under way
	rem    uint64
	record []byte // records of it
	bodies bodies
}

func (b *builder) add(e Entry) {
	if len(b.record) == 0 {
		b.block, b.rem = e.Block, e.Rem
	} else if e.Block-b.block > maxRel {
		b.flush()
		b.block, b.rem = e.Block, e.Rem
	}
	if e.Gone {
		e.Word = tombstone
	}
	if len(e.Extras) > 0 {
		b.bodies.record = append(b.bodies.record, uint16(len(b.record)/b.o.size))
		b.bodies.data = append(b.bodies.data, e.Extras...)
		b.bodies.end = append(b.bodies.end, uint32(len(b.bodies.data)))
	}
	b.record = binary.BigEndian.AppendUint64(b.record, ((e.Block-b.block)<<remBits|e.Rem)<<8|uint64(e.Word>>8))
	b.record = append(b.record, byte(e.Word))
	if b.o.size == wide {
		b.record = binary.BigEndian.AppendUint16(b.record, e.Check)
	}
	// A run that grew over its bound is cut in the middle: two halves have
	// room, while a full one and a small one would be cut again soon.
	if len(b.record) > 2*segmentSize/b.o.size*b.o.size-b.o.size {
		b.cut(len(b.record) / b.o.size / 2)
	}
}

// cut makes a segment of the first n records under way.
func (b *builder) cut(n int) {
	rest := b.record[n*b.o.size:]
	seg := &segment{records: append(make([]byte, 0, n*b.o.size), b.record[:n*b.o.size]...)}
	b.o.bytes += segmentHead + len(seg.records)
	x := 0
	for x < len(b.bodies.record) && int(b.bodies.record[x]) < n {
		x++
	}
	if x > 0 {
		end := b.bodies.end[x-1]
		seg.extras = &bodies{
			record: append(make([]uint16, 0, x), b.bodies.record[:x]...),
			end:    append(make([]uint32, 0, x), b.bodies.end[:x]...),
			data:   append(make([]byte, 0, end), b.bodies.data[:end]...),
		}
		b.o.bytes += bodiesHead + 6*x + int(end)
		left := 0
		for i := x; i < len(b.bodies.record); i++ {
			b.bodies.record[left], b.bodies.end[left] = b.bodies.record[i], b.bodies.end[i]-end
			left++
		}
		b.bodies.data = b.bodies.data[:copy(b.bodies.data, b.bodies.data[end:])]
		b.bodies.record, b.bodies.end = b.bodies.record[:left], b.bodies.end[:left]
	}
	for i := range b.bodies.record {
		b.bodies.record[i] -= uint16(n)
	}
	b.o.tops = append(b.o.tops, top{b.block, b.rem, seg})
	b.o.n += n
	if len(rest) == 0 {
		b.record = b.record[:0]
		return
	}
	// The rest counts its blocks from its own first record.
	v := binary.BigEndian.Uint64(rest) >> 8
	shift := v >> remBits
	b.block, b.rem = b.block+shift, v&maxRem
	for off := 0; off < len(rest); off += b.o.size {
		binary.BigEndian.PutUint16(rest[off:], binary.BigEndian.Uint16(rest[off:])-uint16(shift))
	}
	b.record = b.record[:copy(b.record, rest)]
}

// flush ends the segment under way, in two where it is longer than one.
func (b *builder) flush() {
	n := len(b.record) / b.o.size
	if len(b.record) > segmentSize {
		b.cut(n / 2)
		n -= n / 2
	}
	if n > 0 {
		b.cut(n)
	}
}

// keep takes a whole segment over.
func (b *builder) keep(t top) {
	b.o.tops = append(b.o.tops, t)
	b.o.n += len(t.records) / b.o.size
	b.o.bytes += segmentHead + len(t.records)
	if x := t.extras; x != nil {
		b.o.bytes += bodiesHead + 6*len(x.record) + len(x.data)
	}
}

// Builder makes an overlay of entries that come in the order of the set.
type Builder struct {
	b     builder
	begun bool
	block uint64 // of the last entry
	rem   uint64
}

// NewBuilder begins an overlay of a set with records of 7 bytes or, with check
// bits, 9.
func NewBuilder(width int) *Builder {
	b := &Builder{b: builder{o: &Overlay{size: narrow}}}
	if width >= wide-2 {
		b.b.o.size = wide
	}
	return b
}

// Add takes the next entry, which must stand above the one before it. Extras
// are copied.
func (b *Builder) Add(e Entry) error {
	switch {
	case e.Block > maxBlock || e.Rem > maxRem:
		return fmt.Errorf("%w: block %d, remainder %x", ErrMalformed, e.Block, e.Rem)
	case b.begun && (e.Block < b.block || e.Block == b.block && e.Rem <= b.rem):
		return fmt.Errorf("%w: a record of block %d is not above the one before it", ErrMalformed, e.Block)
	case e.Gone:
		e.Word, e.Check, e.Extras = 0, 0, nil
	case e.Word == tombstone:
		return fmt.Errorf("%w: a word that is not one", ErrMalformed)
	case e.Word.Extras() != (len(e.Extras) > 0):
		return fmt.Errorf("%w: the word's flag and the extras do not agree", ErrMalformed)
	case len(e.Extras) > block.MaxExtrasBody:
		return fmt.Errorf("%w: extras of %d bytes", ErrMalformed, len(e.Extras))
	}
	b.begun, b.block, b.rem = true, e.Block, e.Rem
	b.b.add(e)
	return nil
}

// Len gives the number of entries so far.
func (b *Builder) Len() int { return b.b.o.n + len(b.b.record)/b.b.o.size }

// Bytes gives about the memory that the overlay takes so far.
func (b *Builder) Bytes() int { return b.b.o.bytes + len(b.b.record) + len(b.b.bodies.data) }

// Overlay gives the overlay of all entries; the builder must not be used after.
func (b *Builder) Overlay() *Overlay {
	b.b.flush()
	return b.b.o
}

// Stack merges many overlays, oldest first, so that each record is copied a few
// times and not once for every overlay after it.
type Stack struct{ runs []*Overlay }

// Push puts a newer overlay on top.
func (s *Stack) Push(o *Overlay) {
	for n := len(s.runs); n > 0 && s.runs[n-1].Len() <= 2*o.Len(); n-- {
		o = s.runs[n-1].Merge(o)
		s.runs = s.runs[:n-1]
	}
	s.runs = append(s.runs, o)
}

// Overlay gives all of them as one.
func (s *Stack) Overlay() (all *Overlay) {
	for _, run := range slices.Backward(s.runs) {
		all = run.Merge(all)
	}
	return all
}
