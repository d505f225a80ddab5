package block

import (
	"encoding/hex"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"gateagent/agent/gate"
)

func TestBlocks(t *testing.T) {
	for _, c := range []struct{ people, want uint64 }{
		{0, 1}, {1, 1}, {62, 1}, {63, 2}, {124, 2}, {125, 3}, {98_000_000, 1_580_646}, {MaxPeople, 1 << 32},
	} {
		if got := Blocks(c.people); got != c.want {
			t.Errorf("Blocks(%d) = %d, want %d", c.people, got, c.want)
		}
	}
}

// The layout is a format: other programs write it. These vectors never change.
func TestGoldenLayout(t *testing.T) {
	const blocks = 3
	p := gate.Pseudonym(0x8000_0000_0000_0001)
	no, rem := Place(p, blocks)
	// 0x8000000000000001·3 = 1·2^64 + 0x8000000000000003
	if no != 1 || rem != 0x8000000000 {
		t.Fatalf("Place = %d, %#x", no, rem)
	}
	w, err := gate.NewWord(gate.FactCompleted, 18_000+5, 18_000, true)
	if err != nil {
		t.Fatal(err)
	}
	if got := hex.EncodeToString(AppendRecord(nil, rem, w)); got != "80000000009005" {
		t.Errorf("record %s", got)
	}
	var buf [4]byte
	if got := hex.EncodeToString(PutKey(&buf, 0x010203, 1<<24)); got != "010203" {
		t.Errorf("short key %s", got)
	}
	if got := hex.EncodeToString(PutKey(&buf, 0x010203, 1<<24+1)); got != "00010203" {
		t.Errorf("long key %s", got)
	}
	d := NewDigest()
	d.Add(1, AppendRecord(nil, rem, w))
	sum := d.Sum()
	if got := hex.EncodeToString(sum[:8]); got != "849b9cfe98e1d23b" {
		t.Errorf("digest %s", got)
	}
}

