package overlay

import (
	"gateagent/agent/gate"
	"gateagent/cache/block"
)

// Block is what a set file holds of one block. In a file into which changes
// were folded the records keep the places that they have in the base, those
// that are gone as tombstones, and who has come since is in Added.
type Block struct {
	Value, Extras      []byte // records, and the extras of those who have any
	Added, AddedExtras []byte
}

// Folder applies changes to the blocks of a set file. What it gives is only
// good until its next use.
type Folder struct {
	width int
	out   Block
	whole Block
	rest  []Entry
}

// NewFolder gives a Folder for records of that width.
func NewFolder(width int) *Folder { return &Folder{width: width} }

// Fold applies changes, sorted by remainder, to a block and keeps the places of
// its records.
func (f *Folder) Fold(b Block, changes []Entry) Block {
	if len(changes) == 0 {
		return b
	}
	o := &f.out
	o.Value, o.Extras, o.Added, o.AddedExtras = o.Value[:0], o.Extras[:0], o.Added[:0], o.AddedExtras[:0]
	f.rest = f.rest[:0]
	next := 0
	for i := range len(b.Value) / f.width {
		rem, word, check := block.At(b.Value, f.width, i)
		for next < len(changes) && changes[next].Rem < rem {
			f.rest = append(f.rest, changes[next])
			next++
		}
		if next < len(changes) && changes[next].Rem == rem {
			e := &changes[next]
			next++
			if e.Gone {
				o.Value = block.AppendRecord(o.Value, f.width, rem, tombstone, 0)
			} else {
				o.Value, o.Extras = f.entry(o.Value, o.Extras, e)
			}
			continue
		}
		o.Value, o.Extras = f.record(o.Value, o.Extras, b.Extras, rem, word, check)
	}
	f.rest = append(f.rest, changes[next:]...)

	next = 0
	for i := range len(b.Added) / f.width {
		rem, word, check := block.At(b.Added, f.width, i)
		for next < len(f.rest) && f.rest[next].Rem < rem {
			o.Added, o.AddedExtras = f.entry(o.Added, o.AddedExtras, &f.rest[next])
			next++
		}
		if next < len(f.rest) && f.rest[next].Rem == rem {
			o.Added, o.AddedExtras = f.entry(o.Added, o.AddedExtras, &f.rest[next])
			next++
			continue
		}
		o.Added, o.AddedExtras = f.record(o.Added, o.AddedExtras, b.AddedExtras, rem, word, check)
	}
	for ; next < len(f.rest); next++ {
		o.Added, o.AddedExtras = f.entry(o.Added, o.AddedExtras, &f.rest[next])
	}
	return *o
}

// Whole applies changes to a block and gives it as a whole version has it: in
// order, without tombstones. Added is empty in what it gives.
func (f *Folder) Whole(b Block, changes []Entry) Block {
	b = f.Fold(b, changes)
	if len(b.Added) == 0 && !f.tombstones(b.Value) {
		return Block{Value: b.Value, Extras: b.Extras}
	}
	o := &f.whole
	o.Value, o.Extras = o.Value[:0], o.Extras[:0]
	i, j := 0, 0
	n, m := len(b.Value)/f.width, len(b.Added)/f.width
	for i < n || j < m {
		var rem, addedRem uint64
		var word, addedWord gate.Word
		var check, addedCheck uint16
		if i < n {
			if rem, word, check = block.At(b.Value, f.width, i); word == tombstone {
				i++
				continue
			}
		}
		if j < m {
			addedRem, addedWord, addedCheck = block.At(b.Added, f.width, j)
		}
		if j == m || i < n && rem < addedRem {
			o.Value, o.Extras = f.record(o.Value, o.Extras, b.Extras, rem, word, check)
			i++
		} else {
			o.Value, o.Extras = f.record(o.Value, o.Extras, b.AddedExtras, addedRem, addedWord, addedCheck)
			j++
		}
	}
	return *o
}

func (f *Folder) tombstones(value []byte) bool {
	for i := range len(value) / f.width {
		if _, word, _ := block.At(value, f.width, i); word == tombstone {
			return true
		}
	}
	return false
}

// record appends a record that has not changed, with its extras.
func (f *Folder) record(value, extras, from []byte, rem uint64, word gate.Word, check uint16) (v, x []byte) {
	value = block.AppendRecord(value, f.width, rem, word, check)
	if word.Extras() && word != tombstone {
		if body, ok := block.SearchExtras(from, rem); ok {
			extras = block.AppendExtras(extras, rem, body)
		}
	}
	return value, extras
}

// entry appends a changed record, with its extras; nothing for one that is gone.
func (f *Folder) entry(value, extras []byte, e *Entry) (v, x []byte) {
	if e.Gone {
		return value, extras
	}
	value = block.AppendRecord(value, f.width, e.Rem, e.Word, e.Check)
	if e.Word.Extras() {
		extras = block.AppendExtras(extras, e.Rem, e.Extras)
	}
	return value, extras
}
