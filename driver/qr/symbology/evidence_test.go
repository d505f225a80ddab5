package symbology

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestEvidence counts how often random blocks are restored with so much evidence,
// where that is often enough to be counted.
func TestEvidence(t *testing.T) {
	trials := fewer(50_000, 5_000)
	r := rand.New(rand.NewPCG(7, 7))
	c := newCorrector()
	for _, tt := range []struct{ n, check, erased int }{
		{26, 4, 0}, {26, 5, 0}, {26, 7, 4}, {26, 7, 7}, {60, 10, 6}, {60, 10, 9}, {44, 16, 14}, {58, 22, 20}, {58, 22, 22}, {150, 30, 30},
	} {
		var hits [64]int
		seen, block := make([]byte, tt.n), make([]byte, tt.n)
		for range trials {
			for i := range seen {
				seen[i] = byte(r.Uint32())
			}
			copy(block, seen)
			var erased []uint8
			for _, at := range r.Perm(tt.n)[:tt.erased] {
				erased = append(erased, uint8(at))
			}
			_, others, ok := c.restore(block, tt.check, erased, (tt.check-tt.erased)/2)
			if !ok {
				continue
			}
			for b := range int(min(63, max(0, evidence(seen, block, tt.check, erased, others)))) + 1 {
				hits[b]++
			}
		}
		t.Logf("%+v: with 0, 1, 2 … bits of evidence: %v", tt, hits[:20])
		for b := 4; b < len(hits); b++ {
			// Counted after the fact: three bits are allowed for.
			if most := 8 * float64(trials) * math.Exp2(-float64(b)); float64(hits[b]) > most+5*math.Sqrt(most+1) {
				t.Errorf("%+v: %d of %d restored with %d bits of evidence", tt, hits[b], trials, b)
			}
		}
	}
}

func TestChoices(t *testing.T) {
	if got := choices(58, 3); math.Abs(got-30856) > 1e-6 {
		t.Errorf("58 over 3 is %v", got)
	}
	if got := choicesUpTo(16, 16); got != 1<<16 {
		t.Errorf("all of 16 are %v", got)
	}
	if got := choicesUpTo(8, 2); got != 1+8+28 {
		t.Errorf("two of 8 or fewer are %v", got)
	}
}

// TestProse replaces data codewords of a text by random ones, as a wrong
// restoration does, and counts how often it still is prose.
func TestProse(t *testing.T) {
	r := rand.New(rand.NewPCG(12, 12))
	for _, text := range []string{
		"001099000000||Nguyễn Thị Thử Nghiệm|01011999|Nữ|Số 1, Tỉnh Mẫu|02022022",
		"https://example.org/pass/2026/11/24?id=Kx93-aQ0-77fP&gate=north",
	} {
		whole := append(new(bitWriter).bytes(text).bits(0, 4).b, 0xEC, 0x11, 0xEC)
		var p parser
		if p.reset(whole, 5); p.parse() != nil || !p.prose || !p.padded() {
			t.Fatal("the text is no prose")
		}
		trials := fewer(60_000, 6_000)
		for _, words := range []int{1, 3, 6, 9} {
			hits := 0
			for range trials {
				data := append([]byte(nil), whole...)
				for _, at := range r.Perm(len(data))[:words] {
					data[at] ^= byte(1 + r.IntN(255))
				}
				if p.reset(data, 5); p.parse() == nil && p.prose && p.padded() {
					hits++
				}
			}
			most := float64(trials) * math.Exp2(-proseWord*float64(words))
			t.Logf("%d words: %d of %d, at most %.0f expected", words, hits, trials, most)
			if float64(hits) > most+5*math.Sqrt(most+1) {
				t.Errorf("%d words: %d of %d are prose, at most %.0f expected", words, hits, trials, most)
			}
		}
	}
}
