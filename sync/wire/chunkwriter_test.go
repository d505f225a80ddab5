package wire

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"

	"gateagent/agent/gate"
	"gateagent/cache/block"
)

// chunked cuts blocks into chunks and checks that they divide the version among
// themselves and hold what they should.
func chunked(t testing.TB, coding string, width int, blocks, span uint64, in []Block) (chunks Chunks, bodies [][]byte) {
	t.Helper()
	w := NewChunkWriter(coding, width, blocks, span, func(c Chunk, body []byte) error {
		chunks, bodies = append(chunks, c), append(bodies, body)
		return nil
	})
	var people uint64
	for _, b := range in {
		people += uint64(len(b.Value) / width)
		if err := w.Block(b.No, b.Value, b.Extras); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := chunks.check(Base{People: people, Blocks: blocks}); err != nil {
		t.Fatal(err)
	}
	for i, c := range chunks {
		var has uint64
		if err := DecodeChunk(coding, width, bodies[i], func(no uint64, value, extras []byte) error {
			if no < c.First || no > c.Last || no != in[0].No || !bytes.Equal(value, in[0].Value) || !bytes.Equal(extras, in[0].Extras) {
				t.Fatalf("chunk %d holds block %d otherwise than it was", i, no)
			}
			in, has = in[1:], has+uint64(len(value)/width)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if has != c.People {
			t.Errorf("chunk %d holds %d people of %d", i, has, c.People)
		}
	}
	if len(in) > 0 {
		t.Errorf("%d blocks are in no chunk", len(in))
	}
	return chunks, bodies
}

// held takes the blocks of a population into memory.
func (p *population) held() (out []Block) {
	_ = p.each(func(no uint64, value, extras []byte) error {
		out = append(out, Block{no, bytes.Clone(value), bytes.Clone(extras)})
		return nil
	})
	return out
}

// A version of as many blocks has the same chunks wherever nothing changed.
func TestCutsStay(t *testing.T) {
	p := newPopulation(300_000, widthCheck)
	p.word, p.extras = withExtras, realExtras
	in := p.held()
	before, _ := chunked(t, CodingColumns, widthCheck, p.blocks, 0, in)
	if len(before) < 8 {
		t.Fatalf("only %d chunks", len(before))
	}
	for i, c := range before[:len(before)-1] {
		if c.First != uint64(i)*before.Span() {
			t.Errorf("chunk %d begins at block %d", i, c.First)
		}
	}
	changed := before[3].First + 5
	v := in[changed].Value
	in[changed].Value = append(v[:len(v)-3:len(v)-3], 0x21, 0, 0)
	in[changed].Value = in[changed].Value[:len(v)-widthCheck] // somebody is gone, too
	in[changed].Extras = nil
	for i := 0; i < len(in[changed].Value); i += widthCheck {
		in[changed].Value[i+5] &= 0x7f
	}
	after, _ := chunked(t, CodingColumns, widthCheck, p.blocks, before.Span(), in)
	if len(after) != len(before) {
		t.Fatalf("%d chunks became %d", len(before), len(after))
	}
	for i := range after {
		if (after[i] == before[i]) != (i != 3) {
			t.Errorf("chunk %d: %+v became %+v", i, before[i], after[i])
		}
	}
}

func TestChunkWriterHalves(t *testing.T) {
	p := newPopulation(150_000, widthPlain)
	in := p.held()
	for _, span := range []uint64{1, 100, 2000, 1 << 40} {
		chunks, _ := chunked(t, CodingColumns, widthPlain, p.blocks, span, in)
		if span == 1 && len(chunks) != len(in) || span == 100 && len(chunks) != int(p.blocks+99)/100 || span > 1000 && len(chunks) < 3 {
			t.Errorf("span %d: %d chunks of %d blocks", span, len(chunks), len(in))
		}
	}
}

// Blocks without people lie in the share of a neighbour.
func TestChunkWriterGaps(t *testing.T) {
	one := func(no uint64) Block { return Block{No: no, Value: []byte("1234567")} }
	r := rand.New(rand.NewPCG(1, 1))
	for range 100 {
		var in []Block
		blocks := r.Uint64N(900) + 1
		for no := range blocks {
			if r.IntN(20) == 0 || no == blocks-1 && len(in) == 0 {
				in = append(in, one(no))
			}
		}
		chunked(t, CodingColumns, widthPlain, blocks, r.Uint64N(20), in)
	}
	// Even where halves are needed.
	noise := rand.NewChaCha8([32]byte{})
	big := func(no uint64) Block {
		b := Block{No: no}
		for i := range uint64(maxPerBlock) {
			word := gate.Word(r.Uint32()) | extrasFlag
			body := make([]byte, 255)
			_, _ = noise.Read(body)
			b.Value = block.AppendRecord(b.Value, widthPlain, i<<20, word, 0)
			b.Extras = block.AppendExtras(b.Extras, i<<20, body)
		}
		return b
	}
	var in []Block
	for no := uint64(3); no < 900; no += 90 {
		in = append(in, big(no), big(no+2), one(no+3))
	}
	for _, span := range []uint64{0, 7, 64, 1 << 30} {
		chunked(t, CodingColumns, widthPlain, 1000, span, in)
	}
}

func TestChunkWriterRefuses(t *testing.T) {
	value := []byte("1234567")
	for name, blocks := range map[string][]Block{
		"out of turn": {{No: 2, Value: value}, {No: 1, Value: value}},
		"twice":       {{No: 2, Value: value}, {No: 2, Value: value}},
		"beyond":      {{No: 9, Value: value}},
		"empty":       {{No: 1}},
		"half":        {{No: 1, Value: value[:5]}},
	} {
		w := NewChunkWriter(CodingColumns, widthPlain, 9, 0, func(Chunk, []byte) error { return nil })
		var err error
		for _, b := range blocks {
			err = w.Block(b.No, b.Value, b.Extras)
		}
		if again := w.Close(); again == nil || err != nil && !errors.Is(again, err) {
			t.Errorf("%s: %v, %v", name, err, again)
		}
	}
	w := NewChunkWriter(CodingColumns, widthPlain, 9, 1, func(Chunk, []byte) error { return errStop })
	for no := range uint64(3) {
		_ = w.Block(no, value, nil)
	}
	if err := w.Close(); !errors.Is(err, errStop) {
		t.Errorf("the caller's error is lost: %v", err)
	}
	if err := NewChunkWriter("rows", widthPlain, 9, 1, nil).Close(); err != nil {
		t.Errorf("a set of nobody: %v", err)
	}
}
