package wire

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"gateagent/agent/gate"
	"gateagent/cache/block"
)

// set is the whole of a population in chunks.
type set struct {
	people, size uint64
	chunks       Chunks
}

func (s set) perPerson() float64 { return float64(s.size) / float64(s.people) }

// writeSet writes a population in chunks, and reads each again: what comes out
// must be what went in.
func writeSet(t testing.TB, p *population, span uint64) set {
	t.Helper()
	var out set
	in, back := sha256.New(), sha256.New()
	add := func(h interface{ Write([]byte) (int, error) }) func(uint64, []byte, []byte) error {
		return func(no uint64, value, extras []byte) error {
			h.Write([]byte{byte(no >> 24), byte(no >> 16), byte(no >> 8), byte(no)})
			h.Write(value)
			h.Write(extras)
			return nil
		}
	}
	var writing, reading time.Duration
	w := NewChunkWriter(CodingColumns, p.width, p.blocks, span, func(c Chunk, body []byte) error {
		if sum := sha256.Sum256(body); c.Size != len(body) || c.Size > MaxChunk || c.Digest != hex.EncodeToString(sum[:]) {
			t.Fatalf("chunk %+v has %d bytes", c, len(body))
		}
		out.chunks = append(out.chunks, c)
		out.size += uint64(c.Size)
		out.people += c.People
		began := time.Now()
		err := DecodeChunk(CodingColumns, p.width, body, add(back))
		reading += time.Since(began)
		return err
	})
	if err := p.each(func(no uint64, value, extras []byte) error {
		_ = add(in)(no, value, extras)
		before := reading
		began := time.Now()
		err := w.Block(no, value, extras)
		writing += time.Since(began) - (reading - before)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(in.Sum(nil), back.Sum(nil)) {
		t.Fatal("what was read is not what was written")
	}
	t.Logf("%d people in %d chunks of %d blocks; %.2f M/s written, %.2f M/s read", out.people, len(out.chunks), out.chunks.Span(),
		float64(out.people)/writing.Seconds()/1e6, float64(out.people)/reading.Seconds()/1e6)
	return out
}

// The bars of the issue for a full set: 4.7 bytes a person for the pseudonyms,
// 1.05 times the entropy of the fact words, 2.0 for check bits.
func TestSizeOfASet(t *testing.T) {
	if raceDetector {
		t.Skip("sizes are the same without the race detector, and it takes too long with it")
	}
	same := newPopulation(*people, widthPlain)
	same.word = func(*rand.Rand) gate.Word { return 0 }
	places := writeSet(t, same, 0)
	plainSet := newPopulation(*people, widthPlain)
	plain := writeSet(t, plainSet, 0)
	n, entropy := plainSet.measured()
	words := float64(plain.size)/float64(n) - places.perPerson()
	check := writeSet(t, newPopulation(*people, widthCheck), 0)
	all := newPopulation(*people, widthCheck)
	all.word, all.extras = withExtras, realExtras
	extras := writeSet(t, all, 0)
	_, flagged := all.measured()
	t.Logf("%d people: positions %.3f B; words %.3f B, entropy %.3f B (%.3f bits), ratio %.4f; check bits %.3f B",
		n, places.perPerson(), words, entropy/8, entropy, words/(entropy/8), check.perPerson()-plain.perPerson())
	t.Logf("one in ten with extras of %.1f B, check bits: %.3f B a person, words and extras %.3f B, entropy of words %.3f B",
		float64(all.body)/float64(all.flags), extras.perPerson(), extras.perPerson()-places.perPerson()-2, flagged/8)
	if got := places.perPerson(); got > 4.7 {
		t.Errorf("positions take %.3f bytes a person", got)
	}
	if ratio := words / (entropy / 8); ratio > 1.05 {
		t.Errorf("words take %.4f of their entropy", ratio)
	}
	if got := check.perPerson() - plain.perPerson(); got > 2.01 {
		t.Errorf("check bits take %.3f bytes a person", got)
	}
	for _, s := range []set{places, plain, check, extras} {
		fill := float64(s.size) / float64(len(s.chunks)) / MaxChunk
		t.Logf("%d chunks, %.1f %% full", len(s.chunks), 100*fill)
		if len(s.chunks) > 10 && fill < 0.85 {
			t.Errorf("chunks are %.1f %% full", 100*fill)
		}
	}
	manifestOf(t, extras, all)
}

// manifestOf measures the manifest of a set, with all the deltas that it can
// name.
func manifestOf(t *testing.T, s set, p *population) {
	t.Helper()
	m := sampleManifest()
	m.Base.People, m.Base.Blocks, m.Base.Extras, m.Chunks, m.Deltas = s.people, p.blocks, p.flags, s.chunks, nil
	m.Base.Version, m.Ver = 1000, 1000+MaxDeltas
	for n := range uint64(MaxDeltas) {
		m.Deltas = append(m.Deltas, DeltaRef{N: 1001 + n, Base: 1000, Size: 1500, Digest: m.Base.Digest})
	}
	body, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	jws := (len(body)+2)/3*4 + 200
	t.Logf("manifest of %d chunks and %d deltas: %d bytes, %d as a JWS", len(m.Chunks), len(m.Deltas), len(body), jws)
	if jws > 512<<10 {
		t.Errorf("the manifest has %d bytes", jws)
	}
	back, err := ParseManifest(body)
	if diff := cmp.Diff(m, back); err != nil || diff != "" {
		t.Error(err, diff)
	}
}

var errStop = errors.New("stop")

func gather(t interface{ Fatal(...any) }, width int, body []byte) (out []Block) {
	if err := DecodeChunk(CodingColumns, width, body, func(no uint64, value, extras []byte) error {
		out = append(out, Block{no, bytes.Clone(value), append([]byte{}, extras...)})
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

// drawBlocks makes any blocks that may be: near and far ones, words of facts
// and of noise, flags with and without entries.
func drawBlocks(t *rapid.T, width int) []Block {
	var out []Block
	no := rapid.Uint64Range(0, maxBlocks-200_000).Draw(t, "first")
	facts := rapid.SampledFrom([]int{0, 1, 5, 300, 1 << 16}).Draw(t, "different words")
	for range rapid.IntRange(1, 12).Draw(t, "blocks") {
		b := Block{No: no, Value: []byte{}, Extras: []byte{}}
		rem := uint64(0)
		for range rapid.IntRange(1, 90).Draw(t, "records") {
			rem += rapid.SampledFrom([]uint64{1, 2, 1 << 20, 1 << 33}).Draw(t, "far") + rapid.Uint64Range(0, 1<<20).Draw(t, "gap")
			word := uint16(0)
			if facts > 0 {
				word = uint16(rapid.IntRange(0, facts-1).Draw(t, "word") * 40503)
			}
			b.Value = append(b.Value, byte(rem>>32), byte(rem>>24), byte(rem>>16), byte(rem>>8), byte(rem), byte(word>>8), byte(word))
			if width == widthCheck {
				b.Value = append(b.Value, byte(rem), byte(no))
			}
			if word&extrasFlag != 0 && rapid.Bool().Draw(t, "entry") {
				b.Extras = block.AppendExtras(b.Extras, rem, rapid.SliceOfN(rapid.Byte(), 1, 255).Draw(t, "body"))
			}
		}
		out = append(out, b)
		no += 1 + rapid.Uint64Range(0, 3).Draw(t, "skip")*rapid.Uint64Range(0, 3000).Draw(t, "by")
	}
	return out
}

func TestColumnsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		width := rapid.SampledFrom([]int{widthPlain, widthCheck}).Draw(t, "width")
		want := drawBlocks(t, width)
		body, err := EncodeChunk(CodingColumns, width, want)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, gather(t, width, body)); diff != "" {
			t.Fatal(diff)
		}
		for n := range len(want) {
			calls := 0
			if err := DecodeChunk(CodingColumns, width, body, func(uint64, []byte, []byte) error {
				if calls++; calls > n {
					return errStop
				}
				return nil
			}); !errors.Is(err, errStop) || calls != n+1 {
				t.Fatalf("%d calls: %v", calls, err)
			}
		}
		if i := rapid.IntRange(0, len(body)-1).Draw(t, "cut"); DecodeChunk(CodingColumns, width, body[:i], func(uint64, []byte, []byte) error { return nil }) == nil {
			t.Fatalf("%d of %d bytes were taken", i, len(body))
		}
		if DecodeChunk(CodingColumns, width, append(body, 0), func(uint64, []byte, []byte) error { return nil }) == nil {
			t.Fatal("a byte too many was taken")
		}
	})
}

// A chunk is read with as many allocations whatever blocks it has.
func TestChunkAllocations(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector allocates")
	}
	p := newPopulation(30_000, widthCheck)
	p.word, p.extras = withExtras, realExtras
	body, err := EncodeChunk(CodingColumns, widthCheck, p.held())
	if err != nil {
		t.Fatal(err)
	}
	var blocks int
	allocs := testing.AllocsPerRun(20, func() {
		blocks = 0
		if err := DecodeChunk(CodingColumns, widthCheck, body, func(uint64, []byte, []byte) error {
			blocks++
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	})
	t.Logf("%.0f allocations for %d blocks", allocs, blocks)
	if allocs > 200 {
		t.Errorf("%.0f allocations for %d blocks", allocs, blocks)
	}
}

func BenchmarkChunk(b *testing.B) {
	p := newPopulation(30_000, widthCheck)
	p.word, p.extras = withExtras, realExtras
	in := p.held()
	body, err := EncodeChunk(CodingColumns, widthCheck, in)
	if err != nil {
		b.Fatal(err)
	}
	speed := func(b *testing.B) { b.ReportMetric(30_000*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mpeople/s") }
	b.Run("write", func(b *testing.B) {
		var w columnsWriter
		for b.Loop() {
			if _, err := w.encode(widthCheck, in); err != nil {
				b.Fatal(err)
			}
		}
		speed(b)
	})
	b.Run("read", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := DecodeChunk(CodingColumns, widthCheck, body, func(uint64, []byte, []byte) error { return nil }); err != nil {
				b.Fatal(err)
			}
		}
		speed(b)
	})
}
