package dataset

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"

	"gateagent/agent/gate"
	"gateagent/cache/block"
	"gateagent/sync/wire"
)

// Head is what a manifest says beside its chunks.
type Head struct {
	Set     string
	Version uint64
	KeyID   string
	// KeyHold is how boxes may hold the key; empty: in memory only for more
	// than [MemoryAbove] people, else in a file.
	KeyHold string
	Issued  time.Time
	Expires time.Time
	SpreadS uint32
	URLs    []string
	// Empty makes a version also where nothing has changed.
	Empty bool
}

// MemoryAbove is the size of a set from which its key is held in memory only,
// unless told otherwise (DESIGN §5).
const MemoryAbove = 100_000

// keyHold decides how the key of so many people may be held.
func (h Head) keyHold(people uint64) string {
	switch {
	case h.KeyHold != "":
		return h.KeyHold
	case people > MemoryAbove:
		return wire.KeyHoldMemory
	}
	return wire.KeyHoldFile
}

// WriteBase ends the list of a builder and writes the chunks of a whole
// version. It gives the manifest that names them, not yet signed: nothing
// counts before [Folder.WriteManifest]. before, which may be nil, is the
// version before it: its number of blocks is kept while it fits.
func (f Folder) WriteBase(ctx context.Context, b *Builder, h Head, before *wire.Manifest) (wire.Manifest, Counts, error) {
	counts, number, err := b.measure(ctx, before)
	if err != nil {
		return wire.Manifest{}, counts, err
	}
	m := wire.Manifest{
		Aud: h.Set, Ver: h.Version, Iat: h.Issued.Unix(), Exp: h.Expires.Unix(),
		Coding: wire.CodingColumns, SpreadS: h.SpreadS, URLs: h.URLs,
		Base: wire.Base{
			Version: h.Version, Blocks: number, Width: b.Width(), BaseDay: b.BaseDay().String(), KeyID: h.KeyID, Lists: b.Lists(),
		},
	}
	var again Counts // what folding finds a second time
	src, err := b.place(number, &again)
	if err != nil {
		return m, counts, err
	}
	total := counts.People
	counts.People = 0
	w := blockWriter{folder: f, counts: &counts, span: span(before, number), tick: func(people int) {
		b.opts.Progress(Progress{Stage: Writing, People: people, Done: int64(people), Total: int64(total)})
	}}
	if err := w.write(ctx, src, &m); err != nil {
		return m, counts, err
	}
	m.KeyHold = h.keyHold(m.Base.People)
	return m, counts, m.Check()
}

// measure counts the people of a list and finds the number of blocks they go
// into.
func (b *Builder) measure(ctx context.Context, before *wire.Manifest) (Counts, uint64, error) {
	b.near = b.near[:0]
	counts := b.counts
	f, err := b.fold(&counts)
	if err != nil {
		return counts, 0, err
	}
	var last gate.Pseudonym
	n := 0
	for {
		p, ok, err := f.person()
		if err != nil {
			return counts, 0, err
		}
		if !ok {
			break
		}
		// Two may share a place only when they differ in the bits that a place
		// does not keep.
		if n > 0 && p.person-last < 1<<24 {
			b.near = append(b.near, [2]gate.Pseudonym{last, p.person})
		}
		last = p.person
		if n++; n%tickPeople == 0 {
			if ctx.Err() != nil {
				return counts, 0, context.Cause(ctx)
			}
			b.opts.Progress(Progress{Stage: Counting, People: n, Done: int64(n), Total: int64(b.counts.Read)})
		}
	}
	number := chooseBlocks(n, b.shared, before)
	counts.Collisions += b.shared(number)
	counts.People = n - b.shared(number)
	return counts, number, nil
}

// tickPeople is after how many people progress is told.
const tickPeople = 1 << 16

// shared counts the people who share a place with the one before them when
// there are so many blocks.
func (b *Builder) shared(number uint64) (n int) {
	for _, pair := range b.near {
		no, rem := block.Place(pair[0], number)
		no2, rem2 := block.Place(pair[1], number)
		if no == no2 && rem == rem2 {
			n++
		}
	}
	return n
}

