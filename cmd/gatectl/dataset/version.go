package dataset

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"slices"

	"gateagent/agent/gate"
	"gateagent/cache/block"
	"gateagent/sync/wire"
)

// version reads the people of a version from the folder: the base, and the
// deltas up to the version asked for.
type version struct {
	base   *baseReader
	deltas []*deltaReader

	slots  []entry // of the block of the base
	added  []entry
	out    []entry
	bodies []byte
}

// open begins to read version upTo, which m leads to or past.
func (f Folder) open(m wire.Manifest, upTo uint64) (*version, error) {
	if upTo < m.Base.Version || upTo > m.Ver {
		return nil, fmt.Errorf("version %d is not one of %d to %d", upTo, m.Base.Version, m.Ver)
	}
	v := &version{base: &baseReader{folder: f, m: m}}
	if err := v.base.step(); err != nil {
		return nil, err
	}
	for _, ref := range m.Deltas {
		if ref.N <= m.Base.Version || ref.N > upTo {
			continue
		}
		doc, err := f.deltaDoc(ref)
		if err != nil {
			v.close()
			return nil, err
		}
		d := newDeltaReader(f, doc)
		v.deltas = append(v.deltas, d)
		if err := d.step(); err != nil {
			v.close()
			return nil, err
		}
	}
	return v, nil
}

func (v *version) close() {
	for _, d := range v.deltas {
		d.stop()
	}
}

// next gives a block; records of the base that deltas have taken away are in it
// as such.
func (v *version) next() (uint64, []entry, bool, error) {
	no, ok := uint64(0), false
	if v.base.has {
		no, ok = v.base.block.No, true
	}
	for _, d := range v.deltas {
		if d.has && (!ok || d.change.Block < no) {
			no, ok = d.change.Block, true
		}
	}
	if !ok {
		return 0, nil, false, nil
	}
	v.slots, v.added, v.bodies = v.slots[:0], v.added[:0], v.bodies[:0]
	if v.base.has && v.base.block.No == no {
		v.slots = appendEntries(v.slots, v.base.block, v.base.m.Base.Width)
	}
	for _, d := range v.deltas {
		for d.has && d.change.Block == no {
			if err := v.apply(d.change); err != nil {
				return 0, nil, false, fmt.Errorf("delta %d: block %d: %w", d.n, no, err)
			}
			if err := d.step(); err != nil {
				return 0, nil, false, err
			}
		}
	}
	v.merge()
	if v.base.has && v.base.block.No == no {
		// What entries refer to stays: each chunk has memory of its own.
		if err := v.base.step(); err != nil {
			return 0, nil, false, err
		}
	}
	return no, v.out, true, nil
}

// apply changes one record.
func (v *version) apply(c gate.Change) error {
	from := len(v.bodies)
	v.bodies = append(v.bodies, c.Extras...)
	e := entry{rem: c.Rem, word: c.Word, check: c.Check, body: v.bodies[from:len(v.bodies):len(v.bodies)], place: -1, gone: c.Gone}
	byRem := func(o entry, rem uint64) int { return cmp.Compare(o.rem, rem) }
	at := c.Place
	if at < 0 {
		if i, ok := slices.BinarySearchFunc(v.slots, c.Rem, byRem); ok {
			at = i
		}
	}
	if at >= len(v.slots) {
		return fmt.Errorf("no record has place %d", at)
	}
	if at >= 0 {
		e.rem, e.place = v.slots[at].rem, at
		v.slots[at] = e
		return nil
	}
	i, there := slices.BinarySearchFunc(v.added, c.Rem, byRem)
	switch {
	case there && c.Gone:
		v.added = slices.Delete(v.added, i, i+1)
	case there:
		v.added[i] = e
	case !c.Gone:
		v.added = slices.Insert(v.added, i, e)
	}
	return nil
}

// merge brings slots and added records into one order.
func (v *version) merge() {
	v.out = v.out[:0]
	i, j := 0, 0
	for i < len(v.slots) || j < len(v.added) {
		if j == len(v.added) || i < len(v.slots) && v.slots[i].rem < v.added[j].rem {
			v.out = append(v.out, v.slots[i])
			i++
		} else {
			v.out = append(v.out, v.added[j])
			j++
		}
	}
}

// appendEntries reads a block.
func appendEntries(to []entry, b wire.Block, width int) []entry {
	extras := b.Extras
	for i := range len(b.Value) / width {
		e := entry{place: i}
		e.rem, e.word, e.check = block.At(b.Value, width, i)
		if len(extras) > 0 {
			if body, ok := block.SearchExtras(extras, e.rem); ok {
				e.body = body
			}
		}
		to = append(to, e)
	}
	return to
}

// baseReader gives the blocks of a base one by one.
type baseReader struct {
	folder Folder
	m      wire.Manifest
	chunk  int // the next one
	held   []wire.Block
	block  wire.Block
	has    bool
}

func (r *baseReader) step() error {
	for len(r.held) == 0 {
		if r.chunk == len(r.m.Chunks) {
			r.has = false
			return nil
		}
		c := r.m.Chunks[r.chunk]
		r.chunk++
		blocks, err := r.folder.blocks(r.m, c)
		if err != nil {
			return err
		}
		r.held = blocks
	}
	r.block, r.held, r.has = r.held[0], r.held[1:], true
	return nil
}

// blocks reads a chunk of a version.
func (f Folder) blocks(m wire.Manifest, c wire.Chunk) (all []wire.Block, err error) {
	body, err := f.Chunk(c.Digest)
	if err != nil {
		return nil, err
	}
	err = wire.DecodeChunk(m.Coding, m.Base.Width, body, func(no uint64, value, extras []byte) error {
		b := wire.Block{No: no, Value: slices.Clone(value)}
		if len(extras) > 0 {
			b.Extras = slices.Clone(extras)
		}
		all = append(all, b)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("chunk %s: %w", c.Digest, err)
	}
	return all, nil
}

// deltaReader gives the changes of a delta one by one.
type deltaReader struct {
	n      uint64
	pull   func() (gate.Change, error, bool)
	stop   func()
	change gate.Change // good until the next step
	has    bool
}

var errStop = errors.New("no more is wanted")

func newDeltaReader(f Folder, doc wire.DeltaDoc) *deltaReader {
	d := &deltaReader{n: doc.N}
	d.pull, d.stop = iter.Pull2(func(yield func(gate.Change, error) bool) {
		err := doc.Changes(f.piece, func(c gate.Change) error {
			if !yield(c, nil) {
				return errStop
			}
			return nil
		})
		if err != nil && !errors.Is(err, errStop) {
			yield(gate.Change{}, err)
		}
	})
	return d
}

func (d *deltaReader) step() (err error) {
	d.change, err, d.has = d.pull()
	if err != nil {
		d.has = false
		return fmt.Errorf("read delta %d: %w", d.n, err)
	}
	return nil
}

// piece reads a message of changes.
func (f Folder) piece(p wire.Piece) ([]byte, error) { return f.Chunk(p.Digest) }
