package wire

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
)

// ChunkWriter cuts the blocks of a version into chunks. Cuts lie at fixed
// block numbers, multiples of its span, so that a later version with as many
// blocks and the same span has the same chunks wherever nothing has changed.
type ChunkWriter struct {
	coding string
	width  int
	blocks uint64
	span   uint64
	emit   func(c Chunk, body []byte) error

	next uint64 // first block of the share being collected
	held []Block
	err  error
}

// NewChunkWriter makes a writer for a version of that many blocks. span is how
// many blocks go into one chunk at most, as the version before had it; 0 lets
// the first blocks tell. emit gets each chunk, in order; body is its own.
func NewChunkWriter(coding string, width int, blocks, span uint64, emit func(c Chunk, body []byte) error) *ChunkWriter {
	if span == 0 {
		span = 400
	}
	return &ChunkWriter{coding: coding, width: width, blocks: blocks, span: span, emit: emit}
}

// Span gives how many blocks go into one chunk; 0 while that is not known.
func (w *ChunkWriter) Span() uint64 { return w.span }

// Block takes the next block. It copies value and extras.
func (w *ChunkWriter) Block(no uint64, value, extras []byte) error {
	if w.err != nil {
		return w.err
	}
	if no >= w.blocks {
		w.err = fmt.Errorf("write chunks: block %d of %d", no, w.blocks)
		return w.err
	}
	for no >= w.next+w.span && len(w.held) > 0 {
		if w.err = w.flush(no / w.span * w.span); w.err != nil {
			return w.err
		}
	}
	w.held = append(w.held, Block{no, append([]byte(nil), value...), append([]byte(nil), extras...)})
	return nil
}

// Close writes what is left.
func (w *ChunkWriter) Close() error {
	if w.err == nil && len(w.held) > 0 {
		w.err = w.flush(w.blocks)
	}
	if w.err != nil {
		return w.err
	}
	w.err = errors.New("write chunks: closed")
	return nil
}

// flush writes the blocks that are held as the share up to end.
func (w *ChunkWriter) flush(end uint64) error {
	body, err := EncodeChunk(w.coding, w.width, w.held)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(body)
	c := Chunk{Digest: hex.EncodeToString(sum[:]), Size: len(body), First: w.next, Last: end - 1}
	for _, b := range w.held {
		c.People += uint64(len(b.Value) / w.width)
	}
	w.held, w.next = w.held[:0], end
	return w.emit(c, body)
}