func TestKeyRoundTrip(t *testing.T) {
	var buf [4]byte
	for _, blocks := range []uint64{1, 1 << 24, 1<<24 + 1, 1 << 32} {
		for _, no := range []uint64{0, blocks / 2, blocks - 1} {
			got, err := ParseKey(PutKey(&buf, no, blocks), blocks)
			if err != nil || got != no {
				t.Errorf("block %d of %d came back as %d, %v", no, blocks, got, err)
			}
		}
	}
	for name, c := range map[string]struct {
		key    []byte
		blocks uint64
	}{
		"empty":        {nil, 10},
		"short":        {[]byte{0, 1}, 10},
		"long":         {[]byte{0, 0, 0, 1}, 10},
		"out of range": {[]byte{0, 0, 10}, 10},
		"needs four":   {[]byte{0, 0, 1}, 1<<24 + 1},
	} {
		if _, err := ParseKey(c.key, c.blocks); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func rows(n int, seed uint64) []Row {
	r := rand.New(rand.NewPCG(seed, 1))
	out := make([]Row, n)
	for i := range out {
		out[i] = Row{gate.Pseudonym(r.Uint64()), gate.Word(r.Uint32())}
	}
	return out
}

func TestEveryoneIsFoundAndNobodyElse(t *testing.T) {
	for _, n := range []int{0, 1, 2, 61, 62, 63, 1000, 50_000} {
		all := rows(n, uint64(n)+1)
		if err := Sort(all); err != nil {
			t.Fatal(err)
		}
		blocks := Blocks(uint64(n))
		stored := map[uint64][]byte{}
		last := int64(-1)
		for no, value := range Pack(all) {
			if int64(no) <= last || no >= blocks {
				t.Fatalf("block %d after %d of %d", no, last, blocks)
			}
			last = int64(no)
			if err := Check(value); err != nil {
				t.Fatal(err)
			}
			stored[no] = slices.Clone(value)
		}
		for _, row := range all {
			no, rem := Place(row.Person, blocks)
			if w, ok := Search(stored[no], rem); !ok || w != row.Word {
				t.Fatalf("%d people: %v gives %v, %v", n, row.Person, w, ok)
			}
		}
		r := rand.New(rand.NewPCG(99, 99))
		for range 20_000 {
			no, rem := Place(gate.Pseudonym(r.Uint64()), blocks)
			if _, ok := Search(stored[no], rem); ok {
				t.Fatalf("%d people: a stranger was found", n) // 1 in 10^8 a run
			}
		}
	}
}

// A block need not look like an even spread: search is right all the same.
func TestSearchSkewed(t *testing.T) {
	for name, rems := range map[string][]uint64{
		"all low":      {0, 1, 2, 3, 4, 5},
		"all high":     {maxRem - 3, maxRem - 2, maxRem - 1, maxRem},
		"both ends":    {0, maxRem},
		"one":          {1 << 39},
		"low and last": {0, 1, 2, 3, maxRem},
	} {
		var value []byte
		for i, rem := range rems {
			value = AppendRecord(value, rem, gate.Word(i))
		}
		for i, rem := range rems {
			if w, ok := Search(value, rem); !ok || w != gate.Word(i) {
				t.Errorf("%s: rem %#x gives %v, %v", name, rem, w, ok)
			}
			for _, other := range []uint64{rem - 1, rem + 1} {
				if other > maxRem || slices.Contains(rems, other) {
					continue
				}
				if _, ok := Search(value, other); ok {
					t.Errorf("%s: %#x was found", name, other)
				}
			}
		}
	}
}

func TestSortFindsCollisions(t *testing.T) {
	var c *Collision
	if err := Sort([]Row{{5, 1}, {9, 0}, {5, 2}}); !errors.As(err, &c) || c.A != 5 || c.B != 5 {
		t.Errorf("the same person twice: %v", err)
	}
	if err := Sort([]Row{{1 << 60, 1}, {1<<60 + 1, 2}}); !errors.As(err, &c) {
		t.Errorf("two people on one record: %v", err)
	}
}

func TestCheckRefuses(t *testing.T) {
	good := AppendRecord(AppendRecord(nil, 1, 0), 2, 0)
	many := []byte{}
	for i := range MaxRecords + 1 {
		many = AppendRecord(many, uint64(i), 0)
	}
	for name, value := range map[string][]byte{
		"empty":     {},
		"torn":      good[:len(good)-1],
		"unordered": AppendRecord(AppendRecord(nil, 2, 0), 1, 0),
		"doubled":   AppendRecord(AppendRecord(nil, 2, 0), 2, 1),
		"too many":  many,
	} {
		if err := Check(value); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := Check(good); err != nil {
		t.Error(err)
	}
}

func FuzzSearch(f *testing.F) {
	f.Add(AppendRecord(AppendRecord(nil, 7, 1), 9, 2), uint64(9))
	f.Add([]byte{1, 2, 3}, uint64(math.MaxUint64))
	f.Fuzz(func(t *testing.T, value []byte, rem uint64) {
		rem &= maxRem
		w, ok := Search(value, rem)
		if Check(value) != nil {
			return
		}
		want, found := gate.Word(0), false
		for i := range len(value) / Width {
			if r, word := At(value, i); r == rem {
				want, found = word, true
			}
		}
		if ok != found || (ok && w != want) {
			t.Fatalf("Search = %v, %v; a plain walk = %v, %v", w, ok, want, found)
		}
	})
}

func TestSearchAllocatesNothing(t *testing.T) {
	var value []byte
	for i := range PerBlock {
		value = AppendRecord(value, uint64(i)<<34, 0)
	}
	var buf [4]byte
	if n := testing.AllocsPerRun(100, func() {
		no, rem := Place(1<<63, 1000)
		PutKey(&buf, no, 1000)
		Search(value, rem)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
