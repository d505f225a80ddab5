package symbology

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/makiuchi-d/gozxing/common/reedsolomon"
)

// encodeBlock makes a block with its check words by division.
func encodeBlock(f *field, r *rand.Rand, data, check int) []byte {
	generator := []byte{1}
	for i := range check {
		next := make([]byte, len(generator)+1)
		for j, g := range generator {
			next[j] ^= g
			next[j+1] ^= f.mul(g, f.exp[i])
		}
		generator = next
	}
	block := make([]byte, data+check)
	for i := range data {
		block[i] = byte(r.Uint32())
	}
	rest := bytes.Clone(block)
	for i := range data {
		if lead := rest[i]; lead != 0 {
			for j, g := range generator {
				rest[i+j] ^= f.mul(g, lead)
			}
		}
	}
	copy(block[data:], rest[data:])
	return block
}

// library restores a block with gozxing's decoder.
func library(d *reedsolomon.ReedSolomonDecoder, block []byte, check int) (restored []byte, ok bool) {
	words := make([]int, len(block))
	for i, w := range block {
		words[i] = int(w)
	}
	if err := d.Decode(words, check); err != nil {
		return nil, false
	}
	restored = make([]byte, len(block))
	for i, w := range words {
		restored[i] = byte(w)
	}
	return restored, true
}

func libraryDecoder() *reedsolomon.ReedSolomonDecoder {
	return reedsolomon.NewReedSolomonDecoder(reedsolomon.GenericGF_QR_CODE_FIELD_256)
}

// TestRestoresAsTheLibraryDoes damages blocks of all sizes up to and beyond what
// can be restored.
func TestRestoresAsTheLibraryDoes(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	c, lib := newCorrector(), libraryDecoder()
	for range fewer(6000, 1000) {
		check := 7 + r.IntN(24)
		block := encodeBlock(c.field, r, 9+r.IntN(115), check)
		want := bytes.Clone(block)
		wrong := r.IntN(check/2 + 3)
		for _, at := range r.Perm(len(block))[:wrong] {
			block[at] ^= byte(1 + r.IntN(255))
		}
		seen := bytes.Clone(block)
		restored, ok := library(lib, block, check)
		changed, others, mine := c.restore(block, check, nil, check/2)
		switch {
		case ok && !c.syndrome(restored, check):
			// The library does not look whether it made one.
			if mine {
				t.Fatalf("%d wrong of %d, %d check words: restored, and the library failed", wrong, len(block), check)
			}
		case mine != ok:
			t.Fatalf("%d wrong of %d, %d check words: %v, the library %v", wrong, len(block), check, mine, ok)
		case !ok && !bytes.Equal(block, seen):
			t.Fatal("a block beyond repair was changed")
		case ok && !bytes.Equal(block, restored):
			t.Fatalf("%d wrong, %d check words: differs from the library", wrong, check)
		case wrong <= check/2 && (!ok || !bytes.Equal(block, want) || changed != wrong || others != wrong):
			t.Fatalf("%d wrong, %d check words: %v, %d changed, %d elsewhere", wrong, check, ok, changed, others)
		}
	}
}

func TestErasures(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	c := newCorrector()
	for range fewer(5000, 1000) {
		check := 4 + r.IntN(27)
		block := encodeBlock(c.field, r, 10+r.IntN(60), check)
		want := bytes.Clone(block)
		places := r.Perm(len(block))
		erased := r.IntN(check + 1)
		errs := (check - erased) / 2
		var list []uint8
		wrong := 0
		for i, at := range places[:min(len(places), erased+errs)] {
			if i < erased {
				list = append(list, uint8(at))
				block[at] = byte(r.Uint32())
			} else {
				block[at] ^= byte(1 + r.IntN(255))
			}
			if block[at] != want[at] {
				wrong++
			}
		}
		if changed, others, ok := c.restore(block, check, list, errs); !ok || !bytes.Equal(block, want) || changed != wrong || others > errs {
			t.Fatalf("check %d, %d erased, %d wrong: %v, %d changed", check, erased, errs, ok, changed)
		}
	}
}

func FuzzBlocks(f *testing.F) {
	f.Add([]byte("some block with its check words"), uint8(10), []byte{1, 2, 3})
	f.Add(append([]byte{1}, make([]byte, 60)...), uint8(18), []byte{})
	c, lib := newCorrector(), libraryDecoder()
	f.Fuzz(func(t *testing.T, block []byte, check uint8, erased []byte) {
		n := 4 + int(check)%(maxCheck-3)
		if len(block) <= n || len(block) > 153 {
			t.Skip("no block")
		}
		var list []uint8
		seen := map[byte]bool{}
		for _, e := range erased {
			if at := e % byte(len(block)); !seen[at] && len(list) < n {
				seen[at] = true
				list = append(list, at)
			}
		}
		plain := bytes.Clone(block)
		restored, ok := library(lib, block, n)
		ok = ok && c.syndrome(restored, n) // the library does not look whether it made one
		if _, _, mine := c.restore(plain, n, nil, n/2); mine != ok || ok && !bytes.Equal(plain, restored) {
			t.Fatalf("%v, the library %v", mine, ok)
		}
		before := bytes.Clone(block)
		if _, _, ok := c.restore(block, n, list, (n-len(list))/2); ok && !c.syndrome(block, n) {
			t.Fatal("not a codeword")
		} else if !ok && !bytes.Equal(block, before) {
			t.Fatal("a block beyond repair was changed")
		}
	})
}

// BenchmarkBlock restores a block of version 9, level M, beside gozxing's
// decoder and, for its first step, beside arithmetic in gozxing's field as it is.
func BenchmarkBlock(b *testing.B) {
	const data, check = 36, 22
	r := rand.New(rand.NewPCG(6, 6))
	c, lib, gf := newCorrector(), libraryDecoder(), reedsolomon.GenericGF_QR_CODE_FIELD_256
	whole := encodeBlock(c.field, r, data, check)
	for _, wrong := range []int{0, 1, 5, 11, 14} {
		block := bytes.Clone(whole)
		for _, at := range r.Perm(len(block))[:wrong] {
			block[at] ^= byte(1 + r.IntN(255))
		}
		work, words := make([]byte, len(block)), make([]int, len(block))
		b.Run(fmt.Sprintf("%d wrong/ours", wrong), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				copy(work, block)
				if _, _, ok := c.restore(work, check, nil, check/2); ok != (wrong <= check/2) {
					b.Fatal(ok)
				}
			}
		})
		b.Run(fmt.Sprintf("%d wrong/gozxing", wrong), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				for i, w := range block {
					words[i] = int(w)
				}
				if err := lib.Decode(words, check); (err == nil) != (wrong <= check/2) {
					b.Fatal(err)
				}
			}
		})
	}
	block := bytes.Clone(whole)
	block[7] ^= 1
	b.Run("syndromes/ours", func(b *testing.B) {
		for b.Loop() {
			if c.syndrome(block, check) {
				b.Fatal("clean")
			}
		}
	})
	b.Run("syndromes/field as it is", func(b *testing.B) {
		for b.Loop() {
			any := 0
			for i := range check {
				s, root := 0, gf.Exp(i)
				for _, w := range block {
					s = gf.Multiply(s, root) ^ int(w)
				}
				any |= s
			}
			if any == 0 {
				b.Fatal("clean")
			}
		}
	})
}
