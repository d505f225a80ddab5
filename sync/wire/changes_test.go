package wire

import (
	"bytes"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"gateagent/agent/gate"
)

// realChanges draws about n changes of a set of that many blocks, spread evenly over
// its people: of a hundred, 96 have another word, 3 are new and 1 is gone.
func realChanges(n int, blocks uint64, word func(*rand.Rand) gate.Word) []gate.Change {
	r := rand.New(rand.NewPCG(3, 4))
	out := make([]gate.Change, 0, n+n/100)
	step := float64(blocks) / float64(n)
	first := 0 // of the block's changes
	for at := r.ExpFloat64() * step; at < float64(blocks); at += r.ExpFloat64() * step {
		c := gate.Change{Block: uint64(at), Word: word(r)}
		if len(out) > first && out[first].Block != c.Block {
			slices.SortFunc(out[first:], CompareChanges)
			first = len(out)
		}
		// about 62 people a block, more or fewer by 8
		in := max(1, int(math.Round(peopleABlock+math.Sqrt(peopleABlock)*r.NormFloat64())))
		c.Place = r.IntN(min(in, maxPerBlock))
		switch x := r.IntN(100); {
		case x < 3:
			c.Place, c.Rem = -1, r.Uint64()&remMask
		case x < 4:
			c.Gone, c.Word = true, 0
		}
		out = append(out, c)
	}
	slices.SortFunc(out[first:], CompareChanges)
	return slices.CompactFunc(out, func(a, b gate.Change) bool { return CompareChanges(a, b) == 0 })
}

func encodeAll(t interface{ Fatal(...any) }, changes []gate.Change, width int) (pieces [][]byte, size int) {
	pieces, err := EncodeChanges(changes, width)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pieces {
		size += len(p)
		if len(p) > MaxChunk {
			t.Fatal("a piece is too large")
		}
	}
	return pieces, size
}

// decodeAll reads pieces; changes compare as they were given.
func decodeAll(t interface{ Fatal(...any) }, pieces [][]byte) (out []gate.Change) {
	for _, p := range pieces {
		if err := DecodeChanges(p, func(c gate.Change) error {
			c.Extras = bytes.Clone(c.Extras)
			out = append(out, c)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// The bar of the issue for a delta: 0.5 % of 98 million people in one message
// set take 2.5 bytes a change.
func TestSizeOfADelta(t *testing.T) {
	if raceDetector {
		t.Skip("sizes are the same without the race detector, and it takes too long with it")
	}
	const nation = 98_000_000
	blocks := uint64(nation / peopleABlock)
	ranked := func(n int) []gate.Change {
		return slices.DeleteFunc(realChanges(n, blocks, realWord), func(c gate.Change) bool { return c.Place < 0 })
	}
	for _, c := range []struct {
		name    string
		changes []gate.Change
		width   int
		most    float64 // bytes a change; 0: reported only
	}{
		{"words of people of the base, 0.5 %", ranked(nation / 200), widthPlain, 2.5},
		{"with new people, 0.5 %", realChanges(nation/200, blocks, realWord), widthPlain, 2.5},
		{"with check bits, 0.5 %", realChanges(nation/200, blocks, realWord), widthCheck, 4.5},
		{"words, 1/288 of 0.5 %", ranked(nation / 200 / 288), widthPlain, 0},
		{"with new people, 1/288 of 0.5 %", realChanges(nation/200/288, blocks, realWord), widthPlain, 0},
		{"all by remainder, 0.5 %", byRemainder(realChanges(nation/200, blocks, realWord)), widthPlain, 0},
	} {
		pieces, size := encodeAll(t, c.changes, c.width)
		each := float64(size) / float64(len(c.changes))
		t.Logf("%s: %d changes, %d messages, %.3f bytes a change", c.name, len(c.changes), len(pieces), each)
		if c.most > 0 && each > c.most {
			t.Errorf("%s: %.3f bytes a change, at most %.1f", c.name, each, c.most)
		}
		if back := decodeAll(t, pieces); len(back) != len(c.changes) {
			t.Errorf("%s: %d changes came back", c.name, len(back))
		}
	}
}

// byRemainder names every record by its remainder.
func byRemainder(changes []gate.Change) []gate.Change {
	r := rand.New(rand.NewPCG(5, 6))
	for i := range changes {
		changes[i].Place, changes[i].Rem = -1, r.Uint64()&remMask
	}
	slices.SortFunc(changes, CompareChanges)
	return changes
}

func drawChanges(t *rapid.T, width int) (out []gate.Change) {
	blocks := rapid.SampledFrom([]uint64{1, 5, 5000, maxBlocks}).Draw(t, "blocks")
	for range rapid.IntRange(1, 200).Draw(t, "changes") {
		c := gate.Change{Block: rapid.Uint64Range(0, blocks-1).Draw(t, "block"), Place: rapid.IntRange(-1, maxPerBlock-1).Draw(t, "place")}
		if c.Place < 0 {
			c.Rem = rapid.Uint64Range(0, remMask).Draw(t, "rem")
		}
		if c.Gone = rapid.IntRange(0, 9).Draw(t, "gone") == 0; !c.Gone {
			c.Word = gate.Word(rapid.Uint16().Draw(t, "word"))
			if width == widthCheck {
				c.Check = rapid.Uint16().Draw(t, "check")
			}
			if c.Word.Extras() && rapid.Bool().Draw(t, "entry") {
				c.Extras = rapid.SliceOfN(rapid.Byte(), 1, 255).Draw(t, "body")
			}
		}
		out = append(out, c)
	}
	slices.SortFunc(out, CompareChanges)
	return slices.CompactFunc(out, func(a, b gate.Change) bool { return CompareChanges(a, b) == 0 })
}

func TestChangesRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		width := rapid.SampledFrom([]int{widthPlain, widthCheck}).Draw(t, "width")
		want := drawChanges(t, width)
		pieces, _ := encodeAll(t, want, width)
		if diff := cmp.Diff(want, decodeAll(t, pieces)); diff != "" {
			t.Fatal(diff)
		}
		body := pieces[0]
		if i := rapid.IntRange(0, len(body)-1).Draw(t, "cut"); DecodeChanges(body[:i], func(gate.Change) error { return nil }) == nil {
			t.Fatalf("%d of %d bytes were taken", i, len(body))
		}
		if err := DecodeChanges(body, func(gate.Change) error { return errStop }); !errors.Is(err, errStop) {
			t.Fatal(err)
		}
	})
}
