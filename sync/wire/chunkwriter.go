package wire

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/bits"
)

const (
	// trialBlocks are looked at to find the span.
	trialBlocks = 512
	// trialFill is how full chunks are meant to be, in percent. The number of
	// people in so many blocks varies by one in a hundred.
	trialFill = 97
)

// ChunkWriter cuts the blocks of a version into chunks. Cuts lie at fixed
// block numbers, multiples of its span, so that a later version with as many
// blocks and the same span has the same chunks wherever nothing has changed. A
// chunk that would be too large is cut in halves.
type ChunkWriter struct {
	coding string
	width  int
	blocks uint64
	span   uint64
	emit   func(c Chunk, body []byte) error
	cols   columnsWriter

	held  []Block // of the share being collected
	arena []byte  // their bytes
	next  uint64  // first block of that share
	chunk Chunk   // not emitted yet; Size 0: none
	body  []byte
	err   error
}

// NewChunkWriter makes a writer for a version of that many blocks. span is how
// many blocks go into one chunk, as [Chunks.Span] gives it of the version
// before; 0 lets the first blocks tell. emit gets each chunk, in order; body is
// its own.
func NewChunkWriter(coding string, width int, blocks, span uint64, emit func(c Chunk, body []byte) error) *ChunkWriter {
	return &ChunkWriter{coding: coding, width: width, blocks: blocks, span: span, emit: emit}
}

// Span gives how many blocks the shares of the list have, but for those that
// had to be cut in halves and the last; 0 of an empty list.
func (c Chunks) Span() uint64 {
	var span uint64
	for _, chunk := range c {
		span = max(span, chunk.Last-chunk.First+1)
	}
	return span
}

// Block takes the next block. It copies value and extras. After an error all
// that follows gives the same error.
func (w *ChunkWriter) Block(no uint64, value, extras []byte) error {
	if w.err != nil {
		return w.err
	}
	if no >= w.blocks || len(w.held) > 0 && no <= w.held[len(w.held)-1].No || no < w.next {
		w.err = fmt.Errorf("write chunks: block %d of %d is out of turn", no, w.blocks)
		return w.err
	}
	if w.span == 0 && len(w.held) == trialBlocks {
		w.try()
	}
	if w.span > 0 {
		w.cut(no)
	}
	if len(w.held) == 0 {
		w.arena = w.arena[:0]
	}
	at := len(w.arena)
	w.arena = append(append(w.arena, value...), extras...)
	mid, end := at+len(value), len(w.arena)
	w.held = append(w.held, Block{no, w.arena[at:mid:mid], w.arena[mid:end:end]})
	return w.err
}

// Close writes what is left. The last chunk's share ends with the last block.
func (w *ChunkWriter) Close() error {
	if w.span == 0 && len(w.held) > 0 {
		w.try()
	}
	if w.span > 0 {
		w.cut(w.blocks)
		w.share(w.blocks)
	}
	if w.chunk.Size > 0 {
		w.chunk.Last = w.blocks - 1
		w.put()
	}
	if w.err != nil {
		return w.err
	}
	w.err = errors.New("write chunks: it is closed")
	return nil
}

// try finds the span: what would fill a chunk as the blocks held would, rounded
// down to five binary digits so that versions that are nearly alike have the
// same.
func (w *ChunkWriter) try() {
	body, err := w.encode(w.held)
	if err != nil && !errors.Is(err, ErrTooLarge) {
		w.err = err
		return
	}
	size := uint64(max(len(body), 1))
	if err != nil {
		size = 2 * MaxChunk // halves tell the rest
	}
	over := w.held[len(w.held)-1].No + 1
	w.span = max(MaxChunk*trialFill/100*over/size, 1)
	if extra := bits.Len64(w.span) - 5; extra > 0 {
		w.span = w.span >> extra << extra
	}
}

func (w *ChunkWriter) encode(blocks []Block) ([]byte, error) {
	if err := checkBlocks(w.width, blocks); err != nil {
		return nil, fmt.Errorf("write chunks: %w", err)
	}
	if w.coding != CodingColumns {
		return nil, fmt.Errorf("write chunks: no coding is called %q", clip(w.coding))
	}
	body, err := w.cols.encode(w.width, blocks)
	if err != nil {
		return nil, fmt.Errorf("write chunks: %w", err)
	}
	return body, nil
}

// cut writes all shares that end at or below the block that comes.
func (w *ChunkWriter) cut(comes uint64) {
	for w.err == nil && len(w.held) > 0 {
		end := (w.held[0].No/w.span + 1) * w.span
		if end > comes {
			return
		}
		w.share(end)
	}
}

// share writes the blocks that are held below end. When there are none, the
// share grows.
func (w *ChunkWriter) share(end uint64) {
	n := 0
	for n < len(w.held) && w.held[n].No < end {
		n++
	}
	if n == 0 || w.err != nil {
		return
	}
	body, err := w.encode(w.held[:n])
	if err == nil && len(body) > MaxChunk {
		err = errTooMany
	}
	if errors.Is(err, ErrTooLarge) && n > 1 {
		// Halves, too, lie at fixed numbers; one without blocks is no half.
		lo := max(w.next, w.held[0].No/w.span*w.span)
		mid := lo + (end-lo)/2
		for mid <= w.held[0].No {
			mid += (end - mid) / 2
		}
		w.share(mid)
		w.share(end)
		return
	}
	if err != nil {
		w.err = err
		return
	}
	w.put()
	sum := sha256.Sum256(body)
	w.chunk = Chunk{Digest: hex.EncodeToString(sum[:]), Size: len(body), First: w.next, Last: end - 1}
	for _, b := range w.held[:n] {
		w.chunk.People += uint64(len(b.Value) / w.width)
	}
	w.body, w.next = body, end
	w.held = w.held[:copy(w.held, w.held[n:])]
}

// put emits the chunk that waits.
func (w *ChunkWriter) put() {
	if w.chunk.Size > 0 && w.err == nil {
		w.err = w.emit(w.chunk, w.body)
	}
	w.chunk, w.body = Chunk{}, nil
}