// chooseBlocks gives the number of blocks for so many different pseudonyms, of
// which some share a place: that of the version before while it fits.
func chooseBlocks(people int, shared func(number uint64) int, before *wire.Manifest) uint64 {
	left := func(number uint64) uint64 { return uint64(people - shared(number)) }
	if before != nil && fits(left(before.Base.Blocks), before.Base.Blocks) {
		return before.Base.Blocks
	}
	number := block.Blocks(uint64(people))
	for number > 1 && !fits(left(number), number) {
		number--
	}
	return number
}

// fits says whether so many people may be in so many blocks, by the rules of
// boxes and of manifests.
func fits(people, number uint64) bool {
	return block.Fits(people, number) && wire.FitsBlocks(people, number)
}

// span gives how many blocks the chunks of the version before hold, if a
// version of that many blocks can have the same.
func span(before *wire.Manifest, number uint64) uint64 {
	if before == nil || before.Base.Blocks != number || before.Coding != wire.CodingColumns {
		return 0
	}
	return before.Chunks.Span()
}

// blockWriter writes the chunks of a version.
type blockWriter struct {
	folder Folder
	counts *Counts
	span   uint64
	tick   func(people int)
}

// packed is some blocks on their way into chunks.
type packed []wire.Block

const (
	packedBlocks = 1024
	packedAhead  = 4
)

// write writes the chunks of src and completes the manifest. Packing runs
// beside coding.
func (w *blockWriter) write(ctx context.Context, src blocks, m *wire.Manifest) error {
	if err := w.folder.make(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ready := make(chan packed, packedAhead)
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(ready)
		if err := w.pack(ctx, src, m.Base.Width, ready); err != nil {
			cancel(err)
		}
	})
	err := w.code(ready, m)
	if err != nil {
		cancel(err)
		for range ready { // lets pack end
		}
	}
	wg.Wait()
	if err == nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return err
	}
	return w.folder.syncChunks(*m)
}

// pack turns entries into the values of blocks.
func (w *blockWriter) pack(ctx context.Context, src blocks, width int, ready chan<- packed) error {
	var some packed
	told := 0
	send := func() error {
		select {
		case ready <- some:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		some = nil
		if w.counts.People-told >= tickPeople {
			told = w.counts.People
			w.tick(told)
		}
		return nil
	}
	for {
		no, entries, ok, err := src.next()
		if err != nil {
			return err
		}
		if !ok {
			return send()
		}
		b := wire.Block{No: no, Value: make([]byte, 0, len(entries)*width)}
		for _, e := range entries {
			if e.gone {
				continue
			}
			b.Value = block.AppendRecord(b.Value, width, e.rem, e.word, e.check)
			if len(e.body) > 0 {
				b.Extras = block.AppendExtras(b.Extras, e.rem, e.body)
			}
			w.counts.tally(e)
		}
		if len(b.Value) == 0 {
			continue
		}
		if some = append(some, b); len(some) == packedBlocks {
			if err := send(); err != nil {
				return err
			}
		}
	}
}

// code writes blocks as chunks.
func (w *blockWriter) code(ready <-chan packed, m *wire.Manifest) error {
	digest := block.NewDigest()
	m.Chunks = wire.Chunks{}
	m.Base.People, m.Base.Extras = 0, 0
	cw := wire.NewChunkWriter(m.Coding, m.Base.Width, m.Base.Blocks, w.span, func(c wire.Chunk, body []byte) error {
		m.Chunks = append(m.Chunks, c)
		return w.folder.writeChunk(c.Digest, body)
	})
	for some := range ready {
		for _, b := range some {
			n, err := block.CheckPair(b.Value, m.Base.Width, b.Extras, false)
			if err != nil {
				return fmt.Errorf("block %d: %w", b.No, err)
			}
			m.Base.Extras += uint64(n)
			m.Base.People += uint64(len(b.Value) / m.Base.Width)
			digest.Add(b.No, b.Value)
			digest.AddExtras(b.No, b.Extras)
			if err := cw.Block(b.No, b.Value, b.Extras); err != nil {
				return err
			}
		}
	}
	if err := cw.Close(); err != nil {
		return err
	}
	if len(m.Chunks) > wire.MaxChunks {
		return errors.New("the set needs more chunks than a manifest can name")
	}
	sum := digest.Sum()
	m.Base.Digest = hex.EncodeToString(sum[:])
	return nil
}
