package overlay

import (
	"bytes"
	"cmp"
	"errors"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"gateagent/agent/gate"
	"gateagent/cache/block"
)

type key struct{ block, rem uint64 }

func compare(a, b key) int { return cmp.Or(cmp.Compare(a.block, b.block), cmp.Compare(a.rem, b.rem)) }

// build gives the overlay that holds what the model says.
func build(t testing.TB, width int, model map[key]Entry) *Overlay {
	t.Helper()
	b := NewBuilder(width)
	for _, k := range slices.SortedFunc(maps.Keys(model), compare) {
		if err := b.Add(model[k]); err != nil {
			t.Fatal(err)
		}
	}
	if b.Len() != len(model) {
		t.Fatalf("%d entries in the builder, %d added", b.Len(), len(model))
	}
	return b.Overlay()
}

// draw gives n random entries over that many blocks; few remainders, so that
// the same record comes again.
func draw(r *rand.Rand, width, n int, blocks uint64) map[key]Entry {
	model := map[key]Entry{}
	for range n {
		e := Entry{Block: r.Uint64N(blocks), Rem: r.Uint64N(8) * 0x1F_FFFF_FFFF % (1 << 40)}
		switch r.IntN(10) {
		case 0:
			e.Gone = true
		case 1:
			e.Word = gate.Word(r.UintN(0x7FFF)) | 1<<15
			e.Extras = bytes.Repeat([]byte{byte(r.Uint32())}, 1+r.IntN(60))
		default:
			e.Word = gate.Word(r.UintN(0x8000))
		}
		if width == 9 && !e.Gone {
			e.Check = uint16(r.Uint32())
		}
		model[key{e.Block, e.Rem}] = e
	}
	return model
}

func same(a, b Entry) bool {
	return a.Block == b.Block && a.Rem == b.Rem && a.Word == b.Word && a.Check == b.Check && a.Gone == b.Gone && bytes.Equal(a.Extras, b.Extras)
}

// agree compares an overlay with its model: each record, the order, the count,
// and records that are not there.
func agree(t *testing.T, o *Overlay, model map[key]Entry) {
	t.Helper()
	if o.Len() != len(model) {
		t.Fatalf("%d records, want %d", o.Len(), len(model))
	}
	for k, want := range model {
		if got, ok := o.Find(k.block, k.rem); !ok || !same(got, want) {
			t.Fatalf("block %d rem %x: got %+v, %v, want %+v", k.block, k.rem, got, ok, want)
		}
		for _, other := range []key{{k.block, k.rem ^ 1}, {k.block + 1, k.rem ^ 3}, {k.block + 70_000, k.rem}} {
			if _, there := model[other]; there {
				continue
			}
			if got, ok := o.Find(other.block, other.rem); ok {
				t.Fatalf("found %+v, which nobody added", got)
			}
		}
	}
	c, i := o.Cursor(), 0
	keys := slices.SortedFunc(maps.Keys(model), compare)
	for e, ok := c.Next(); ok; e, ok = c.Next() {
		if !same(e, model[keys[i]]) {
			t.Fatalf("entry %d is %+v, want %+v", i, e, model[keys[i]])
		}
		i++
	}
	if i != len(model) {
		t.Fatalf("a walk gives %d entries of %d", i, len(model))
	}
	total := 0
	for _, top := range o.tops {
		if len(top.records) == 0 || len(top.records) > segmentSize {
			t.Fatalf("a segment of %d bytes", len(top.records))
		}
		total += segmentHead + len(top.records)
		if x := top.extras; x != nil {
			total += bodiesHead + 6*len(x.record) + len(x.data)
		}
	}
	if total != o.Bytes() {
		t.Fatalf("says it takes %d bytes, takes %d", o.Bytes(), total)
	}
}

func TestMergeAgainstAMap(t *testing.T) {
	rounds := 40
	if testing.Short() {
		rounds = 9
	}
	for _, width := range []int{7, 9} {
		for _, blocks := range []uint64{1, 30, 5000, 1 << 21, 1 << 32} {
			r := rand.New(rand.NewPCG(uint64(width), blocks))
			model := map[key]Entry{}
			var o *Overlay
			agree(t, build(t, width, nil), nil)
			for round := range rounds {
				more := draw(r, width, 1+r.IntN([]int{3, 50, 2000}[round%3]), blocks)
				before, held := o, maps.Clone(model)
				maps.Copy(model, more)
				o = o.Merge(build(t, width, more))
				agree(t, o, model)
				if round%10 == 0 && before != nil {
					agree(t, before, held) // it has not changed
				}
			}
		}
	}
}

func TestMergeSharesWhatItDoesNotTouch(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	o := build(t, 7, draw(r, 7, 20_000, 1<<20))
	next := o.Merge(build(t, 7, map[key]Entry{{77, 5}: {Block: 77, Rem: 5, Word: 3}}))
	shared := 0
	for _, t := range next.tops {
		if slices.ContainsFunc(o.tops, func(u top) bool { return u.segment == t.segment }) {
			shared++
		}
	}
	if shared != len(o.tops)-1 {
		t.Errorf("%d of %d segments are shared", shared, len(o.tops))
	}
}

func TestStack(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	model, s := map[key]Entry{}, Stack{}
	for i := range 300 {
		more := draw(r, 7, 1+i%40, 2000)
		maps.Copy(model, more)
		s.Push(build(t, 7, more))
	}
	agree(t, s.Overlay(), model)
	if len(s.runs) > 12 {
		t.Errorf("%d runs were kept", len(s.runs))
	}
	if got := (&Stack{}).Overlay(); got.Len() != 0 || got.Bytes() != 0 {
		t.Errorf("an empty stack holds %d", got.Len())
	}
}

