package overlay

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"gateagent/cache/block"
)

// lay gives the records of a model as a block has them.
func lay(width int, model map[uint64]Entry) (value, extras []byte) {
	for _, rem := range slices.Sorted(maps.Keys(model)) {
		e := model[rem]
		if e.Gone {
			value = block.AppendRecord(value, width, rem, tombstone, 0)
			continue
		}
		value = block.AppendRecord(value, width, rem, e.Word, e.Check)
		if e.Word.Extras() {
			extras = block.AppendExtras(extras, rem, e.Extras)
		}
	}
	return value, extras
}

// TestFolderAgainstAMap folds changes into a block again and again: the places
// of the base stay, and the whole block is what the model says.
func TestFolderAgainstAMap(t *testing.T) {
	for _, width := range []int{7, 9} {
		for seed := range uint64(60) {
			r := rand.New(rand.NewPCG(uint64(width), seed))
			random := func() Entry {
				e := Entry{Rem: r.Uint64N(90) << 33, Word: 1 + 5*1<<12}
				if width == 9 {
					e.Check = uint16(r.Uint32())
				}
				if r.IntN(3) == 0 {
					e.Word |= 1 << 15
					e.Extras = bytes.Repeat([]byte{0xF1}, 1+r.IntN(5))
				}
				return e
			}
			base := map[uint64]Entry{}
			for range r.IntN(60) {
				e := random()
				base[e.Rem] = e
			}
			var b Block
			b.Value, b.Extras = lay(width, base)
			kept, added, now := maps.Clone(base), map[uint64]Entry{}, maps.Clone(base)
			f := NewFolder(width)
			for range 8 {
				changed := map[uint64]Entry{}
				for range r.IntN(12) {
					e := random()
					if r.IntN(3) == 0 {
						e = Entry{Rem: e.Rem, Gone: true}
					}
					changed[e.Rem] = e
				}
				changes := make([]Entry, 0, len(changed))
				for _, rem := range slices.Sorted(maps.Keys(changed)) {
					e := changed[rem]
					changes = append(changes, e)
					_, inBase := base[rem]
					switch {
					case inBase:
						kept[rem] = e
					case e.Gone:
						delete(added, rem)
					default:
						added[rem] = e
					}
					if e.Gone {
						delete(now, rem)
					} else {
						now[rem] = e
					}
				}
				whole := f.Whole(b, changes)
				value, extras := lay(width, now)
				if !bytes.Equal(whole.Value, value) || !bytes.Equal(whole.Extras, extras) || len(whole.Added) != 0 || len(whole.AddedExtras) != 0 {
					t.Fatalf("whole: %x %x, want %x %x", whole.Value, whole.Extras, value, extras)
				}
				got := f.Fold(b, changes)
				var want Block
				want.Value, want.Extras = lay(width, kept)
				want.Added, want.AddedExtras = lay(width, added)
				if !bytes.Equal(got.Value, want.Value) || !bytes.Equal(got.Extras, want.Extras) ||
					!bytes.Equal(got.Added, want.Added) || !bytes.Equal(got.AddedExtras, want.AddedExtras) {
					t.Fatalf("folded: %x, want %x", got, want)
				}
				b = want
			}
		}
	}
}
