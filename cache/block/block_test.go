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
	if got := hex.EncodeToString(AppendRecord(nil, Width, rem, w, 0)); got != "80000000009005" {
		t.Errorf("record %s", got)
	}
	if got := hex.EncodeToString(AppendRecord(nil, WidthCheck, rem, w, 0xabcd)); got != "80000000009005abcd" {
		t.Errorf("record with check bits %s", got)
	}
	var buf [4]byte
	if got := hex.EncodeToString(PutKey(&buf, 0x010203, 1<<24)); got != "010203" {
		t.Errorf("short key %s", got)
	}
	if got := hex.EncodeToString(PutKey(&buf, 0x010203, 1<<24+1)); got != "00010203" {
		t.Errorf("long key %s", got)
	}
	d := NewDigest()
	d.Add(1, AppendRecord(nil, Width, rem, w, 0))
	sum := d.Sum()
	if got := hex.EncodeToString(sum[:8]); got != "849b9cfe98e1d23b" {
		t.Errorf("digest %s", got)
	}
	d.AddExtras(1, nil) // none
	if d.Sum() != sum {
		t.Error("no extras change the digest")
	}
	d.AddExtras(1, AppendExtras(nil, rem, []byte{0x0a, 0x20, 0x05}))
	if sum := d.Sum(); hex.EncodeToString(sum[:8]) != "b57268e3aeb497e0" {
		t.Errorf("digest with extras %x", sum[:8])
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

// rows makes people whose words may have any kind, but none that is gone.
func rows(n int, seed uint64) []Row {
	r := rand.New(rand.NewPCG(seed, 1))
	out := make([]Row, n)
	for i := range out {
		out[i] = Row{gate.Pseudonym(r.Uint64()), gate.Word(r.Uint32N(uint32(Tombstone))), uint16(r.Uint32())}
	}
	return out
}

func TestEveryoneIsFoundAndNobodyElse(t *testing.T) {
	for _, width := range []int{Width, WidthCheck} {
		for _, n := range []int{0, 1, 2, 61, 62, 63, 1000, 50_000} {
			everyoneIsFound(t, n, width)
		}
	}
}

func everyoneIsFound(t *testing.T, n, width int) {
	all := rows(n, uint64(n)+1)
	if err := Sort(all); err != nil {
		t.Fatal(err)
	}
	blocks := Blocks(uint64(n))
	stored := map[uint64][]byte{}
	last := int64(-1)
	for no, value := range Pack(all, width) {
		if int64(no) <= last || no >= blocks {
			t.Fatalf("block %d after %d of %d", no, last, blocks)
		}
		last = int64(no)
		if err := Check(value, width); err != nil {
			t.Fatal(err)
		}
		stored[no] = slices.Clone(value)
	}
	for _, row := range all {
		no, rem := Place(row.Person, blocks)
		want := row.Check
		if width == Width {
			want = 0
		}
		if w, check, ok := Search(stored[no], width, rem); !ok || w != row.Word || check != want {
			t.Fatalf("%d people: %v gives %v, %#x, %v", n, row.Person, w, check, ok)
		}
	}
	r := rand.New(rand.NewPCG(99, 99))
	for range 20_000 {
		no, rem := Place(gate.Pseudonym(r.Uint64()), blocks)
		if _, _, ok := Search(stored[no], width, rem); ok {
			t.Fatalf("%d people: a stranger was found", n) // 1 in 10^8 a run
		}
	}
}

// The packer makes the blocks that Pack makes, and the extras with them.
func TestPacker(t *testing.T) {
	all := rows(5000, 3)
	if err := Sort(all); err != nil {
		t.Fatal(err)
	}
	body := func(i int) []byte {
		if !all[i].Word.Extras() {
			return nil
		}
		return []byte{byte(fieldOther)<<3 | 2, 1, byte(i)}
	}
	want, next := Pack(all, WidthCheck), 0
	var got []byte
	p := NewPacker(Blocks(uint64(len(all))), WidthCheck, func(no uint64, value, extras []byte) error {
		got = append(append(got, byte(no)), value...)
		entries, err := CheckPair(value, WidthCheck, extras, false)
		if err != nil {
			return err
		}
		for i := range len(value) / WidthCheck {
			rem, w, _ := At(value, WidthCheck, i)
			found, ok := SearchExtras(extras, rem)
			if ok != w.Extras() || ok && !slices.Equal(found, body(next)) {
				t.Fatalf("row %d: %x, %v", next, found, ok)
			}
			if ok {
				entries--
			}
			next++
		}
		if entries != 0 {
			t.Fatalf("%d entries too many", entries)
		}
		return nil
	})
	for i, r := range all {
		if err := p.Add(r, body(i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Flush(); err != nil {
		t.Fatal(err)
	}
	for no, value := range want {
		if len(got) < 1+len(value) || got[0] != byte(no) || !slices.Equal(got[1:1+len(value)], value) {
			t.Fatalf("block %d is another", no)
		}
		got = got[1+len(value):]
	}
	if len(got) != 0 {
		t.Errorf("%d bytes too many", len(got))
	}
}

func TestPackerRefuses(t *testing.T) {
	for name, c := range map[string][]gate.Pseudonym{
		"twice":     {5, 5},
		"one place": {1 << 60, 1<<60 + 1},
		"backwards": {1 << 62, 1 << 61},
	} {
		p := NewPacker(10, Width, func(uint64, []byte, []byte) error { return nil })
		var err error
		for _, person := range c {
			err = p.Add(Row{Person: person}, nil)
		}
		_, collided := errors.AsType[*Collision](err)
		if err == nil || collided == errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
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
		for _, width := range []int{Width, WidthCheck} {
			var value []byte
			for i, rem := range rems {
				value = AppendRecord(value, width, rem, gate.Word(i), 7)
			}
			for i, rem := range rems {
				if w, _, ok := Search(value, width, rem); !ok || w != gate.Word(i) {
					t.Errorf("%s: rem %#x gives %v, %v", name, rem, w, ok)
				}
				for _, other := range []uint64{rem - 1, rem + 1} {
					if other > maxRem || slices.Contains(rems, other) {
						continue
					}
					if _, _, ok := Search(value, width, other); ok {
						t.Errorf("%s: %#x was found", name, other)
					}
				}
			}
		}
	}
}

func TestSortFindsCollisions(t *testing.T) {
	var c *Collision
	if err := Sort([]Row{{Person: 5, Word: 1}, {Person: 9}, {Person: 5, Word: 2}}); !errors.As(err, &c) || c.A != 5 || c.B != 5 {
		t.Errorf("the same person twice: %v", err)
	}
	if err := Sort([]Row{{Person: 1 << 60, Word: 1}, {Person: 1<<60 + 1, Word: 2}}); !errors.As(err, &c) {
		t.Errorf("two people on one record: %v", err)
	}
}

func TestCheckRefuses(t *testing.T) {
	for _, width := range []int{Width, WidthCheck} {
		record := func(to []byte, rem uint64) []byte { return AppendRecord(to, width, rem, 0, 0) }
		good := record(record(nil, 1), 2)
		many := []byte{}
		for i := range MaxRecords + 1 {
			many = record(many, uint64(i))
		}
		for name, value := range map[string][]byte{
			"empty":     {},
			"torn":      good[:len(good)-1],
			"unordered": record(record(nil, 2), 1),
			"doubled":   record(record(nil, 2), 2),
			"too many":  many,
		} {
			if err := Check(value, width); !errors.Is(err, ErrMalformed) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := Check(good, width); err != nil {
			t.Error(err)
		}
		gone := AppendRecord(good, width, 3, Tombstone, 0)
		if err := Check(gone, width); !errors.Is(err, ErrMalformed) {
			t.Errorf("a tombstone: %v", err)
		}
		if err := CheckFolded(gone, width); err != nil {
			t.Error(err)
		}
	}
	if err := Check(make([]byte, 8), 8); !errors.Is(err, ErrMalformed) {
		t.Errorf("records of 8 bytes: %v", err)
	}
}

func FuzzSearch(f *testing.F) {
	f.Add(AppendRecord(AppendRecord(nil, Width, 7, 1, 0), Width, 9, 2, 0), uint64(9), false)
	f.Add(AppendRecord(AppendRecord(nil, WidthCheck, 7, 1, 3), WidthCheck, 9, 2, 5), uint64(9), true)
	f.Add([]byte{1, 2, 3}, uint64(math.MaxUint64), false)
	f.Fuzz(func(t *testing.T, value []byte, rem uint64, checked bool) {
		width := Width
		if checked {
			width = WidthCheck
		}
		rem &= maxRem
		w, check, ok := Search(value, width, rem)
		if Check(value, width) != nil {
			return
		}
		var want Row
		found := false
		for i := range len(value) / width {
			if r, word, check := At(value, width, i); r == rem {
				want, found = Row{Word: word, Check: check}, true
			}
		}
		if ok != found || w != want.Word || check != want.Check {
			t.Fatalf("Search = %v, %v, %v; a plain walk = %v, %v", w, check, ok, want, found)
		}
	})
}

func TestSearchAllocatesNothing(t *testing.T) {
	var value []byte
	for i := range PerBlock {
		value = AppendRecord(value, WidthCheck, uint64(i)<<34, 0, 0)
	}
	var buf [4]byte
	if n := testing.AllocsPerRun(100, func() {
		no, rem := Place(1<<63, 1000)
		PutKey(&buf, no, 1000)
		Search(value, WidthCheck, rem)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