func TestAddRefuses(t *testing.T) {
	good := Entry{Block: 5, Rem: 5, Word: 1}
	for name, e := range map[string]Entry{
		"block":          {Block: 1 << 32, Word: 1},
		"remainder":      {Block: 6, Rem: 1 << 40, Word: 1},
		"the same":       good,
		"below":          {Block: 5, Rem: 4, Word: 1},
		"block below":    {Block: 4, Rem: 9, Word: 1},
		"tombstone":      {Block: 6, Word: tombstone, Extras: []byte{1}},
		"flag alone":     {Block: 6, Word: 1 << 15},
		"extras alone":   {Block: 6, Word: 1, Extras: []byte{1}},
		"extras, length": {Block: 6, Word: 1 << 15, Extras: make([]byte, block.MaxExtrasBody+1)},
	} {
		b := NewBuilder(7)
		if err := b.Add(good); err != nil {
			t.Fatal(err)
		}
		if err := b.Add(e); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
		if b.Len() != 1 {
			t.Errorf("%s: it counts", name)
		}
	}
}

func TestPieces(t *testing.T) {
	for _, width := range []int{7, 9} {
		r := rand.New(rand.NewPCG(9, uint64(width)))
		for _, n := range []int{0, 1, 3000} {
			model := draw(r, width, n, 40_000)
			o := build(t, width, model)
			b := NewBuilder(width)
			longest := 0
			for piece := range o.Pieces(1000) {
				longest = max(longest, len(piece))
				if err := b.AddPiece(piece); err != nil {
					t.Fatal(err)
				}
			}
			if longest > 1000 {
				t.Errorf("a piece of %d bytes", longest)
			}
			agree(t, b.Overlay(), model)
		}
	}
	for name, piece := range map[string][]byte{
		"empty":         {},
		"cut":           {1, 0, 0, 0},
		"long number":   {0x80, 0, 0, 0, 0, 0, 1, 0, 1},
		"huge gap":      {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0, 0, 0, 0, 1},
		"cut extras":    {1, 0, 0, 0, 0, 1, 0x80, 1, 5, 1},
		"no extras":     {1, 0, 0, 0, 0, 1, 0x80, 1, 0},
		"not ascending": {1, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 1, 0, 1},
	} {
		if err := NewBuilder(7).AddPiece(piece); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestCost: 490,000 changes (half a percent of 98 million people) take at most
// 10 bytes each, with check bits 12, however they came; finding one allocates
// nothing.
func TestCost(t *testing.T) {
	changes, blocks, batches := 490_000, uint64(98_000_000/62), 288
	if testing.Short() {
		changes, blocks, batches = changes/10, blocks/10, batches/10
	}
	for _, width := range []int{7, 9} {
		for _, messages := range []int{1, batches} {
			r := rand.New(rand.NewPCG(1, 1))
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			var o *Overlay
			for m := range messages {
				n := changes/messages + min(1, changes%messages/(m+1))
				keys := make([]key, n)
				for i := range keys {
					keys[i] = key{r.Uint64N(blocks), r.Uint64N(1 << 40)}
				}
				slices.SortFunc(keys, compare)
				b := NewBuilder(width)
				for i, k := range keys {
					if err := b.Add(Entry{Block: k.block, Rem: k.rem, Word: gate.Word(i & 0x7fff), Check: uint16(i)}); err != nil {
						t.Fatal(err)
					}
				}
				o = o.Merge(b.Overlay())
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			real := float64(after.HeapAlloc-before.HeapAlloc) / float64(o.Len())
			said := float64(o.Bytes()) / float64(o.Len())
			t.Logf("width %d, %d messages: %.2f bytes a change on the heap, %.2f by its own account", width, messages, real, said)
			if limit := float64(width) + 3; real > limit || said > limit {
				t.Errorf("more than %.0f bytes a change", limit)
			}
			c := o.Cursor()
			e, _ := c.Next()
			if n := testing.AllocsPerRun(100, func() {
				if _, ok := o.Find(e.Block, e.Rem); !ok {
					t.Fatal("not found")
				}
			}); n != 0 {
				t.Errorf("%v allocations", n)
			}
		}
	}
}

func FuzzPiece(f *testing.F) {
	for _, width := range []int{7, 9} {
		r := rand.New(rand.NewPCG(5, uint64(width)))
		for piece := range build(f, width, draw(r, width, 300, 100)).Pieces(300) {
			f.Add(width == 9, bytes.Clone(piece))
		}
	}
	f.Fuzz(func(t *testing.T, checks bool, piece []byte) {
		width := 7
		if checks {
			width = 9
		}
		b := NewBuilder(width)
		if err := b.AddPiece(piece); err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		o := b.Overlay()
		var again []byte
		for p := range o.Pieces(len(piece)) {
			again = append(again, p...)
		}
		if !bytes.Equal(again, piece) {
			t.Fatalf("%x was taken and is written as %x", piece, again)
		}
	})
}

func BenchmarkFind(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	model := draw(r, 7, 400_000, 1<<20)
	o := build(b, 7, model)
	keys := slices.Collect(maps.Keys(model))
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		k := keys[i%len(keys)]
		if _, ok := o.Find(k.block, k.rem); !ok {
			b.Fatal("missing")
		}
	}
}
